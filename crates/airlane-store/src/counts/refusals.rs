//! Who gets no read, and why.

use airlane_model::{Error, Result, TableName, codes};

use super::{Allowed, Claim, LEASE, State};
use crate::catalog::counts::Counted;
use crate::index::table_not_found;
use crate::uptime::Moment;

impl State {
    pub(super) fn check_used(&self, allowed: Allowed, name: &TableName) -> Result<()> {
        let (id, what) = match allowed.of {
            Counted::Ticket(id) => (id.to_bytes(), "the ticket"),
            Counted::Table(id, _) => (id.to_bytes(), "the table"),
        };
        if self.damaged.iter().any(|damaged| damaged[..8] == id[..8] || damaged[8..] == id[8..]) {
            let message = format!("how often {what} for `{name}` was read is damaged in the catalog");
            return Err(Error::new(codes::DATA_DAMAGED, message).at(format!("table `{name}`")).hint(
                "ask for a new ticket; where it is the table whose reads are counted, take its rule `reads` off",
            ));
        }
        match (self.used(allowed.of) >= allowed.max, allowed.of) {
            (true, Counted::Ticket(_)) => Err(Error::new(
                codes::TICKET_USED,
                format!("the ticket for `{name}` is used up: it could be read {}", times(allowed.max)),
            )
            .hint("ask for a new ticket")),
            // It is about to go.
            (true, Counted::Table(..)) => Err(table_not_found(name)),
            (false, _) => Ok(()),
        }
    }

    pub(super) fn check(&self, allowed: Allowed, name: &TableName) -> Result<()> {
        self.check_used(allowed, name)?;
        let claims = self.claims.get(&allowed.of).copied().unwrap_or_default();
        if self.used(allowed.of).saturating_add(claims) < allowed.max {
            return Ok(());
        }
        let what = match allowed.of {
            Counted::Ticket(_) => format!("the ticket for `{name}`"),
            Counted::Table(..) => format!("table `{name}`"),
        };
        let message = format!("{what} can be read {}, and all reads that are left are under way", times(allowed.max));
        Err(Error::new(codes::TICKET_IN_USE, message).at(format!("table `{name}`")).hint(format!(
            "try again later: a read whose reader goes away is given back, after {} s at the latest",
            LEASE.as_secs()
        )))
    }

    /// Refuses a read when as many are remembered and under way as may be, and none can be forgotten with its commit: what
    /// is used must not be forgotten to make room.
    pub(super) fn check_room(&self, max: u64, claim: &Claim<'_>, now: Moment) -> Result<()> {
        let under_way = self.under_way.len() as u64;
        let remembered = if claim.ticket.is_some() { self.tickets.len() as u64 } else { 0 };
        let frees = || !self.tickets.forgettable(now, claim.durability).is_empty();
        if under_way < max && (remembered + under_way < max || frees()) {
            return Ok(());
        }
        let message =
            format!("{remembered} counted reads are remembered and {under_way} under way, which is all that can be");
        Err(Error::new(codes::MEMORY_FULL, message).hint(
            "try again later: used reads are forgotten when their tickets have expired; give such tickets a shorter `ttl`",
        ))
    }
}

fn times(max: u64) -> String {
    if max == 1 { "once".to_owned() } else { format!("{max} times") }
}
