//! Record batches to Flight messages.
//!
//! arrow-flight has an encoder too; it changes the type of some columns (a large list becomes a list) and loses the
//! ids of dictionaries inside maps. This one hands the schema to arrow-ipc as it is.

use std::collections::VecDeque;
use std::sync::Arc;

use airlane_model::limits::{BATCH_BYTES_MAX, BATCH_BYTES_TARGET};
use airlane_model::{Error, Result, codes};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::writer::{DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, DataType, SchemaRef};

use crate::size::payload_bytes;

/// Encodes the batches of one put.
pub(crate) struct Encoder {
    schema: SchemaRef,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
    queue: VecDeque<FlightData>,
}

impl Encoder {
    /// The schema message, which carries the descriptor, is the first in the queue.
    pub(crate) fn new(schema: SchemaRef, descriptor: FlightDescriptor) -> Self {
        let generator = IpcDataGenerator::default();
        let mut dictionaries = DictionaryTracker::new(false);
        let options = IpcWriteOptions::default();
        let message = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options);
        let first = FlightData { flight_descriptor: Some(descriptor), ..flight_data(message) };
        let context = IpcWriteContext::default();
        Self { schema, generator, dictionaries, options, context, queue: VecDeque::from([first]) }
    }

    /// The next message of what was encoded.
    pub(crate) fn pop(&mut self) -> Option<FlightData> {
        self.queue.pop_front()
    }

    /// Encodes a batch as messages of about 1 MiB, each after the dictionaries that changed.
    ///
    /// # Errors
    /// `schema_mismatch` for a batch of another schema.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let types_of = |schema: &SchemaRef| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        if types_of(batch.schema_ref()) != types_of(&self.schema) {
            return Err(Error::new(codes::SCHEMA_MISMATCH, "a batch differs from the schema of the put").at(format!(
                "expected {}, got {}",
                types(&self.schema),
                types(&batch.schema())
            )));
        }
        let pieces = payload_bytes(batch).div_ceil(BATCH_BYTES_TARGET.as_u64()).max(1);
        let rows = batch.num_rows().div_ceil(usize::try_from(pieces).unwrap_or(usize::MAX)).max(1);
        let mut start = 0;
        while start < batch.num_rows() {
            let piece = batch.slice(start, rows.min(batch.num_rows() - start));
            start += piece.num_rows();
            self.push_piece(&piece)?;
        }
        Ok(())
    }

    /// Rows differ in size: a piece that is still too large is halved.
    fn push_piece(&mut self, piece: &RecordBatch) -> Result<()> {
        if payload_bytes(piece) > BATCH_BYTES_MAX.as_u64() && piece.num_rows() > 1 {
            let middle = piece.num_rows() / 2;
            self.push_piece(&piece.slice(0, middle))?;
            return self.push_piece(&piece.slice(middle, piece.num_rows() - middle));
        }
        self.encode(piece).map_err(|error| Error::new(codes::DATA_INVALID, error.to_string()).at("a batch to put"))
    }

    fn encode(&mut self, piece: &RecordBatch) -> Result<(), ArrowError> {
        let columns = piece.columns().iter().map(compact).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(piece.num_rows()));
        let piece = RecordBatch::try_new_with_options(piece.schema(), columns, &options)?;
        let (dictionaries, batch) =
            self.generator.encode(&piece, &mut self.dictionaries, &self.options, &mut self.context)?;
        self.queue.extend(dictionaries.into_iter().map(flight_data));
        self.queue.push_back(flight_data(batch));
        Ok(())
    }
}

fn flight_data(encoded: EncodedData) -> FlightData {
    FlightData {
        data_header: encoded.ipc_message.into(),
        data_body: encoded.arrow_data.into(),
        ..FlightData::default()
    }
}

fn types(schema: &SchemaRef) -> String {
    schema.fields().iter().map(|field| field.data_type().to_string()).collect::<Vec<_>>().join(", ")
}

/// A slice of a view column drags the texts of all rows along; compacted, it has its own only.
fn compact(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests;
