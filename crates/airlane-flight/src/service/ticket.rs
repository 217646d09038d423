//! The actions that sign tickets, and change what signs them.

use airlane_exchange::Exchange;
use airlane_exchange::words::{SignedTicketInfo, TicketRequest};
use airlane_model::{Caller, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::body;

const HINT: &str = "send {\"ticket\": \"prices\", \"columns\": [\"a\"], \"rows\": \"0-1000\", \"ttl\": \"10m\", \"caller\": \"ci\", \
                    \"reads\": 1, \"at_most_once\": true}; all but `ticket` may be left out";

/// Signs the ticket that a body asks for.
pub(super) fn sign(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<SignedTicketInfo> {
    let request: TicketRequest = body::json("ticket", body, HINT)?;
    request.sign(exchange, caller)
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
