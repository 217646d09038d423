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
//! What was under way to the reader when the last row left may not arrive. So a read that is used can be gone on with for as long
//! as a lease: from a later row, and without being counted again.
//!
//! Claims live in memory: a restart gives them back. What is used is in the catalog of the table's durability.

mod covered;
mod ended;
mod refusals;
mod request;
mod state;
mod stream;
mod tickets;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use airlane_model::{Durability, Error, ReadId, Result, RowRange, TableId, TableName, TicketId, Version, codes};
use airlane_segment::{Charge, MemoryBudget, MemoryUse};
use parking_lot::Mutex;

use crate::catalog::counts::{Counted, StoredCount, StoredCounts};
use crate::uptime::{Moment, Uptime};

use covered::{Broken, Covered};
use ended::Ended;
pub(crate) use request::{CountRequest, Step};
pub use stream::{CountedRead, ReadSpec, TicketCount};
use tickets::Tickets;

/// How long a read waits for its next part, counted from the end of the last one.
pub const LEASE: Duration = Duration::from_secs(60);

/// All counts of a store.
#[derive(Debug)]
pub(crate) struct Counts {
    state: Mutex<State>,
    /// Tickets whose reads are remembered or under way, at most.
    tickets_max: u64,
}

#[derive(Debug)]
struct State {
    tickets: Tickets,
    /// Of each table, for the version it had.
    tables: HashMap<TableId, StoredCount>,
    under_way: HashMap<ReadId, UnderWay>,
    /// Reads without a stream, in the order in which their leases end.
    leases: BTreeSet<(Uptime, ReadId)>,
    /// How many reads that are under way are not used yet.
    claims: HashMap<Counted, u64>,
    ended: Ended,
    /// Reads that were confirmed: a reader that did not hear the answer asks again.
    confirmed: Ended,
    damaged: Vec<[u8; 16]>,
    /// The memory of the counts of tickets.
    charge: Charge,
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
    /// What a catalog holds. No more than so many tickets are counted at once, and no more than an eighth of the memory is
    /// used for that.
    pub(crate) fn load(stored: StoredCounts, tickets_max: u64, budget: &MemoryBudget) -> Self {
        let tickets_max = tickets_max.min(budget.limit().as_u64() / 8 / tickets::EPHEMERAL_TICKET_BYTES);
        let charge = budget.begin(MemoryUse::Remembered);
        let (tickets, tables, under_way, leases, claims, ended, confirmed, damaged) = Default::default();
        let state = State { tickets, tables, under_way, leases, claims, ended, confirmed, damaged, charge };
        let counts = Self { state: Mutex::new(state), tickets_max };
        let mut state = counts.state.lock();
        if !stored.damaged.is_empty() {
            let rows = stored.damaged.len();
            tracing::error!(rows, "counts of reads are damaged; tickets and tables that they may be of are refused");
        }
        state.damaged = stored.damaged;
        stored.counts.into_iter().for_each(|count| state.set_used(count, Durability::Durable));
        state.charge_all();
        drop(state);
        counts
    }

    /// Begins a stream of a read: its first claims, the others join. Answers whether the stream counts: one that goes on with
    /// a read that is used does not.
    fn begin(&self, read: ReadId, claim: &Claim<'_>, moment: Moment) -> Result<bool> {
        let now = moment.uptime;
        let mut state = self.state.lock();
        state.end_leases(now);
        if let Some(under_way) = state.under_way.get_mut(&read) {
            under_way.open += 1;
            under_way.is_to_confirm |= claim.is_to_confirm;
            under_way.covered.resume(claim.stream);
            claim.arrived.into_iter().for_each(|rows| under_way.covered.add(rows));
            if let Some(lease) = under_way.lease.take() {
                state.leases.remove(&(lease, read));
            }
            return Ok(true);
        }
        if claim.arrived.is_some() && state.ended.holds(read, now).is_some() {
            return Ok(false);
        }
        for allowed in claim.ticket.iter().chain(&claim.table) {
            state.check(*allowed, claim.name)?;
        }
        state.check_room(self.tickets_max, claim, moment)?;
        let ticket = claim.ticket.and_then(|allowed| match allowed.of {
            Counted::Ticket(id) => Some(id),
            Counted::Table(..) => None,
        });
        let table = claim.table.and_then(|allowed| match allowed.of {
            Counted::Table(id, version) => Some((id, version)),
            Counted::Ticket(_) => None,
        });
        let mut covered = Covered::default();
        claim.arrived.into_iter().for_each(|rows| covered.add(rows));
        let under_way = UnderWay {
            ticket,
            table,
            rows: claim.rows,
            covered,
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
        Ok(true)
    }

    /// Refuses a ticket that is used up, unless for a part of a read that is under way or has just ended.
    fn check_used(
        &self,
        ticket: TicketId,
        max: u64,
        read: Option<ReadId>,
        name: &TableName,
        now: Uptime,
    ) -> Result<()> {
        let state = self.state.lock();
        let of_read = |read| {
            let under_way = state.under_way.get(&read).map(|read| read.ticket);
            under_way.or_else(|| state.ended.holds(read, now)).flatten()
        };
        if read.and_then(of_read) == Some(ticket) {
            return Ok(());
        }
        state.check_used(Allowed { of: Counted::Ticket(ticket), max }, name)
    }

    /// A stream came to the end of its rows. Tells whether the read did, and is to be committed by the asker.
    fn deliver(&self, read: ReadId, rows: RowRange) -> bool {
        let mut state = self.state.lock();
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
        let mut state = self.state.lock();
        state.end_leases(now);
        if state.confirmed.holds(read, now).is_some() {
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

    /// A stream is gone; `broken` tells where it broke off.
    fn leave(&self, read: ReadId, broken: Broken, now: Uptime) {
        let mut state = self.state.lock();
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
        let state = self.state.lock();
        let Some(under_way) = state.under_way.get(&read) else { return Uses::default() };
        Uses {
            ticket: under_way.ticket.filter(|_| !under_way.is_burnt),
            table: under_way.table.filter(|_| step == Step::End),
        }
    }

    /// What is used; `None` when nothing is.
    pub(crate) fn stored(&self, of: Counted) -> Option<StoredCount> {
        self.state.lock().stored(of)
    }

    /// Counts in the catalog of a durability that are of no use any more.
    pub(crate) fn forgettable(&self, now: Moment, durability: Durability) -> Vec<Counted> {
        let due = self.state.lock().tickets.forgettable(now, durability);
        due.into_iter().map(Counted::Ticket).collect()
    }

    /// Takes over what was committed.
    pub(crate) fn publish(&self, outcome: Counting, durability: Durability, now: Uptime) {
        let mut state = self.state.lock();
        for (read, step) in outcome.steps {
            match step {
                Step::Burn => state.burn(read),
                Step::End => state.end(read, now),
            }
        }
        outcome.counts.into_iter().for_each(|count| state.set_used(count, durability));
        outcome.forgotten.into_iter().for_each(|of| state.forget(of));
        state.charge_all();
    }

    /// A table is gone, and its count with it.
    pub(crate) fn forget_table(&self, table: TableId) {
        self.state.lock().tables.remove(&table);
    }

    /// A step was not committed.
    fn give_up(&self, read: ReadId) {
        let mut state = self.state.lock();
        let Some(under_way) = state.under_way.get_mut(&read) else { return };
        under_way.is_ending = false;
        let lease = under_way.confirmed.take().filter(|_| under_way.open == 0);
        if let Some(lease) = lease {
            state.lease(read, lease);
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.tickets.len() + state.tables.len(), state.under_way.len())
    }

    pub(crate) fn all(&self) -> Vec<StoredCount> {
        let state = self.state.lock();
        let mut all: Vec<StoredCount> = state.tickets.all().chain(state.tables.values().copied()).collect();
        all.sort_by_key(|count| count.of);
        all
    }
}

/// What the first stream of a read claims.
struct Claim<'a> {
    name: &'a TableName,
    durability: Durability,
    ticket: Option<Allowed>,
    table: Option<Allowed>,
    /// All rows of the read.
    rows: RowRange,
    /// Those of this stream.
    stream: RowRange,
    /// Those that the reader has from a stream before, by its own word.
    arrived: Option<RowRange>,
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
