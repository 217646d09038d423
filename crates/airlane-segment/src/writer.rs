//! Cuts a stream of record batches into segments.

use airlane_model::{ByteSize, Result, limits};
use arrow_array::RecordBatch;

use crate::home::HomeFactory;
use crate::schema::TableSchema;
use crate::segment::Segment;

/// The sizes of the layout; tests make them small.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// The payload of a record batch.
    pub batch_bytes_target: ByteSize,
    /// Batches below this are gathered.
    pub batch_bytes_min: ByteSize,
    /// Batches above this are sliced by rows.
    pub batch_bytes_max: ByteSize,
    /// The size at which a segment is sealed.
    pub segment_bytes_target: ByteSize,
    /// The size up to which a segment stays on the heap.
    pub segment_small_bytes_max: ByteSize,
    /// The union of a segment's dictionaries.
    pub dictionary_bytes_max: ByteSize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            batch_bytes_target: limits::BATCH_BYTES_TARGET,
            batch_bytes_min: limits::BATCH_BYTES_MIN,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            segment_bytes_target: limits::SEGMENT_BYTES_TARGET,
            segment_small_bytes_max: limits::SEGMENT_SMALL_BYTES_MAX,
            dictionary_bytes_max: limits::DICTIONARY_BYTES_MAX,
        }
    }
}

/// Writes one put's batches as segments, each sealed as soon as it is full.
pub struct TableWriter {}

impl TableWriter {
    /// A writer for batches of `schema`. Segments that outgrow the heap are made by `homes`.
    pub fn new(schema: TableSchema, options: WriterOptions, homes: Box<dyn HomeFactory>) -> Self {
        let _ = (schema, options, homes);
        todo!()
    }

    /// Adds a validated batch of the writer's schema (metadata is not compared). Batches are gathered and sliced to
    /// about the target size, dictionaries are unified.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`; `limit_exceeded` when one row is larger than a message can be.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let _ = batch;
        todo!()
    }

    /// Seals the tail. A put without rows gives one segment that holds the schema alone.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub fn finish(self) -> Result<Vec<Segment>> {
        todo!()
    }
}
