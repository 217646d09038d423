//! The rows of a read.

use std::fmt;

use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_schema::SchemaRef;
use futures::StreamExt;

use crate::address::Address;
use crate::error;

/// The rows of a read, as they arrive. Dropping it cancels the read.
pub struct TableStream {
    address: Address,
    schema: SchemaRef,
    decoder: FlightDataDecoder,
}

impl TableStream {
    /// Waits for the schema, which is the first message.
    pub(crate) async fn open(address: Address, mut decoder: FlightDataDecoder) -> Result<Self> {
        let first = decoder.next().await.transpose().map_err(|error| error::from_flight(&address, &error))?;
        match first.map(|message| message.payload) {
            Some(DecodedPayload::Schema(schema)) => Ok(Self { address, schema, decoder }),
            _ => Err(Error::new(codes::MESSAGE_INVALID, "the first message is no schema")
                .at(format!("an answer of {address}"))),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch, or `None` at the end. Batches without rows, which a server sends while it has nothing to say,
    /// are passed over.
    ///
    /// # Errors
    /// What the server answers in the midst, and `connection_broken`. Nothing comes after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(message) = self.decoder.next().await {
            let message = message.map_err(|error| error::from_flight(&self.address, &error))?;
            if let DecodedPayload::RecordBatch(batch) = message.payload
                && batch.num_rows() > 0
            {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for TableStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStream").field("address", &self.address).field("schema", &self.schema).finish()
    }
}
