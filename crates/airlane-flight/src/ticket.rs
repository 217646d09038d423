//! A signed ticket that is asked for with a put: `{"path": "prices", "ticket": {"ttl": "10m", "reads": 1}}`.

use std::num::NonZeroU64;

use airlane_exchange::{Exchange, TicketSpec};
use airlane_model::{Caller, Receipt, TimeSpan};
use serde::Deserialize;

/// What the ticket of the receipt is to be. Columns and rows are left to whoever narrows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptTicket {
    ttl: Option<TimeSpan>,
    caller: Option<String>,
    reads: Option<NonZeroU64>,
    #[serde(default)]
    at_most_once: bool,
}

impl ReceiptTicket {
    pub(crate) fn spec(&self) -> TicketSpec {
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
    pub(crate) fn sign(&self, exchange: &Exchange, caller: &Caller, receipt: Receipt) -> Receipt {
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
