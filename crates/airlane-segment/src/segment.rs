//! A sealed segment: its messages as they lie in memory, and arrays that point into them.

use std::ops::Range;

use airlane_model::Result;
use arrow_array::RecordBatch;
use bytes::Bytes;

use crate::home::{Home, HomeKind};
use crate::schema::TableSchema;

/// Who wrote the bytes of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This server, which validated the data when it arrived; the caller has compared the checksum if the bytes were
    /// on disk in between.
    Validated,
    /// Somebody else: everything is checked and validated now.
    Foreign,
}

/// One IPC message: the flatbuffer (padded to 8, without continuation and length) and its body.
#[derive(Clone, Debug)]
pub struct Message {
    /// The flatbuffer of the `Message` table.
    pub header: Bytes,
    /// The body, whose buffers are aligned to 64 relative to its start.
    pub body: Bytes,
}

/// A dictionary of a segment.
#[derive(Clone, Debug)]
pub struct Dictionary {
    /// The dictionary's id in the schema.
    pub id: i64,
    /// xxh3 of the message's header and body, by which a stream sees that it need not be sent again.
    pub hash: u64,
    /// The dictionary batch message (never a delta).
    pub message: Message,
}

/// A complete, immutable segment.
#[derive(Debug)]
pub struct Segment {}

impl Segment {
    /// Opens the bytes of a home.
    ///
    /// # Errors
    /// `data_damaged` for validated bytes whose structure is wrong; `message_invalid`, `schema_invalid`,
    /// `data_invalid`, `limit_exceeded` for foreign ones.
    pub fn open(home: Home, trust: Trust) -> Result<Self> {
        let _ = (home, trust);
        todo!()
    }

    /// The schema.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// Rows of all batches.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// The bodies of record batches and dictionaries, in bytes: what a reader receives.
    pub fn payload_bytes(&self) -> u64 {
        todo!()
    }

    /// All bytes of the IPC file.
    pub fn file_bytes(&self) -> Bytes {
        todo!()
    }

    /// The label of its home, by which the store knows which of its files a finished segment lies in.
    pub fn label(&self) -> Option<u128> {
        todo!()
    }

    /// Where the bytes live.
    pub fn home_kind(&self) -> HomeKind {
        todo!()
    }

    /// xxh3-64 of all bytes of the IPC file.
    pub fn checksum(&self) -> u64 {
        todo!()
    }

    /// The number of record batches.
    pub fn batch_count(&self) -> usize {
        todo!()
    }

    /// The rows of batch `index`, as positions in this segment.
    pub fn batch_rows(&self, index: usize) -> Range<u64> {
        let _ = index;
        todo!()
    }

    /// The message of batch `index`, pointing into the home.
    pub fn message(&self, index: usize) -> Message {
        let _ = index;
        todo!()
    }

    /// The dictionaries, in the order of their ids.
    pub fn dictionaries(&self) -> &[Dictionary] {
        todo!()
    }

    /// Batch `index` as arrays that point into the home.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn batch(&self, index: usize) -> Result<RecordBatch> {
        let _ = index;
        todo!()
    }

    /// The message of the given rows of batch `index` (positions in this segment, inside the batch): the stored
    /// message where it is the whole batch, else a new one whose body is copied for these rows.
    ///
    /// # Errors
    /// `data_damaged`, `rows_out_of_range`.
    pub fn slice(&self, index: usize, rows: Range<u64>) -> Result<Message> {
        let _ = (index, rows);
        todo!()
    }
}
