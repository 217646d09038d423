//! Messages of one incoming stream to validated record batches.

use airlane_model::Result;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;

use crate::check::DecodeLimits;
use crate::schema::TableSchema;

/// Decodes the dictionary and record batch messages of one stream. Dictionaries are resolved: each batch carries the
/// dictionary values that hold for it.
#[derive(Debug)]
pub struct StreamDecoder {}

impl StreamDecoder {
    /// A decoder for the messages after `schema_header`, the stream's own schema message (whose dictionary ids the
    /// following messages use).
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn new(schema_header: &[u8], limits: DecodeLimits) -> Result<Self> {
        let _ = (schema_header, limits);
        todo!()
    }

    /// The schema, with canonical dictionary ids.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// Judges the header of the next message and the length of its body, before the body is there.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`.
    pub fn check(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        let _ = (header, body_bytes);
        todo!()
    }

    /// Decodes and validates a message that `check` accepted. A dictionary message answers `None`.
    /// Without compression the arrays point into `body`.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`, `limit_exceeded`.
    pub fn decode(&mut self, header: &[u8], body: Buffer) -> Result<Option<RecordBatch>> {
        let _ = (header, body);
        todo!()
    }
}
