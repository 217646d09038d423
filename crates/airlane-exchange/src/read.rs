//! A read as a door sees it: the messages of a stream, in order, as they lie in the segments.

use std::collections::HashMap;
use std::sync::Arc;

use airlane_model::{Result, RowRange, TableInfo};
use airlane_segment::{Message, Segment, TableSchema};
use airlane_store::Snapshot;
use arrow_array::RecordBatch;

/// One message of a stream after its schema.
#[derive(Clone, Debug)]
pub enum StreamMessage {
    /// A dictionary that holds from here on; sent only when it differs from the one sent before under its id.
    Dictionary(Message),
    /// A record batch.
    Batch {
        /// The message.
        message: Message,
        /// The position of its first row in the version.
        row_offset: u64,
        /// Its rows.
        rows: u64,
    },
}

/// Reads the rows that a ticket names from one pinned version. Messages are made when they are asked for: a reader
/// that stops costs nothing but the version it pins.
#[derive(Debug)]
pub struct ReadStream {
    snapshot: Snapshot,
    range: RowRange,
    /// The next row.
    position: u64,
    /// The segments passed so far and the rows before the next one.
    segments_passed: usize,
    rows_passed: u64,
    current: Option<Current>,
    /// The hash of the dictionary that was last sent under each id.
    dictionaries_sent: HashMap<i64, u64>,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    /// The position of its first row in the version.
    base: u64,
    batch: usize,
    dictionary: usize,
}

/// Where the next rows lie.
struct Piece {
    segment: Arc<Segment>,
    batch: usize,
    /// Positions in the segment.
    rows: std::ops::Range<u64>,
    row_offset: u64,
}

impl ReadStream {
    pub(crate) fn new(snapshot: Snapshot, range: RowRange) -> Self {
        Self {
            snapshot,
            range,
            position: range.start,
            segments_passed: 0,
            rows_passed: 0,
            current: None,
            dictionaries_sent: HashMap::new(),
        }
    }

    /// The schema; its message is the first of the stream.
    pub fn schema(&self) -> &TableSchema {
        self.snapshot.schema()
    }

    /// The table in the version that is read.
    pub fn info(&self) -> &TableInfo {
        self.snapshot.info()
    }

    /// The rows that the stream gives in all.
    pub fn rows(&self) -> u64 {
        self.range.rows()
    }

    /// Whether the next message lies in a segment that was not read since the start, so that asking for it reads a
    /// file and may block.
    pub fn will_open(&self) -> bool {
        if self.current.is_some() || self.position >= self.range.end {
            return false;
        }
        let mut rows = self.rows_passed;
        let next = self.snapshot.segments()[self.segments_passed..].iter().find(|segment| {
            rows += segment.rows();
            self.position < rows
        });
        next.is_some_and(|segment| !segment.is_open())
    }

    /// The next message, or `None` at the end. Opening a segment that was not read since the start reads a file.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn next_message(&mut self) -> Result<Option<StreamMessage>> {
        if !self.find_segment()? {
            return Ok(None);
        }
        if let Some(dictionary) = self.next_dictionary() {
            return Ok(Some(StreamMessage::Dictionary(dictionary)));
        }
        let Some(piece) = self.next_piece() else { return Ok(None) };
        let rows = piece.rows.end - piece.rows.start;
        let message = if piece.rows == piece.segment.batch_rows(piece.batch) {
            piece.segment.message(piece.batch)
        } else {
            piece.segment.slice(piece.batch, piece.rows)?
        };
        Ok(Some(StreamMessage::Batch { message, row_offset: piece.row_offset, rows }))
    }

    /// The next batch as arrays of the table's schema, or `None` at the end: for readers in this process.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.find_segment()? {
            return Ok(None);
        }
        let Some(piece) = self.next_piece() else { return Ok(None) };
        let batch = piece.segment.batch_as(piece.batch, self.snapshot.schema())?;
        let before = (piece.rows.start - piece.segment.batch_rows(piece.batch).start) as usize;
        Ok(Some(batch.slice(before, (piece.rows.end - piece.rows.start) as usize)))
    }

    /// Makes the segment of the next row the current one; false at the end.
    fn find_segment(&mut self) -> Result<bool> {
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
                self.current = Some(Current { segment, base, batch, dictionary: 0 });
            }
        }
        Ok(true)
    }

    fn next_dictionary(&mut self) -> Option<Message> {
        let current = self.current.as_mut()?;
        while let Some(dictionary) = current.segment.dictionaries().get(current.dictionary) {
            current.dictionary += 1;
            if self.dictionaries_sent.insert(dictionary.id, dictionary.hash) != Some(dictionary.hash) {
                return Some(dictionary.message.clone());
            }
        }
        None
    }

    fn next_piece(&mut self) -> Option<Piece> {
        let current = self.current.as_mut()?;
        let batch_rows = current.segment.batch_rows(current.batch);
        let start = self.position - current.base;
        let end = batch_rows.end.min(self.range.end - current.base);
        let piece = Piece {
            segment: Arc::clone(&current.segment),
            batch: current.batch,
            rows: start..end,
            row_offset: self.position,
        };
        self.position = current.base + end;
        current.batch += 1;
        if current.batch >= current.segment.batch_count() {
            self.current = None;
        }
        Some(piece)
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
