//! The action that signs tickets.

use airlane_exchange::{Exchange, TicketSpec};
use airlane_model::{Caller, Error, Result, RowRange, TableId, TableName, TimeSpan, Timestamp, Version, codes, limits};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

const PLACE: &str = "body of action `ticket`";
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
    let max = limits::COMMAND_BYTES_MAX;
    if body.len() > max.as_usize() {
        let message = format!("a body has {} bytes, the most is {} ({max})", body.len(), max.as_u64());
        return Err(Error::new(codes::LIMIT_EXCEEDED, message).at(PLACE).hint(HINT));
    }
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        let message = format!("a body is not what the action takes: {error}");
        Error::new(codes::OPTION_INVALID, message).at(PLACE).hint(HINT)
    })?;
    let ttl = asked.ttl.as_deref().map(str::parse::<TimeSpan>).transpose();
    let ttl = ttl.map_err(|error| error.at(format!("`ttl`, {PLACE}")))?.map(TimeSpan::as_duration);
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
