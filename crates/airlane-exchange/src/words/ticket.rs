//! Signed tickets as JSON asks for them, and how they are told.

use std::num::NonZeroU64;

use airlane_model::{Caller, Error, Receipt, Result, RowRange, TableId, TableName, TimeSpan, Timestamp, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Exchange, TicketSpec};

/// A ticket that is to be signed: `{"ticket": "prices", "columns": ["a"], "rows": "0-1000", "ttl": "10m", "caller": "ci", "reads": 1,
/// "at_most_once": true}`; all but `ticket` may be left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
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
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SignedTicketInfo {
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

impl TicketRequest {
    /// Signs the ticket.
    ///
    /// # Errors
    /// As [`Exchange::sign`]; `option_invalid` at `ttl`.
    pub fn sign(self, exchange: &Exchange, caller: &Caller) -> Result<SignedTicketInfo> {
        let Self { ticket, columns, rows, ttl, caller: bound, reads, at_most_once } = self;
        let ttl = ttl.as_deref().map(str::parse::<TimeSpan>).transpose();
        let ttl = ttl.map_err(|error: Error| error.at("`ttl`"))?.map(TimeSpan::as_duration);
        let spec = TicketSpec { columns, rows, ttl, caller: bound, reads, at_most_once };
        let signed = exchange.sign(caller, &ticket.parse()?, spec)?;
        let pass = signed.pass;
        Ok(SignedTicketInfo {
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
}

/// A signed ticket that is asked for with a put: `{"path": "prices", "ticket": {"ttl": "10m", "reads": 1}}`. Columns and rows are left to
/// whoever narrows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptTicket {
    ttl: Option<TimeSpan>,
    caller: Option<String>,
    reads: Option<NonZeroU64>,
    #[serde(default)]
    at_most_once: bool,
}

impl ReceiptTicket {
    /// The ticket that is asked for.
    pub fn spec(&self) -> TicketSpec {
        TicketSpec {
            ttl: self.ttl.map(TimeSpan::as_duration),
            caller: self.caller.clone(),
            reads: self.reads,
            at_most_once: self.at_most_once,
            ..TicketSpec::default()
        }
    }

    /// The receipt with a signed ticket. The put is kept, so what keeps one from being signed, as when the table was dropped
    /// meanwhile, leaves the plain ticket in its place.
    pub fn sign(&self, exchange: &Exchange, caller: &Caller, receipt: Receipt) -> Receipt {
        let signed = receipt.ticket.parse().and_then(|plain| exchange.sign(caller, &plain, self.spec()));
        match signed {
            Ok(signed) => Receipt { ticket: signed.ticket.expose().to_owned(), ..receipt },
            Err(error) => {
                tracing::warn!(table = %receipt.table, %error, "a put was kept, and no ticket could be signed for it");
                receipt
            }
        }
    }
}
