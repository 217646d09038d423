//! Rounds: tables leave memory, the least recently used first.
//!
//! What the catalog holds is let go of, since it can be read again. Ephemeral tables are written to files that have lost
//! their names before anybody reads them (see [`moves`](super::moves)). A reader that is in the middle of a segment keeps
//! the memory of it for as long as it needs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use airlane_model::ByteSize;
use airlane_segment::Segment;

use super::moves::{self, PACK_BYTES};
use crate::content::Table;
use crate::shared::Shared;
use crate::slot::{Residence, SegmentRef};
use crate::uptime::Uptime;

/// Does rounds as they are asked for, until the store closes.
pub(crate) fn run_rounds(shared: &Shared) {
    while shared.memory.next_round() {
        step(shared, shared.memory.options.low());
    }
}

/// Does a round, until no more than `target` is used.
pub(crate) fn step(shared: &Shared, target: ByteSize) {
    let outcome = catch_unwind(AssertUnwindSafe(|| round(shared, target)));
    let Round { moved_bytes, failure } = outcome.unwrap_or_else(|_| {
        tracing::error!("moving tables to disk panicked");
        Round { moved_bytes: 0, failure: Some("it panicked".to_owned()) }
    });
    if moved_bytes > 0 {
        tracing::debug!(moved_bytes, "moved tables out of memory");
    }
    let is_new = shared.memory.ended(moved_bytes > 0, failure.as_deref());
    // Not once for each put that is refused for it.
    if let Some(failure) = failure.filter(|_| is_new) {
        tracing::warn!(%failure, "ephemeral tables cannot be moved to disk; puts are refused while memory is short");
    }
}

#[derive(Default)]
struct Round {
    /// What left memory, or does when its readers are through with it.
    moved_bytes: u64,
    /// Why ephemeral tables could not be written.
    failure: Option<String>,
}

fn round(shared: &Shared, target: ByteSize) -> Round {
    let memory = &shared.memory;
    let before = memory.budget.used();
    memory.pool.clear();
    memory.frames.give_up(memory.budget.used().as_u64().saturating_sub(target.as_u64()));
    let used = memory.budget.used();
    let mut round = Round { moved_bytes: before.as_u64().saturating_sub(used.as_u64()), failure: None };
    let goal = used.as_u64().saturating_sub(target.as_u64());
    let mut freed = 0;
    let mut pack = Vec::new();
    let mut pack_bytes = 0;
    for (_, table) in candidates(shared) {
        if freed + pack_bytes >= goal {
            break;
        }
        let content = table.content();
        // Its rows go at different times, and the room of a file comes back with the last of what it holds.
        let is_apart = content.retention.window.is_some();
        for segment in &content.segments {
            if freed + pack_bytes >= goal {
                break;
            }
            match segment.residence() {
                Residence::Elsewhere => {}
                Residence::Again(bytes) => {
                    segment.let_go();
                    freed += bytes;
                }
                Residence::Memory(opened) if is_apart && round.failure.is_none() => {
                    freed += write(shared, vec![(segment.clone(), opened)], &mut round.failure);
                }
                Residence::Memory(opened) if round.failure.is_none() => {
                    pack_bytes += opened.file_bytes().len() as u64;
                    pack.push((segment.clone(), opened));
                }
                Residence::Memory(_) => {}
            }
            if pack_bytes >= PACK_BYTES {
                freed += write(shared, std::mem::take(&mut pack), &mut round.failure);
                pack_bytes = 0;
            }
        }
    }
    freed += write(shared, pack, &mut round.failure);
    // The blocks of what has moved came back to the pool.
    memory.pool.clear();
    round.moved_bytes += freed;
    round
}

/// Tables, the one that was not used for longest first. Their contents are not held: what is replaced meanwhile is to go.
fn candidates(shared: &Shared) -> Vec<(Uptime, Arc<Table>)> {
    let now = shared.uptime.now();
    let tables = shared.index.list("").into_iter();
    let mut tables: Vec<_> = tables.map(|table| (table.last_used(now), table)).collect();
    tables.sort_by_key(|(used, _)| *used);
    tables
}

/// Moves some segments to a file. Gives the bytes that left memory.
fn write(shared: &Shared, pack: Vec<(SegmentRef, Arc<Segment>)>, failure: &mut Option<String>) -> u64 {
    if pack.is_empty() {
        return 0;
    }
    let segments: Vec<&Segment> = pack.iter().map(|(_, opened)| opened.as_ref()).collect();
    match moves::to_disk(shared, &segments) {
        Ok(moved) => {
            shared.memory.spills.fetch_add(1, Ordering::Relaxed);
            let bytes = segments.iter().map(|segment| segment.file_bytes().len() as u64).sum();
            for ((segment, opened), moved) in pack.iter().zip(moved) {
                segment.replace(opened, moved);
            }
            bytes
        }
        Err(error) => {
            *failure = Some(error.message().to_owned());
            0
        }
    }
}
