//! `airlane retention`.

use airlane_model::{Result, RetentionChange, TableName, Ticket};

use super::Globals;
use crate::output::{self, human};

/// Show or change how long a table is kept
///
/// Without a rule the command shows what there is. A rule that is given takes the place of the one before; the others
/// stay. A table that has expired by the new rules is gone at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane retention eu/prices
  airlane retention eu/prices --ttl 7d --versions 10
  airlane retention eu/prices --ttl none --pinned true")]
pub(crate) struct Retention {
    /// The table
    #[arg(value_name = "NAME")]
    table: String,

    #[command(flatten)]
    rules: Rules,
}

/// The rules of a retention, as flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Rules {
    /// The table goes this long after its last commit: 30s, 10m, 8h, 7d, or `none`
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,

    /// The table goes when it was neither read nor put for this long: 30s, 10m, 8h, 7d, or `none`
    #[arg(long, value_name = "TIME")]
    idle: Option<String>,

    /// So many of its newest versions can be read, or `none` for all since the last replace
    #[arg(long, value_name = "COUNT")]
    versions: Option<String>,

    /// Rows that were put longer ago go, by whole segments; the table stays: 30s, 10m, 8h, 7d, or `none`
    #[arg(long, value_name = "TIME")]
    window: Option<String>,

    /// The table goes when it was read so often since its last commit, or `none`
    #[arg(long, value_name = "COUNT")]
    reads: Option<String>,

    /// Whether the table and its rows stay whatever `ttl`, `idle`, `window` and `reads` say
    #[arg(long, value_name = "BOOL", value_parser = ["true", "false"])]
    pinned: Option<String>,
}

impl Rules {
    /// What they change.
    ///
    /// # Errors
    /// `option_invalid`.
    pub(crate) fn change(&self) -> Result<RetentionChange> {
        let rules = [
            ("ttl", &self.ttl),
            ("idle", &self.idle),
            ("versions", &self.versions),
            ("window", &self.window),
            ("reads", &self.reads),
            ("pinned", &self.pinned),
        ];
        let mut change = RetentionChange::default();
        for (rule, text) in rules {
            if let Some(text) = text {
                let one = RetentionChange::of(rule, text).map_err(|error| error.at(format!("`--{rule}`")))?;
                change = change.join(one)?;
            }
        }
        Ok(change)
    }
}

impl Retention {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let table = TableName::parse(&self.table)?;
        let change = self.rules.change()?;
        let client = globals.connect().await?;
        let info = match change.is_empty() {
            true => client.describe(&Ticket::current(table)).await?.0,
            false => client.set_retention(&table, change).await?,
        };
        if globals.json {
            return output::json(&info);
        }
        output::text(&format!("{}\n", human::retention(&info.retention, info.expires)))
    }
}
