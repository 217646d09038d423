//! What the catalog keeps of counted reads: how many are used, by ticket and by table.

use airlane_model::{TableId, TicketId, Timestamp, Version};

use crate::uptime::Uptime;

/// What reads are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// A signed ticket, and all that were narrowed from it.
    Ticket(TicketId),
    /// A table since its last put, by the version that this made.
    Table(TableId, Version),
}

/// The reads that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCount {
    /// Of what.
    pub of: Counted,
    /// So many; at least one.
    pub used: u64,
    /// When it may be forgotten: when both clocks are past it. Nothing for tables, whose count goes with them.
    pub until: Until,
}

/// An end, by the wall clock and in the time of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until {
    /// In the time of the store, which nobody can set.
    pub uptime: Uptime,
    /// By the wall clock, which decides whether a ticket has expired.
    pub wall: Timestamp,
}

/// All counts of a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCounts {
    /// Those that can be believed, in the order of what they are of.
    pub counts: Vec<StoredCount>,
    /// The ids in rows that are damaged. One half of such an id may be wrong, too.
    pub damaged: Vec<[u8; 16]>,
}
