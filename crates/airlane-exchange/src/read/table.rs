//! A read of a table: its messages as they lie in the segments, in order.

use std::collections::HashMap;
use std::sync::Arc;

use airlane_model::{Result, RowRange, TableInfo, Ticket};
use airlane_segment::encode::{PlainBatch, plain_schema};
use airlane_segment::segment::projected;
use airlane_segment::{Charge, Codec, MemoryUse, Projection, Segment, TableSchema};
use airlane_store::{CountedRead, Frames, SegmentRef, Snapshot};
use arrow_array::RecordBatch;

use super::StreamMessage;
use crate::Pause;
use packing::Packing;

mod made;
mod packing;

/// A segment of fewer bytes is compressed in less time than it takes to ask another thread for it.
const QUICK_BYTES_MAX: u64 = 32 << 10;

/// What a message is cut to.
const MADE_BYTES: u64 = 2 << 20;

/// Reads the rows that a ticket names from one pinned version. Messages are made when they are asked for: a reader
/// that stops costs nothing but the version it pins.
#[derive(Debug)]
pub(crate) struct TableRead {
    snapshot: Snapshot,
    range: RowRange,
    /// The next row.
    position: u64,
    /// The segments passed so far and the rows before the next one.
    segments_passed: usize,
    rows_passed: u64,
    current: Option<Current>,
    /// The columns, when they are not all.
    projection: Option<Projection>,
    /// How they are compressed, when the reader asked for it.
    packing: Option<Packing>,
    /// The schema in types that every reader knows, when the reader asked for them and they are others.
    plain: Option<TableSchema>,
    /// Where messages are that were compressed before.
    frames: Frames,
    /// What messages take that are made for this reader.
    made: Option<Charge>,
    /// The hash of the dictionary that was last sent under each id.
    dictionaries_sent: HashMap<i64, u64>,
    /// The ticket by which the read is gone on with, when it was asked for.
    resume: Option<Ticket>,
    /// Where the reads of the ticket or the table are counted, until the end.
    counted: Option<CountedRead>,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    /// The same, as the table has it.
    part: SegmentRef,
    /// The position of its first row in the version.
    base: u64,
    /// The bodies of its messages.
    bytes: u64,
    batch: usize,
    /// Whether the next rows begin where a read of all rows has a message begin.
    is_at_cut: bool,
    dictionary: usize,
    /// The present batch, weighed to be sent in plain types.
    weighed: Option<PlainBatch>,
}

impl TableRead {
    pub(crate) fn new(
        snapshot: Snapshot,
        range: RowRange,
        projection: Option<Projection>,
        frames: Frames,
        counted: Option<CountedRead>,
    ) -> Self {
        Self {
            snapshot,
            range,
            position: range.start,
            segments_passed: 0,
            rows_passed: 0,
            current: None,
            projection,
            packing: None,
            plain: None,
            frames,
            made: None,
            dictionaries_sent: HashMap::new(),
            resume: None,
            counted,
        }
    }

    pub(crate) fn resumed_by(self, resume: Option<Ticket>) -> Self {
        Self { resume, ..self }
    }

    /// The ticket by which the read can be gone on with, should it break: with it and the position of the first row that is
    /// missing. Only where that was [asked for](crate::ReadOptions).
    pub(crate) fn resume_ticket(&self) -> Option<&Ticket> {
        self.resume.as_ref()
    }

    /// Compresses the buffers of the messages that follow, where they shrink.
    pub(crate) fn compressed(self, codec: Option<Codec>) -> Self {
        let packing = codec.map(|codec| {
            let columns = self.projection.as_ref().map(Projection::columns);
            Packing::new(codec, self.frames.clone()).of(self.plain.is_some(), columns)
        });
        Self { packing, ..self }
    }

    /// Sends text and binary instead of views, lists instead of list views, and a row for each row of a run.
    ///
    /// # Errors
    /// `schema_invalid`.
    pub(crate) fn in_plain_types(self) -> Result<Self> {
        let plain = plain_schema(self.own_schema())?;
        let columns = self.projection.as_ref().map(Projection::columns);
        let packing = self.packing.map(|packing| packing.of(plain.is_some(), columns));
        Ok(Self { plain, packing, ..self })
    }

    /// The schema; its message is the first of the stream.
    pub(crate) fn schema(&self) -> &TableSchema {
        self.plain.as_ref().unwrap_or_else(|| self.own_schema())
    }

    /// The schema in the types of the table.
    fn own_schema(&self) -> &TableSchema {
        self.projection.as_ref().map_or_else(|| self.snapshot.schema(), Projection::schema)
    }

    /// The table in the version that is read.
    pub(crate) fn info(&self) -> &TableInfo {
        self.snapshot.info()
    }

    /// The position of the next row in the version.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The rows that the stream gives in all.
    pub(crate) fn rows(&self) -> u64 {
        self.range.rows()
    }

    /// Whether asking for the next message may take long: it lies in a segment that was not read since the start, so
    /// that a file is read, or it has to be compressed, written in plain types or made of some columns. Where reads are
    /// counted, a commit is waited for at the end, or before the first row.
    pub(crate) fn may_block(&self) -> bool {
        let is_at_end = self.position >= self.range.end;
        if self.counted.as_ref().is_some_and(|counted| is_at_end || counted.is_to_burn()) {
            return true;
        }
        let is_made = self.packing.is_some() || self.projection.is_some();
        let is_slow = |bytes: u64| self.plain.is_some() || (is_made && bytes > QUICK_BYTES_MAX);
        match &self.current {
            Some(current) => is_slow(current.bytes),
            None => self.next_segment().is_some_and(|next| !next.is_open() || is_slow(next.payload_bytes())),
        }
    }

    /// Whether messages are made for this read, which takes the time of a processor.
    pub(crate) fn is_costly(&self) -> bool {
        self.packing.is_some() || self.plain.is_some()
    }

    /// What can be said while the next message takes long.
    pub(crate) fn pause(&self) -> Pause {
        let ids = 0..self.schema().dictionaries().len() as i64;
        let missing = ids.filter(|id| !self.dictionaries_sent.contains_key(id)).collect();
        Pause::new(self.schema().clone(), self.position, missing)
    }

    /// The segment of the next row, when it is not the current one.
    fn next_segment(&self) -> Option<&SegmentRef> {
        if self.position >= self.range.end {
            return None;
        }
        let mut rows = self.rows_passed;
        self.snapshot.segments()[self.segments_passed..].iter().find(|segment| {
            rows += segment.rows();
            self.position < rows
        })
    }

    /// The next message, or `None` at the end. See [`may_block`](Self::may_block).
    ///
    /// # Errors
    /// `data_damaged`; `storage_full` when there is no memory to compress; `limit_exceeded`, `not_implemented` for what
    /// cannot be sent in plain types. Where reads are counted: `storage_full`, `storage_failed`, `commit_unknown`,
    /// `shutting_down` when that cannot be kept.
    pub(crate) fn next_message(&mut self) -> Result<Option<StreamMessage>> {
        if !self.find_segment()? {
            return self.end_count().map(|()| None);
        }
        self.begin_count()?;
        match self.next_dictionary()? {
            Some(dictionary) => Ok(Some(StreamMessage::Dictionary(dictionary))),
            None => self.next_rows(),
        }
    }

    /// Counts what the messages take that are made: one that is sent, and one that is made meanwhile. Reads go on when
    /// memory is short, and puts wait.
    fn charge(&mut self) {
        let is_made = self.packing.is_some() || self.projection.is_some() || self.plain.is_some();
        if is_made && self.made.is_none() {
            let bytes = 2 * MADE_BYTES.min(self.snapshot.info().bytes);
            self.made = Some(self.frames.budget().overdraw(MemoryUse::Reads, bytes));
        }
    }

    /// The next batch as arrays of the table's schema, or `None` at the end: for readers in this process.
    ///
    /// # Errors
    /// `data_damaged`, and as [`next_message`](Self::next_message) where reads are counted.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.find_segment()? {
            return self.end_count().map(|()| None);
        }
        self.begin_count()?;
        let Some(current) = &self.current else { return Ok(None) };
        let of_batch = current.segment.batch_rows(current.batch);
        let (start, end) = (self.position - current.base, of_batch.end.min(self.range.end - current.base));
        let batch = current.segment.batch_as(current.batch, self.snapshot.schema())?;
        let batch = project(batch, self.projection.as_ref())?;
        self.pass(end);
        Ok(Some(batch.slice((start - of_batch.start) as usize, (end - start) as usize)))
    }

    fn begin_count(&mut self) -> Result<()> {
        self.counted.as_mut().map_or(Ok(()), CountedRead::begin)
    }

    fn end_count(&mut self) -> Result<()> {
        // A read of no rows begins here, too.
        self.begin_count()?;
        self.counted.take().map_or(Ok(()), CountedRead::end)
    }

    /// Makes the segment of the next row the current one; false at the end.
    fn find_segment(&mut self) -> Result<bool> {
        self.charge();
        if self.position >= self.range.end {
            self.current = None;
            return Ok(false);
        }
        while self.current.is_none() {
            let Some(next) = self.snapshot.segments().get(self.segments_passed) else { return Ok(false) };
            let base = self.rows_passed;
            self.segments_passed += 1;
            self.rows_passed += next.rows();
            if self.position < self.rows_passed {
                let segment = next.open()?;
                let batch = batch_of(&segment, self.position - base);
                self.current = Some(Current {
                    base,
                    part: next.clone(),
                    bytes: next.payload_bytes(),
                    batch,
                    is_at_cut: segment.batch_rows(batch).start == self.position - base,
                    dictionary: 0,
                    weighed: None,
                    segment,
                });
            }
        }
        Ok(true)
    }

    /// Goes on to a position of the present segment, at most that of the end of the batch. Gives where the rows that are
    /// passed stand in the version.
    fn pass(&mut self, end: u64) -> RowRange {
        let start = self.position;
        let Some(current) = &mut self.current else { return RowRange { start, end: start } };
        self.position = current.base + end;
        if let Some(counted) = &mut self.counted {
            counted.handed_over(self.position);
        }
        if end == current.segment.batch_rows(current.batch).end {
            current.batch += 1;
            current.is_at_cut = true;
            current.weighed = None;
        }
        if current.batch >= current.segment.batch_count() {
            self.current = None;
        }
        RowRange { start, end: self.position }
    }
}

fn project(batch: RecordBatch, projection: Option<&Projection>) -> Result<RecordBatch> {
    match projection {
        None => Ok(batch),
        Some(projection) => projected(&batch, projection.columns()),
    }
}

/// The batch of a segment that holds a row. Batches without rows do not exist in a segment.
fn batch_of(segment: &Segment, row: u64) -> usize {
    let (mut low, mut high) = (0, segment.batch_count());
    while low < high {
        let middle = usize::midpoint(low, high);
        if segment.batch_rows(middle).end <= row { low = middle + 1 } else { high = middle }
    }
    low
}
