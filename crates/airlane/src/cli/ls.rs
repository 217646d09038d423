//! `airlane ls`.

use airlane_model::Result;

use super::Globals;
use crate::output::table::{Align, Table};
use crate::output::{self, human};

/// List the tables
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Only names that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

impl Ls {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let tables = globals.connect().await?.list(&self.prefix).await?;
        if globals.json {
            return output::json(&tables);
        }
        if tables.is_empty() {
            output::note("no tables");
            return Ok(());
        }
        let mut shown = Table::new([
            ("table", Align::Left),
            ("version", Align::Right),
            ("rows", Align::Right),
            ("bytes", Align::Right),
            ("durability", Align::Left),
            ("committed", Align::Left),
        ]);
        for table in &tables {
            shown.push([
                table.table.to_string(),
                table.version.to_string(),
                human::count(table.rows),
                human::bytes(table.bytes),
                table.durability.to_string(),
                human::moment(table.committed),
            ]);
        }
        output::text(&shown.render())
    }
}
