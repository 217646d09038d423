//! A put as a door sees it.

use airlane_model::{Receipt, Result};
use airlane_segment::TableSchema;
use arrow_array::RecordBatch;

/// Takes a put's messages or batches, then commits them. Dropping it leaves nothing behind.
pub struct PutStream {}

impl PutStream {
    /// The schema of the put.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// Begins a message; see `airlane_segment::Intake`.
    pub fn begin(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        let _ = (header, body_bytes);
        todo!()
    }

    /// Takes the next chunk of the message's body.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        let _ = chunk;
        todo!()
    }

    /// Ends the message.
    pub fn end(&mut self) -> Result<()> {
        todo!()
    }

    /// Takes a batch made in this process.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let _ = batch;
        todo!()
    }

    /// Makes the put visible; see `airlane_store::Put::commit`.
    pub async fn commit(self) -> Result<Receipt> {
        todo!()
    }
}
