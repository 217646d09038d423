//! A read as a door sees it: the messages of a stream, in order, as they lie in the segments.

use airlane_model::{Result, TableInfo};
use airlane_segment::{Message, TableSchema};
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
pub struct ReadStream {}

impl ReadStream {
    /// The schema; its message is the first of the stream.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// The table in the version that is read.
    pub fn info(&self) -> &TableInfo {
        todo!()
    }

    /// The rows that the stream gives in all.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// The next message, or `None` at the end. Opening a segment that was not read since the start reads a file.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn next_message(&mut self) -> Result<Option<StreamMessage>> {
        todo!()
    }

    /// The next batch as arrays, or `None` at the end: for readers in this process.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        todo!()
    }
}
