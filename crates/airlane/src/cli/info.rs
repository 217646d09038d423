//! `airlane info`.

use airlane_model::{Result, Ticket};

use super::Globals;
use crate::output::preview::type_name;
use crate::output::table::{Align, Table};
use crate::output::{self, human};

/// Show a table: version, size, durability, ticket and columns
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    /// The table or plain ticket, such as `prices` or `prices@7`
    ticket: String,
}

impl Info {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let ticket: Ticket = self.ticket.parse()?;
        let (info, schema) = globals.connect().await?.describe(&ticket).await?;
        if globals.json {
            let columns: Vec<_> = schema
                .fields()
                .iter()
                .map(|field| {
                    serde_json::json!({
                        "name": field.name(),
                        "type": type_name(field.data_type()),
                        "nullable": field.is_nullable(),
                        "metadata": field.metadata(),
                    })
                })
                .collect();
            return output::json(&serde_json::json!({
                "info": info,
                "schema": { "columns": columns, "metadata": schema.metadata() },
            }));
        }
        let mut text = String::new();
        for (name, value) in [
            ("table", info.table.to_string()),
            ("version", info.version.to_string()),
            ("rows", human::count(info.rows)),
            ("bytes", format!("{} ({})", human::count(info.bytes), human::bytes(info.bytes))),
            ("segments", human::count(info.segments)),
            ("durability", info.durability.to_string()),
            ("created", human::moment(info.created)),
            ("committed", human::moment(info.committed)),
            ("kept", human::retention(&info.retention, info.expires)),
            ("owner", info.owner.clone().unwrap_or_default()),
            ("ticket", info.ticket.clone()),
        ] {
            // Not told to everybody.
            if name == "owner" && value.is_empty() {
                continue;
            }
            text.push_str(&format!("{name:<12}{value}\n"));
        }
        let mut columns = Table::new([("column", Align::Left), ("type", Align::Left), ("nulls", Align::Left)]);
        for field in schema.fields() {
            let nulls = if field.is_nullable() { "yes" } else { "no" };
            columns.push([field.name().clone(), type_name(field.data_type()), nulls.to_owned()]);
        }
        output::text(&format!("{text}\n{}", columns.render()))
    }
}
