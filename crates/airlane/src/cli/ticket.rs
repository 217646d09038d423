//! `airlane ticket`.

use std::num::NonZeroU64;

use airlane_client::TicketOptions;
use airlane_model::{Result, RowRange, Ticket, TimeSpan};

use super::Globals;
use crate::output::{self, human};

/// Sign a ticket that lets its holder read a table, or a part of it
///
/// The ticket is all that a reader needs: `airlane get`, `do_get` of any Arrow Flight client. It names the version that
/// there is now. Of a signed ticket a narrower one can be made. The ticket goes to stdout, what it says to stderr.
#[derive(Debug, clap::Args)]
#[command(
    name = "ticket",
    after_help = "Examples:
  airlane ticket prices --ttl 10m                             all of it, for ten minutes
  airlane ticket prices --columns day,price --rows 0-1000     two columns of the first thousand rows
  airlane ticket prices --reads 1                             once, within an hour
  airlane get \"$(airlane ticket prices --ttl 1m)\" -o prices.parquet"
)]
pub(crate) struct SignTicket {
    /// The table or ticket, such as `prices`, `prices@7` or a signed one
    ticket: String,

    /// The columns, in the order in which they are to be read [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    columns: Option<Vec<String>>,

    /// The rows: the first, and the one after the last [default: all]
    #[arg(long, value_name = "FIRST-END", value_parser = |text: &str| text.parse::<RowRange>())]
    rows: Option<RowRange>,

    /// How long it can be used: 30s, 10m, 8h, 7d [default: as long as the version can be read]
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,

    /// The caller who alone may use it [default: whoever holds it]
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,

    /// How often it can be read [default: as often as its holder likes]
    ///
    /// Such a ticket lives for an hour, unless `--ttl` says otherwise, and for seven days at most. A read counts when all
    /// of it was delivered: one whose reader goes away is given back.
    #[arg(long, value_name = "COUNT")]
    reads: Option<NonZeroU64>,

    /// Have a read count from its beginning on, whatever becomes of the reader
    #[arg(long, requires = "reads")]
    at_most_once: bool,
}

impl SignTicket {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let ticket: Ticket = self.ticket.parse()?;
        let ttl = self.ttl.as_deref().map(str::parse::<TimeSpan>).transpose();
        let ttl = ttl.map_err(|error| error.at("`--ttl`"))?.map(TimeSpan::as_duration);
        let options = TicketOptions {
            columns: self.columns.clone(),
            rows: self.rows,
            ttl,
            caller: self.caller.clone(),
            reads: self.reads,
            at_most_once: self.at_most_once,
        };
        let signed = globals.connect().await?.sign(&ticket, &options).await?;
        if globals.json {
            return output::json(&signed);
        }
        let mut said = format!("reads {} of {}@{}", human::counted(signed.rows, "row"), signed.table, signed.version);
        if let Some(columns) = &signed.columns {
            said.push_str(&format!(", {}", human::counted(columns.len() as u64, "column")));
        }
        if let Some(expires) = signed.expires {
            said.push_str(&format!(", until {}", human::moment(expires)));
        }
        if let Some(caller) = &signed.caller {
            said.push_str(&format!(", by {caller} alone"));
        }
        if let Some(reads) = signed.reads {
            said.push_str(&match reads.get() {
                1 => ", once".to_owned(),
                reads => format!(", {reads} times"),
            });
        }
        output::note(&said);
        output::text(&format!("{}\n", signed.ticket))
    }
}
