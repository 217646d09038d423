//! Writes CSV, by arrow-csv.

use airlane_model::Result;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::BatchWriter;
use crate::error::{from_arrow, invalid};

/// Writes CSV with a header line; nulls are empty fields.
pub(crate) struct Writer {
    inner: arrow_csv::Writer<Box<dyn std::io::Write + Send>>,
    schema: SchemaRef,
    begun: bool,
}

impl Writer {
    pub(crate) fn new(output: Box<dyn std::io::Write + Send>, schema: SchemaRef) -> Result<Self> {
        if let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
            let place = format!("column \"{}\" of type {}", field.name(), field.data_type());
            return Err(invalid("CSV has no nested columns", place).hint("write Parquet, Arrow or NDJSON"));
        }
        Ok(Self { inner: arrow_csv::WriterBuilder::new().with_header(true).build(output), schema, begun: false })
    }
}

impl BatchWriter for Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.begun = true;
        self.inner.write(batch).map_err(|error| from_arrow(error, "the CSV output"))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.begun {
            // Also a table without rows has a header line.
            self.write(&RecordBatch::new_empty(self.schema.clone()))?;
        }
        Ok(())
    }
}
