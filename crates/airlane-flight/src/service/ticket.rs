//! The action that signs tickets.

use airlane_exchange::{Exchange, TicketSpec};
use airlane_model::{Caller, Result, RowRange, TableId, TableName, TimeSpan, Timestamp, Version};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::body;

const HINT: &str = "send {\"ticket\": \"prices\", \"columns\": [\"a\"], \"rows\": \"0-1000\", \"ttl\": \"10m\", \"caller\": \"ci\"}; \
                    all but `ticket` may be left out";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ticket: String,
    columns: Option<Vec<String>>,
    rows: Option<RowRange>,
    ttl: Option<String>,
    caller: Option<String>,
}

/// A signed ticket and what it says.
#[derive(Serialize)]
pub(super) struct Signed {
    ticket: String,
    table: TableName,
    table_id: TableId,
    version: Version,
    rows: u64,
    columns: Option<Vec<String>>,
    expires: Option<Timestamp>,
    caller: Option<String>,
}

/// Signs the ticket that a body asks for.
pub(super) fn sign(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<Signed> {
    let asked: Asked = body::json("ticket", body, HINT)?;
    let ttl = asked.ttl.as_deref().map(str::parse::<TimeSpan>).transpose();
    let ttl = ttl.map_err(|error| error.at(format!("`ttl`, {}", body::place("ticket"))))?.map(TimeSpan::as_duration);
    let spec = TicketSpec { columns: asked.columns, rows: asked.rows, ttl, caller: asked.caller };
    let signed = exchange.sign(caller, &asked.ticket.parse()?, spec)?;
    let pass = signed.pass;
    Ok(Signed {
        ticket: signed.ticket.expose().to_owned(),
        table: pass.table,
        table_id: pass.table_id,
        version: pass.version,
        rows: signed.rows,
        columns: pass.columns,
        expires: pass.expires,
        caller: pass.caller,
    })
}
