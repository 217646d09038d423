//! The used reads of tickets and tables in memory.

use std::collections::HashMap;

use airlane_model::{TableId, TicketId};

use crate::catalog::counts::{Counted, StoredCount, Until};

/// The counts. A table has one, whatever its version.
#[derive(Debug, Default)]
pub(super) struct MemoryCounts {
    /// There may be a million of them.
    tickets: HashMap<TicketId, (u64, Until)>,
    tables: HashMap<TableId, StoredCount>,
}

impl MemoryCounts {
    /// Sets a count; gives the one before.
    pub(super) fn set(&mut self, count: &StoredCount) -> Option<StoredCount> {
        match count.of {
            Counted::Ticket(id) => self.tickets.insert(id, (count.used, count.until)).map(|used| of_ticket(id, used)),
            Counted::Table(id, _) => self.tables.insert(id, *count),
        }
    }

    /// Takes a count out, of a table also that of another version.
    pub(super) fn remove(&mut self, of: Counted) -> Option<StoredCount> {
        match of {
            Counted::Ticket(id) => self.tickets.remove(&id).map(|used| of_ticket(id, used)),
            Counted::Table(id, _) => self.tables.remove(&id),
        }
    }

    /// All of them, in the order of what they are of.
    pub(super) fn all(&self) -> Vec<StoredCount> {
        let tickets = self.tickets.iter().map(|(id, used)| of_ticket(*id, *used));
        let mut all: Vec<StoredCount> = tickets.chain(self.tables.values().copied()).collect();
        all.sort_by_key(|count| count.of);
        all
    }
}

fn of_ticket(id: TicketId, (used, until): (u64, Until)) -> StoredCount {
    StoredCount { of: Counted::Ticket(id), used, until }
}
