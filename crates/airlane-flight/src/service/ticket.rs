//! The actions that sign tickets, and change what signs them.

use std::num::NonZeroU64;

use airlane_exchange::{Exchange, TicketSpec};
use airlane_model::{Caller, Result, RowRange, TableId, TableName, TimeSpan, Timestamp, Version};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::body;

const HINT: &str = "send {\"ticket\": \"prices\", \"columns\": [\"a\"], \"rows\": \"0-1000\", \"ttl\": \"10m\", \"caller\": \"ci\", \
                    \"reads\": 1, \"at_most_once\": true}; all but `ticket` may be left out";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ticket: String,
    columns: Option<Vec<String>>,
    rows: Option<RowRange>,
    ttl: Option<String>,
    caller: Option<String>,
    reads: Option<NonZeroU64>,
    #[serde(default)]
    at_most_once: bool,
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
    reads: Option<NonZeroU64>,
    at_most_once: bool,
}

/// Signs the ticket that a body asks for.
pub(super) fn sign(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<Signed> {
    let asked: Asked = body::json("ticket", body, HINT)?;
    let ttl = asked.ttl.as_deref().map(str::parse::<TimeSpan>).transpose();
    let ttl = ttl.map_err(|error| error.at(format!("`ttl`, {}", body::place("ticket"))))?.map(TimeSpan::as_duration);
    let Asked { columns, rows, caller: bound, reads, at_most_once, .. } = asked;
    let spec = TicketSpec { columns, rows, ttl, caller: bound, reads, at_most_once };
    let signed = exchange.sign(caller, &asked.ticket.parse()?, spec)?;
    let pass = signed.pass;
    Ok(Signed {
        ticket: signed.ticket.expose().to_owned(),
        table: pass.table,
        table_id: pass.table_id,
        version: pass.version,
        rows: signed.rows,
        columns: pass.columns,
        expires: signed.expires,
        caller: pass.caller,
        reads: pass.reads.map(|reads| reads.max),
        at_most_once: pass.reads.is_some_and(|reads| reads.at_most_once),
    })
}

const ROTATE_HINT: &str = "send {\"revoke\": true} to make all tickets void, or nothing";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RotationAsked {
    revoke: bool,
}

/// The key that signs tickets now.
#[derive(Serialize)]
pub(super) struct Rotated {
    key: String,
    keys: usize,
    revoked: usize,
}

/// Has tickets signed by a new key.
pub(super) fn rotate(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<Rotated> {
    // Whoever may not learns nothing about the body.
    caller.check_admin()?;
    let asked = match body.is_empty() {
        true => RotationAsked::default(),
        false => body::json("rotate_ticket_keys", body, ROTATE_HINT)?,
    };
    let rotation = exchange.rotate_ticket_keys(caller, asked.revoke)?;
    Ok(Rotated { key: rotation.key, keys: rotation.keys, revoked: rotation.revoked })
}
