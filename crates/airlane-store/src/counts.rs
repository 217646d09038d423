//! Counted reads: how many of a ticket or a table are used, and which are under way.
//!
//! ```text
//! begin ──▶ claim: used + under way < max, else `ticket_used` or `ticket_in_use`
//!   │         └─ at most once: used at once, in the catalog before the first row
//! parts of one read join it: the flights of one FlightInfo, and what resumes them
//!   │
//! end ────▶ all rows delivered? ─ yes ─▶ used, in the catalog, before the reader hears of the end
//!                                └ no ──▶ given back: at once when it has one part, else when its lease is over
//!
//! A read that is to be confirmed is used when its reader says so, whatever was delivered; else it is given back when its
//! lease is over.
//! ```
//!
//! Claims live in memory: a restart gives them back. What is used is in the catalog of the table's durability.

mod covered;
mod request;
mod state;
mod stream;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use airlane_model::{Durability, Error, ReadId, Result, RowRange, TableId, TableName, TicketId, Version, codes};
use parking_lot::Mutex;

use crate::catalog::counts::{Counted, StoredCount, StoredCounts, Until};
use crate::uptime::{Moment, Uptime};

use covered::Covered;
pub(crate) use request::{CountRequest, Step};
pub use stream::{CountedRead, ReadSpec, TicketCount};

/// How long a read waits for its next part, counted from the end of the last one.
pub const LEASE: Duration = Duration::from_secs(60);

/// Counts that a commit forgets beside its own, at most.
const FORGOTTEN_MAX: usize = 64;

/// All counts of a store.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tickets: HashMap<TicketId, (StoredCount, Durability)>,
    /// Of each table, for the version it had.
    tables: HashMap<TableId, StoredCount>,
    /// Tickets in the order in which their counts may be forgotten, apart for each catalog.
    ends: [BTreeSet<(Until, TicketId)>; 2],
    under_way: HashMap<ReadId, UnderWay>,
    /// Reads without a stream, in the order in which their leases end.
    leases: BTreeSet<(Uptime, ReadId)>,
    /// How many reads that are under way are not used yet.
    claims: HashMap<Counted, u64>,
    /// Reads that were confirmed, for as long as a lease: a reader that did not hear the answer asks again.
    confirmed: HashSet<ReadId>,
    confirmed_ends: BTreeSet<(Uptime, ReadId)>,
    damaged: Vec<[u8; 16]>,
}

/// A read between its claim and its end.
#[derive(Debug)]
struct UnderWay {
    ticket: Option<TicketId>,
    table: Option<(TableId, Version)>,
    /// All rows of it.
    rows: RowRange,
    covered: Covered,
    /// Streams of it.
    open: usize,
    /// The end of its lease, while it has no stream.
    lease: Option<Uptime>,
    /// Its use of the ticket is in the catalog.
    is_burnt: bool,
    /// Its use is being committed.
    is_ending: bool,
    /// No other part of it can come.
    is_alone: bool,
    /// Its reader says when it has the rows; the end of a stream says nothing.
    is_to_confirm: bool,
    /// The lease that begins with its confirmation, if there was one.
    confirmed: Option<Uptime>,
}

impl UnderWay {
    /// What it holds a claim of.
    fn claims(&self) -> impl Iterator<Item = Counted> {
        let ticket = self.ticket.filter(|_| !self.is_burnt).map(Counted::Ticket);
        ticket.into_iter().chain(self.table.map(|(id, version)| Counted::Table(id, version)))
    }
}

/// A counter that a read is to use, and how often it allows that.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    of: Counted,
    max: u64,
}

impl Counts {
    /// What a catalog holds.
    pub(crate) fn load(stored: StoredCounts) -> Self {
        let counts = Self::default();
        let mut state = counts.0.lock();
        if !stored.damaged.is_empty() {
            let rows = stored.damaged.len();
            tracing::error!(rows, "counts of reads are damaged; tickets and tables that they may be of are refused");
        }
        state.damaged = stored.damaged;
        stored.counts.into_iter().for_each(|count| state.set_used(count, Durability::Durable));
        drop(state);
        counts
    }

    /// Begins a stream of a read: its first claims, the others join.
    fn begin(&self, read: ReadId, claim: &Claim<'_>, now: Uptime) -> Result<()> {
        let mut state = self.0.lock();
        state.end_leases(now);
        if let Some(under_way) = state.under_way.get_mut(&read) {
            under_way.open += 1;
            under_way.is_to_confirm |= claim.is_to_confirm;
            under_way.covered.resume(claim.stream.start);
            if let Some(lease) = under_way.lease.take() {
                state.leases.remove(&(lease, read));
            }
            return Ok(());
        }
        for allowed in claim.ticket.iter().chain(&claim.table) {
            state.check(*allowed, claim.name)?;
        }
        let ticket = claim.ticket.and_then(|allowed| match allowed.of {
            Counted::Ticket(id) => Some(id),
            Counted::Table(..) => None,
        });
        let table = claim.table.and_then(|allowed| match allowed.of {
            Counted::Table(id, version) => Some((id, version)),
            Counted::Ticket(_) => None,
        });
        let under_way = UnderWay {
            ticket,
            table,
            rows: claim.rows,
            covered: Covered::default(),
            open: 1,
            lease: None,
            is_burnt: false,
            is_ending: false,
            is_alone: claim.is_alone,
            is_to_confirm: claim.is_to_confirm,
            confirmed: None,
        };
        for of in under_way.claims() {
            *state.claims.entry(of).or_default() += 1;
        }
        state.under_way.insert(read, under_way);
        Ok(())
    }

    /// Refuses a ticket that is used up, unless for a part of a read that is under way.
    fn check_used(&self, ticket: TicketId, max: u64, read: Option<ReadId>, name: &TableName) -> Result<()> {
        let state = self.0.lock();
        if read.and_then(|read| state.under_way.get(&read)).is_some_and(|read| read.ticket == Some(ticket)) {
            return Ok(());
        }
        state.check_used(Allowed { of: Counted::Ticket(ticket), max }, name)
    }

    /// A stream came to the end of its rows. Tells whether the read did, and is to be committed by the asker.
    fn deliver(&self, read: ReadId, rows: RowRange) -> bool {
        let mut state = self.0.lock();
        let Some(under_way) = state.under_way.get_mut(&read) else { return false };
        under_way.covered.add(rows);
        if under_way.is_to_confirm || under_way.is_ending || !under_way.covered.holds(under_way.rows) {
            return false;
        }
        under_way.is_ending = true;
        true
    }

    /// A reader has all that it wants of a read. Tells whether that is to be committed by the asker: not when it was.
    fn confirm(&self, read: ReadId, name: &TableName, now: Uptime) -> Result<bool> {
        let mut state = self.0.lock();
        state.end_leases(now);
        if state.confirmed.contains(&read) {
            return Ok(false);
        }
        let until = now.saturating_add(LEASE);
        let lease = match state.under_way.get_mut(&read).filter(|under_way| under_way.is_to_confirm) {
            None => {
                let message = format!("no read of `{name}` waits to be confirmed by that ticket");
                return Err(Error::new(codes::READ_GIVEN_BACK, message)
                    .at(format!("table `{name}`"))
                    .hint("read it again; whoever reads now may get the same rows"));
            }
            Some(under_way) if under_way.is_ending => {
                return Err(Error::new(codes::TICKET_IN_USE, format!("the read of `{name}` is being confirmed"))
                    .at(format!("table `{name}`"))
                    .hint("confirm it again to hear of the outcome"));
            }
            Some(under_way) => {
                under_way.is_ending = true;
                under_way.confirmed = Some(until);
                under_way.lease.take()
            }
        };
        // Nobody gives it back while it is committed.
        if let Some(lease) = lease {
            state.leases.remove(&(lease, read));
        }
        Ok(true)
    }

    /// A stream is gone; `broken` is what it had handed over when it broke off.
    fn leave(&self, read: ReadId, broken: RowRange, now: Uptime) {
        let mut state = self.0.lock();
        let Some(under_way) = state.under_way.get_mut(&read) else { return };
        under_way.covered.break_off(broken);
        under_way.open = under_way.open.saturating_sub(1);
        if under_way.open > 0 {
            return;
        }
        if under_way.is_alone {
            state.remove(read);
            return;
        }
        if !under_way.is_ending {
            state.lease(read, now.saturating_add(LEASE));
        }
    }

    /// What a read uses when a step of it is committed.
    pub(crate) fn uses(&self, read: ReadId, step: Step) -> Uses {
        let state = self.0.lock();
        let Some(under_way) = state.under_way.get(&read) else { return Uses::default() };
        Uses {
            ticket: under_way.ticket.filter(|_| !under_way.is_burnt),
            table: under_way.table.filter(|_| step == Step::End),
        }
    }

    /// What is used; `None` when nothing is.
    pub(crate) fn stored(&self, of: Counted) -> Option<StoredCount> {
        self.0.lock().stored(of)
    }

    /// Counts in the catalog of a durability that are of no use any more.
    pub(crate) fn forgettable(&self, now: Moment, durability: Durability) -> Vec<Counted> {
        let state = self.0.lock();
        let ends = &state.ends[lane(durability)];
        let due = ends.iter().take(FORGOTTEN_MAX).take_while(|(until, _)| until.uptime < now.uptime);
        due.filter(|(until, _)| until.wall < now.wall).map(|(_, id)| Counted::Ticket(*id)).collect()
    }

    /// Takes over what was committed.
    pub(crate) fn publish(&self, outcome: Counting, durability: Durability) {
        let mut state = self.0.lock();
        for (read, step) in outcome.steps {
            match step {
                Step::Burn => state.burn(read),
                Step::End => state.end(read),
            }
        }
        outcome.counts.into_iter().for_each(|count| state.set_used(count, durability));
        outcome.forgotten.into_iter().for_each(|of| state.forget(of));
    }

    /// A table is gone, and its count with it.
    pub(crate) fn forget_table(&self, table: TableId) {
        self.0.lock().tables.remove(&table);
    }

    /// A step was not committed.
    fn give_up(&self, read: ReadId) {
        let mut state = self.0.lock();
        let Some(under_way) = state.under_way.get_mut(&read) else { return };
        under_way.is_ending = false;
        let lease = under_way.confirmed.take().filter(|_| under_way.open == 0);
        if let Some(lease) = lease {
            state.lease(read, lease);
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.tickets.len() + state.tables.len(), state.under_way.len())
    }

    pub(crate) fn all(&self) -> Vec<StoredCount> {
        let state = self.0.lock();
        let tickets = state.tickets.values().map(|(count, _)| count);
        let mut all: Vec<StoredCount> = tickets.chain(state.tables.values()).copied().collect();
        all.sort_by_key(|count| count.of);
        all
    }
}

/// What the first stream of a read claims.
struct Claim<'a> {
    name: &'a TableName,
    ticket: Option<Allowed>,
    table: Option<Allowed>,
    /// All rows of the read.
    rows: RowRange,
    /// Those of this stream.
    stream: RowRange,
    is_alone: bool,
    is_to_confirm: bool,
}

/// What a step of a read uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) ticket: Option<TicketId>,
    pub(crate) table: Option<(TableId, Version)>,
}

/// What a commit changed.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) counts: Vec<StoredCount>,
    pub(crate) forgotten: Vec<Counted>,
    pub(crate) steps: Vec<(ReadId, Step)>,
}

fn lane(durability: Durability) -> usize {
    usize::from(durability == Durability::Durable)
}
