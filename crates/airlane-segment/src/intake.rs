//! The way of a put: messages of a stranger in, sealed segments out.

use airlane_model::Result;
use arrow_array::RecordBatch;

use crate::check::DecodeLimits;
use crate::home::HomeFactory;
use crate::schema::TableSchema;
use crate::segment::Segment;
use crate::writer::WriterOptions;

/// Takes the messages of one put, piece by piece as they arrive, and lays them out.
///
/// For each message: [`begin`](Self::begin) with its header, [`body`](Self::body) for each chunk, [`end`](Self::end).
/// Batches that are made in this process go to [`append`](Self::append) instead. After an error the intake is of no
/// further use; dropping it leaves nothing behind.
pub struct Intake {}

impl Intake {
    /// For a stream that begins with this schema message.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn from_message(
        schema_header: &[u8],
        limits: DecodeLimits,
        options: WriterOptions,
        homes: Box<dyn HomeFactory>,
    ) -> Result<Self> {
        let _ = (schema_header, limits, options, homes);
        todo!()
    }

    /// For batches of this process.
    pub fn from_schema(schema: TableSchema, options: WriterOptions, homes: Box<dyn HomeFactory>) -> Self {
        let _ = (schema, options, homes);
        todo!()
    }

    /// The schema of the put.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// Begins a message: judges its header and the length of the body that will follow.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`.
    pub fn begin(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        let _ = (header, body_bytes);
        todo!()
    }

    /// Takes the next chunk of the body. Memory grows with what arrives, never with what was announced.
    ///
    /// # Errors
    /// `message_invalid` for more than was announced; `storage_full`, `storage_failed`.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        let _ = chunk;
        todo!()
    }

    /// Ends the message: validates and lays out its rows.
    ///
    /// # Errors
    /// `message_invalid` for less than was announced; `data_invalid`; `limit_exceeded`; `storage_full`,
    /// `storage_failed`.
    pub fn end(&mut self) -> Result<()> {
        todo!()
    }

    /// Takes a batch made in this process.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`, `limit_exceeded`.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let _ = batch;
        todo!()
    }

    /// Seals what was taken; at least one segment.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub fn finish(self) -> Result<Vec<Segment>> {
        todo!()
    }
}
