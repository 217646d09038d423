//! What is used, what is claimed, and for how long: the steps that change it.

use airlane_model::{Durability, ReadId};

use super::{LEASE, State};
use crate::catalog::counts::{Counted, StoredCount};
use crate::uptime::Uptime;

impl State {
    pub(super) fn stored(&self, of: Counted) -> Option<StoredCount> {
        match of {
            Counted::Ticket(id) => self.tickets.get(id),
            // A count of an earlier version is of no table any more: a commit begins anew.
            Counted::Table(id, _) => self.tables.get(&id).copied().filter(|count| count.of == of),
        }
    }

    pub(super) fn used(&self, of: Counted) -> u64 {
        self.stored(of).map_or(0, |count| count.used)
    }

    pub(super) fn set_used(&mut self, count: StoredCount, durability: Durability) {
        match count.of {
            Counted::Ticket(id) => self.tickets.set(id, &count, durability),
            Counted::Table(id, _) => _ = self.tables.insert(id, count),
        }
    }

    pub(super) fn forget(&mut self, of: Counted) {
        match of {
            Counted::Ticket(id) => self.tickets.forget(id),
            Counted::Table(id, _) => _ = self.tables.remove(&id),
        }
    }

    pub(super) fn charge_all(&mut self) {
        self.charge.overdraw_to(self.tickets.bytes());
    }

    /// Gives back what nobody came for.
    pub(super) fn end_leases(&mut self, now: Uptime) {
        while let Some((lease, read)) = self.leases.first().copied().filter(|(lease, _)| *lease <= now) {
            self.leases.remove(&(lease, read));
            self.remove(read);
        }
    }

    /// A read without a stream is given back then.
    pub(super) fn lease(&mut self, read: ReadId, until: Uptime) {
        if let Some(under_way) = self.under_way.get_mut(&read) {
            under_way.lease = Some(until);
            self.leases.insert((until, read));
        }
    }

    pub(super) fn remove(&mut self, read: ReadId) {
        let Some(under_way) = self.under_way.remove(&read) else { return };
        if let Some(lease) = under_way.lease {
            self.leases.remove(&(lease, read));
        }
        under_way.claims().for_each(|of| self.unclaim(of));
    }

    /// A read is used.
    pub(super) fn end(&mut self, read: ReadId, now: Uptime) {
        if let Some(under_way) = self.under_way.get(&read) {
            if let Some(until) = under_way.confirmed {
                self.confirmed.insert(read, under_way.ticket, until);
            } else if !under_way.is_alone && !under_way.is_burnt {
                // Nobody can name one that is alone; and what must not be seen twice is lost rather.
                self.ended.insert(read, under_way.ticket, now.saturating_add(LEASE));
            }
        }
        self.remove(read);
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
