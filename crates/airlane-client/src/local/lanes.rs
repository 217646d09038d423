//! Segments that are laid out beside each other, each by a thread of its own: most of what a put takes is the first touch of
//! the memory that it is written to, and processors can do that at once.
//!
//! ```text
//! batches ─┬─ lane: segment 0 ─┐
//!          └─ lane: segment 1 ─┴─▶ segments in order ─▶ server, which validates them meanwhile
//! ```

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use airlane_model::{Error, Result, codes};
use airlane_segment::{Cut, MemoryBudget, SealedMemfds, Segment, TableSchema, TableWriter, WriterOptions};
use arrow_array::RecordBatch;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

/// Lanes at once, where there are as many processors. Each holds a segment that is not handed over yet.
const LANES_MAX: usize = 4;

/// What waits to be laid out, in KiB: batches that stay in memory until then.
const WAITING_KIB_MAX: usize = 128 << 10;

/// The lanes of one put. Dropping them gives them up.
#[derive(Debug)]
pub(super) struct Lanes {
    schema: TableSchema,
    layout: WriterOptions,
    lanes: VecDeque<Lane>,
    lanes_max: usize,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Lane {
    /// Absent when all is given.
    batches: Option<UnboundedSender<Given>>,
    segments: UnboundedReceiver<Segment>,
    thread: JoinHandle<Result<()>>,
}

/// A batch, and the room that it takes while it waits.
#[derive(Debug)]
struct Given(RecordBatch, OwnedSemaphorePermit);

impl Lanes {
    pub(super) fn new(schema: TableSchema, layout: WriterOptions) -> Self {
        let lanes_max = available_parallelism().map_or(1, NonZero::get).min(LANES_MAX);
        Self { schema, layout, lanes: VecDeque::new(), lanes_max, room: Arc::new(Semaphore::new(WAITING_KIB_MAX)) }
    }

    /// Whether batches can be [given](Self::give).
    pub(super) fn is_open(&self) -> bool {
        self.lanes.back().is_some_and(|lane| lane.batches.is_some())
    }

    /// Whether another lane can be [opened](Self::open).
    pub(super) fn has_room(&self) -> bool {
        self.lanes.len() < self.lanes_max
    }

    /// Whether nothing is laid out.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Begins a segment beside those that were begun before.
    pub(super) fn open(&mut self) {
        self.end();
        let ((batches, given), (sealed, segments)) = (unbounded_channel(), unbounded_channel());
        let (schema, layout) = (self.schema.clone(), self.layout.clone());
        let thread = spawn_blocking(move || lay_out(writer(schema, layout), given, &sealed));
        self.lanes.push_back(Lane { batches: Some(batches), segments, thread });
    }

    /// Gives rows to the segment that was begun last; waits while too much waits.
    ///
    /// # Errors
    /// `internal` when none is open.
    pub(super) async fn give(&mut self, batch: RecordBatch, bytes: u64) -> Result<()> {
        let kib = usize::try_from(bytes >> 10).unwrap_or(usize::MAX).clamp(1, WAITING_KIB_MAX);
        let room = self.room.clone().acquire_many_owned(kib as u32).await.map_err(|_| none_open())?;
        let batches = self.lanes.back().and_then(|lane| lane.batches.as_ref()).ok_or_else(none_open)?;
        // One that has failed says so when it is asked for its segments.
        let _ = batches.send(Given(batch, room));
        Ok(())
    }

    /// Ends the segment that was begun last.
    pub(super) fn end(&mut self) {
        if let Some(lane) = self.lanes.back_mut() {
            lane.batches = None;
        }
    }

    /// Waits for what comes next: a segment, in order, or `None` when the first lane has ended, and there is room for another. A call that
    /// is given up loses none.
    ///
    /// # Errors
    /// As [`TableWriter::append`] and [`TableWriter::finish`].
    pub(super) async fn next(&mut self) -> Result<Option<Segment>> {
        let Some(lane) = self.lanes.front_mut() else { return Ok(None) };
        if let Some(segment) = lane.segments.recv().await {
            return Ok(Some(segment));
        }
        let ended = (&mut lane.thread)
            .await
            .map_err(|error| Error::new(codes::INTERNAL, format!("a segment was not laid out: {error}")).source(error));
        self.lanes.pop_front();
        ended?.map(|()| None)
    }

    /// Lays rows out here and now.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn at_once(&self, batches: &[RecordBatch]) -> Result<Vec<Segment>> {
        let mut writer = writer(self.schema.clone(), self.layout.clone());
        batches.iter().try_for_each(|batch| writer.append(batch))?;
        writer.finish()
    }
}

fn writer(schema: TableSchema, layout: WriterOptions) -> TableWriter {
    TableWriter::new(schema, layout, Box::new(SealedMemfds::new(MemoryBudget::unlimited()))).for_others()
}

fn lay_out(
    mut writer: TableWriter,
    mut given: UnboundedReceiver<Given>,
    sealed: &UnboundedSender<Segment>,
) -> Result<()> {
    while let Some(Given(batch, room)) = given.blocking_recv() {
        if sealed.is_closed() {
            return Ok(());
        }
        writer.append(&batch)?;
        drop((batch, room));
        for segment in writer.take_sealed(Cut::WhenFull)? {
            // Whoever has given the put up takes none.
            let _ = sealed.send(segment);
        }
    }
    if !sealed.is_closed() {
        for segment in writer.finish()? {
            let _ = sealed.send(segment);
        }
    }
    Ok(())
}

fn none_open() -> Error {
    Error::new(codes::INTERNAL, "rows were given to no segment")
}
