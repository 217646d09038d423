//! Tables that go by themselves, and [old rows](crate::window) of others.
//!
//! ```text
//! commit ──▶ deadline of the table, if its retention has one ──▶ Deadlines, in the order of time
//! read       gone from the deadline on, whatever the sweep does
//! sweep      the first deadline is over? ─▶ still so? ─▶ Job::Expire ─▶ as a drop: catalog, memory, disk
//!                                              └─ read or put since ─▶ its new deadline
//! ```
//!
//! Reads and puts only make a deadline later, so none of them touches the list: a table is looked at when its old deadline
//! comes due. A tick looks at the first entry and at nothing else.

mod deadlines;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{Durability, Result, TableId, TableName};
use tokio::sync::oneshot;

use crate::commit::Job;
use crate::plan::RowsGone;
use crate::shared::Shared;
use crate::uptime::Uptime;

pub(crate) use deadlines::Deadlines;

/// How often the sweep looks at the first deadline, when there is one.
const TICK: Duration = Duration::from_secs(1);

/// How often the uptime is saved while durable tables have deadlines: what a process that is killed loses of it.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// How long after a failure a table is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Tables that are dropped before the next are looked at.
const BATCH_MAX: usize = 64;

/// Why a table went by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryReason {
    /// Its `ttl` was over.
    Ttl,
    /// It was `idle` for too long.
    Idle,
    /// It was read as often as its rule `reads` lets it be.
    Reads,
}

impl ExpiryReason {
    /// Each reason and its word.
    pub const TABLE: [(Self, &str); 3] = [(Self::Ttl, "ttl"), (Self::Idle, "idle"), (Self::Reads, "reads")];

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::TABLE[self as usize].1
    }
}

/// When and why a table goes, as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) at: Uptime,
    pub(crate) reason: ExpiryReason,
}

/// What went of tables that stay, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiredRows {
    /// Rows.
    pub rows: u64,
    /// The bodies of their record batches and dictionaries.
    pub bytes: u64,
}

/// How many tables went, by reason, and how many rows of others.
#[derive(Debug, Default)]
pub(crate) struct ExpiredCounts {
    tables: [AtomicU64; ExpiryReason::TABLE.len()],
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl ExpiredCounts {
    pub(crate) fn get(&self, reason: ExpiryReason) -> u64 {
        self.tables[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn rows(&self) -> ExpiredRows {
        ExpiredRows { rows: self.rows.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Counts and logs rows that are gone.
    pub(crate) fn note_rows(&self, gone: &RowsGone) {
        let RowsGone { table, id, version, rows, bytes } = gone;
        self.rows.fetch_add(*rows, Ordering::Relaxed);
        self.bytes.fetch_add(*bytes, Ordering::Relaxed);
        tracing::info!(%table, %id, reason = "window", %version, rows, bytes, "old rows of a table are gone");
    }

    /// Counts and logs a table that is gone.
    pub(crate) fn note(&self, table: &TableName, id: TableId, reason: ExpiryReason) {
        self.tables[reason as usize].fetch_add(1, Ordering::Relaxed);
        tracing::info!(%table, %id, reason = reason.name(), "a table expired");
    }
}

/// Sweeps until the deadlines are stopped.
pub(crate) fn run_expiry(shared: &Shared) {
    let mut saved = shared.uptime.now();
    while shared.deadlines.wait(TICK) {
        sweep(shared);
        let now = shared.uptime.now();
        if shared.deadlines.has_durable() && now.saturating_since(saved) >= SAVE_EVERY {
            save_uptime(shared);
            saved = now;
        }
    }
}

/// Notes the deadlines of the tables that a start found.
pub(crate) fn watch_all(shared: &Shared) {
    let now = shared.uptime.now();
    for table in shared.index.list("") {
        let content = table.content();
        if let Some(due) = table.due(now) {
            shared.deadlines.watch(content.id, &content.table, content.durability, due);
        }
    }
}

/// Drops the tables and the rows that have expired.
pub(crate) fn sweep(shared: &Shared) {
    loop {
        let now = shared.uptime.now();
        let due = shared.deadlines.take_due(now, BATCH_MAX);
        if due.is_empty() {
            return;
        }
        let asked: Vec<_> =
            due.into_iter().filter_map(|(id, table)| Some((id, look_at(shared, id, &table, now)?, table))).collect();
        for (id, (durability, answer), table) in asked {
            match answer.blocking_recv().unwrap_or_else(|_| Err(shared.closed())) {
                Ok(true) => {}
                // Somebody read or put it at the last moment. The next round finds its new deadline.
                Ok(false) => shared.deadlines.watch(id, &table, durability, now),
                Err(error) => {
                    tracing::warn!(%table, %error, "what has expired of a table could not be removed yet");
                    let is_there = shared.index.get(&table).is_some_and(|table| table.content().id == id);
                    if is_there {
                        shared.deadlines.watch(id, &table, durability, now.saturating_add(RETRY));
                    }
                }
            }
        }
    }
}

/// Asks for the end of a table whose deadline is over, or of its old rows, or notes its new one.
fn look_at(shared: &Shared, id: TableId, name: &TableName, now: Uptime) -> Option<(Durability, Answer)> {
    let table = shared.index.get(name)?;
    let content = table.content();
    if content.id != id {
        return None;
    }
    let durability = content.durability;
    let due = table.due(now)?;
    if due > now {
        shared.deadlines.watch(id, name, durability, due);
        return None;
    }
    // Whoever holds the content is taken for a reader.
    drop((table, content));
    Some((durability, expire(shared, id, name, durability)))
}

type Answer = oneshot::Receiver<Result<bool>>;

fn expire(shared: &Shared, id: TableId, table: &TableName, durability: Durability) -> Answer {
    let (reply, answer) = oneshot::channel();
    shared.submit(durability, Job::Expire(table.clone(), id, reply));
    answer
}

/// Drops an expired table of another durability before a put makes one of the same name: the commits of the two go
/// different ways.
pub(crate) async fn make_way(shared: &Shared, name: &TableName, durability: Durability) {
    let Some(answer) = expire_other(shared, name, durability) else { return };
    // What fails here is a conflict of the put.
    let _ = answer.await;
}

fn expire_other(shared: &Shared, name: &TableName, durability: Durability) -> Option<Answer> {
    let table = shared.index.get(name)?;
    let content = table.content();
    let (id, has) = (content.id, content.durability);
    if has == durability || !table.is_expired(shared.uptime.now()) {
        return None;
    }
    drop((table, content));
    Some(expire(shared, id, name, has))
}

/// Has it saved how long the store has been open. Nobody waits for it: the log tells of a commit that failed, and then
/// tables expire later.
pub(crate) fn save_uptime(shared: &Shared) {
    let (reply, _) = oneshot::channel();
    shared.submit(Durability::Durable, Job::SaveUptime(reply));
}
