//! Merging: runs of small segments become larger ones, in the background and in one transaction.
//!
//! Readers and the version do not notice: the rows and their order stay. The commit is a compare-and-swap: when the
//! segments are no longer those of the table, the work is thrown away.

mod policy;

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use airlane_model::{Error, Result, TableName, codes};
use airlane_segment::{TableSchema, TableWriter};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use crate::commit::Job;
use crate::content::Content;
use crate::failpoint::failpoint;
use crate::request::{MergeRequest, Written};
use crate::shared::Shared;
use crate::slot::SegmentRef;
use crate::window::Span;

/// Small segments of a table from which on appends wait for the merge.
const SMALL_SEGMENTS_MAX: usize = 1_024;

/// Tables that wait for a merge.
#[derive(Debug)]
pub(crate) struct MergeQueue {
    state: Mutex<State>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<TableName>,
    queued: HashSet<TableName>,
    busy: bool,
    stop: bool,
}

/// Changes with every merge that ends, well or not.
#[derive(Clone, Debug, Default)]
struct Progress {
    failed: Option<(TableName, Arc<Error>)>,
}

impl MergeQueue {
    pub(crate) fn new() -> Self {
        let (progress, _) = watch::channel(Progress::default());
        Self { state: Mutex::default(), wake: Condvar::new(), progress }
    }

    /// Queues a table if there is something to merge.
    pub(crate) fn consider(&self, shared: &Shared, table: &TableName) {
        let content = shared.index.get(table).map(|table| table.content());
        if content.is_some_and(|content| next_run(shared, &content).is_some()) {
            self.push(table);
        }
    }

    fn push(&self, table: &TableName) {
        let mut state = self.state.lock();
        if state.queued.insert(table.clone()) {
            state.waiting.push_back(table.clone());
            self.wake.notify_all();
        }
    }

    /// The next table, waiting for one; `None` when merging ends.
    fn next(&self) -> Option<TableName> {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(table) = take(&mut state) {
                return Some(table);
            }
            self.wake.wait(&mut state);
        }
    }

    fn done(&self, failed: Option<(TableName, Arc<Error>)>) {
        self.state.lock().busy = false;
        self.wake.notify_all();
        self.progress.send_replace(Progress { failed });
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
        self.progress.send_replace(Progress::default());
    }

    fn is_stopping(&self) -> bool {
        self.state.lock().stop
    }

    /// Blocks until nothing waits to be merged.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while !state.stop && (state.busy || !state.waiting.is_empty()) {
            self.wake.wait(&mut state);
        }
    }
}

fn take(state: &mut State) -> Option<TableName> {
    let table = state.waiting.pop_front()?;
    state.queued.remove(&table);
    state.busy = true;
    Some(table)
}

/// Merges until the queue is stopped.
pub(crate) fn run_merges(shared: &Shared) {
    while let Some(table) = shared.merges.next() {
        merge_queued(shared, table);
    }
}

/// Does one merge that waits, if there is one: what the thread does, for a test to drive.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn step(shared: &Shared) -> bool {
    let table = take(&mut shared.merges.state.lock());
    table.map(|table| merge_queued(shared, table)).is_some()
}

/// Waits while a table has more small segments than it should: appends must not outrun the merge.
pub(crate) async fn wait_for_room(shared: &Shared, table: &TableName) -> Result<()> {
    let mut progress = shared.merges.progress.subscribe();
    while is_crowded(shared, table) {
        shared.check_open()?;
        shared.merges.push(table);
        if progress.changed().await.is_err() {
            return Err(shared.closed());
        }
        if let Some((failed, error)) = &progress.borrow_and_update().failed
            && failed == table
        {
            return Err(error.again().at(format!("table `{table}`, merging its small segments")));
        }
    }
    Ok(())
}

fn is_crowded(shared: &Shared, table: &TableName) -> bool {
    let Some(table) = shared.index.get(table) else { return false };
    let content = table.content();
    policy::count_small(sizes(&content), large(shared)) > SMALL_SEGMENTS_MAX
}

fn merge_queued(shared: &Shared, table: TableName) {
    let failed = match merge_caught(shared, &table) {
        Ok(()) => {
            shared.merges.consider(shared, &table);
            None
        }
        Err(error) => {
            tracing::warn!(%table, ?error, "small segments could not be merged; the next append tries again");
            Some((table, Arc::new(error)))
        }
    };
    shared.merges.done(failed);
}

/// One merge. Where it panics its segments are left as they are from then on: tried again they would panic again, and
/// without this thread no table would be merged any more, and appends would wait for ever.
fn merge_caught(shared: &Shared, table: &TableName) -> Result<()> {
    catch_unwind(AssertUnwindSafe(|| merge_once(shared, table))).unwrap_or_else(|_| {
        if let Some(content) = shared.index.get(table).map(|table| table.content())
            && let Some(old) = next_run(shared, &content).and_then(|range| content.segments.get(range))
        {
            old.iter().for_each(SegmentRef::settle);
        }
        Err(Error::new(codes::INTERNAL, "merging small segments panicked; they stay as they are"))
    })
}

fn next_run(shared: &Shared, content: &Content) -> Option<Range<usize>> {
    let now = shared.uptime.now();
    let spans = content.segments.iter().map(|segment| Span::of(&content.retention, segment.uptime(), now));
    let segments: Vec<(u64, Span)> = sizes(content).zip(spans).collect();
    policy::plan(&segments, large(shared))
}

/// Payload bytes; segments that cannot be merged count as large.
fn sizes(content: &Content) -> impl Iterator<Item = u64> {
    content.segments.iter().map(|segment| if segment.is_settled() { u64::MAX } else { segment.payload_bytes() })
}

fn large(shared: &Shared) -> u64 {
    shared.writer.segment_bytes_target.as_u64() / 2
}

fn merge_once(shared: &Shared, table: &TableName) -> Result<()> {
    let Some(content) = shared.index.get(table).map(|table| table.content()) else { return Ok(()) };
    let Some(old) = next_run(shared, &content).and_then(|range| content.segments.get(range)) else { return Ok(()) };
    failpoint!("merge.before");
    let staging = shared.staging(content.durability);
    let writer = TableWriter::new(content.schema.clone(), shared.writer.clone(), shared.homes(staging.as_ref()));
    let Some(segments) = rewrite(shared, old, &content.schema, writer)? else { return Ok(()) };
    if segments.len() >= old.len() {
        old.iter().for_each(SegmentRef::settle);
        return Ok(());
    }
    let rows = |rows: &mut dyn Iterator<Item = u64>| rows.sum::<u64>();
    let before = rows(&mut old.iter().map(SegmentRef::rows));
    let after = rows(&mut segments.iter().map(airlane_segment::Segment::rows));
    if before != after {
        let message = format!("merging segments of table `{table}` made {after} rows of {before}");
        return Err(Error::new(codes::INTERNAL, message));
    }
    let durability = content.durability;
    let chance = shared.chance.as_ref();
    let new = segments.into_iter().map(|segment| Written::new(segment, durability, chance)).collect();
    if let Some(staging) = &staging {
        staging.sync_names()?;
    }
    failpoint!("merge.written");
    let request = MergeRequest { table: table.clone(), id: content.id, old: old.to_vec(), new };
    let (reply, answer) = oneshot::channel();
    shared.submit(durability, Job::Merge(Box::new(request), staging, reply));
    let merged = answer.blocking_recv().unwrap_or_else(|_| Err(shared.closed()))?;
    failpoint!("merge.after");
    tracing::debug!(%table, segments = old.len(), rows = after, merged, "merged small segments");
    Ok(())
}

/// Writes the rows of some segments anew. `None` when there is no use in it: merging ends, or one of them is damaged.
fn rewrite(
    shared: &Shared,
    old: &[SegmentRef],
    schema: &TableSchema,
    mut writer: TableWriter,
) -> Result<Option<Vec<airlane_segment::Segment>>> {
    for part in old {
        let segment = match part.open() {
            Err(error) if error.code() == codes::DATA_DAMAGED => {
                // It stays as it is; its neighbours are merged without it.
                part.settle();
                return Ok(None);
            }
            opened => opened?,
        };
        for index in 0..segment.batch_count() {
            if shared.merges.is_stopping() {
                return Ok(None);
            }
            writer.append(&segment.batch_as(index, schema)?)?;
        }
    }
    writer.finish().map(Some)
}
