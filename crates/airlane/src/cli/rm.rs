//! `airlane rm`.

use airlane_model::{Result, TableName};

use super::Globals;
use crate::output::{self, human};

/// Drop a table, in all its versions, everywhere
///
/// Running readers finish; tickets of the table are of no use from then on.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// The table
    #[arg(value_name = "NAME")]
    table: String,
}

impl Rm {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let table = TableName::parse(&self.table)?;
        let info = globals.connect().await?.drop_table(&table).await?;
        if globals.json {
            return output::json(&info);
        }
        let rows = human::counted(info.rows, "row");
        output::note(&format!("dropped {} ({rows}, version {})", info.table, info.version));
        Ok(())
    }
}
