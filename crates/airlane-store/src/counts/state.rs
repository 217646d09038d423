//! What is used, what is claimed, and for how long: the steps that change it.

use airlane_model::{Durability, Error, ReadId, Result, TableName, codes};

use super::{Allowed, LEASE, State, lane};
use crate::catalog::counts::{Counted, StoredCount};
use crate::uptime::Uptime;

impl State {
    pub(super) fn stored(&self, of: Counted) -> Option<StoredCount> {
        match of {
            Counted::Ticket(id) => self.tickets.get(&id).map(|(count, _)| *count),
            // A count of an earlier version is of no table any more: a commit begins anew.
            Counted::Table(id, _) => self.tables.get(&id).copied().filter(|count| count.of == of),
        }
    }

    pub(super) fn used(&self, of: Counted) -> u64 {
        self.stored(of).map_or(0, |count| count.used)
    }

    pub(super) fn set_used(&mut self, count: StoredCount, durability: Durability) {
        self.forget(count.of);
        match count.of {
            Counted::Ticket(id) => {
                self.ends[lane(durability)].insert((count.until, id));
                self.tickets.insert(id, (count, durability));
            }
            Counted::Table(id, _) => _ = self.tables.insert(id, count),
        }
    }

    pub(super) fn forget(&mut self, of: Counted) {
        match of {
            Counted::Ticket(id) => {
                if let Some((count, durability)) = self.tickets.remove(&id) {
                    self.ends[lane(durability)].remove(&(count.until, id));
                }
            }
            Counted::Table(id, _) => _ = self.tables.remove(&id),
        }
    }

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
            (true, Counted::Table(..)) => Err(crate::index::table_not_found(name)),
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

    /// Gives back what nobody came for.
    pub(super) fn end_leases(&mut self, now: Uptime) {
        while let Some((lease, read)) = self.leases.first().copied().filter(|(lease, _)| *lease <= now) {
            self.leases.remove(&(lease, read));
            self.remove(read);
        }
        while let Some(ended) = self.confirmed_ends.first().copied().filter(|(until, _)| *until <= now) {
            self.confirmed_ends.remove(&ended);
            self.confirmed.remove(&ended.1);
        }
    }

    pub(super) fn lease(&mut self, read: ReadId, until: Uptime) {
        if let Some(under_way) = self.under_way.get_mut(&read) {
            under_way.lease = Some(until);
            self.leases.insert((until, read));
        }
    }

    /// A read is used.
    pub(super) fn end(&mut self, read: ReadId) {
        let confirmed = self.under_way.get(&read).and_then(|under_way| under_way.confirmed);
        if let Some(until) = confirmed {
            self.confirmed.insert(read);
            self.confirmed_ends.insert((until, read));
        }
        self.remove(read);
    }

    pub(super) fn remove(&mut self, read: ReadId) {
        let Some(under_way) = self.under_way.remove(&read) else { return };
        if let Some(lease) = under_way.lease {
            self.leases.remove(&(lease, read));
        }
        under_way.claims().for_each(|of| self.unclaim(of));
    }

    pub(super) fn burn(&mut self, read: ReadId) {
        let Some(under_way) = self.under_way.get_mut(&read) else { return };
        let ticket = under_way.ticket.filter(|_| !under_way.is_burnt);
        under_way.is_burnt = true;
        if let Some(ticket) = ticket {
            self.unclaim(Counted::Ticket(ticket));
        }
    }

    pub(super) fn unclaim(&mut self, of: Counted) {
        if let Some(claims) = self.claims.get_mut(&of) {
            *claims = claims.saturating_sub(1);
            if *claims == 0 {
                self.claims.remove(&of);
            }
        }
    }
}

fn times(max: u64) -> String {
    if max == 1 { "once".to_owned() } else { format!("{max} times") }
}
