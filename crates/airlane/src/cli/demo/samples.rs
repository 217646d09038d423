//! The tables of the demonstration, inside the program, so that it needs no files.

use std::io::Cursor;

use airlane_format::{BatchReader, Format, ReadOptions};
use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

/// A table of `samples/`.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
}

macro_rules! embedded {
    ($($name:literal),+) => {
        [$(($name, include_bytes!(concat!("../../../../../samples/", $name, ".parquet")).as_slice())),+]
    };
}

/// Decodes the tables.
pub(super) fn read() -> Result<Vec<Sample>> {
    let files = embedded!["flights", "planes", "airports", "airlines", "weather"];
    files.into_iter().map(|(name, bytes)| read_one(name, bytes)).collect()
}

fn read_one(name: &'static str, bytes: &'static [u8]) -> Result<Sample> {
    let options = ReadOptions { format: Some(Format::Parquet), ..ReadOptions::default() };
    let reader: Box<dyn BatchReader> = airlane_format::read_stream(name, Box::new(Cursor::new(bytes)), &options)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>>>()?;
    if batches.is_empty() {
        return Err(Error::new(codes::INTERNAL, format!("the sample `{name}` is empty")));
    }
    Ok(Sample { name, schema, batches })
}

impl Sample {
    /// The batches in two halves, by rows.
    pub(super) fn halves(&self) -> (Vec<RecordBatch>, Vec<RecordBatch>) {
        let rows: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        let mut first_rows = rows / 2;
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for batch in &self.batches {
            let taken = first_rows.min(batch.num_rows());
            first_rows -= taken;
            if taken > 0 {
                first.push(batch.slice(0, taken));
            }
            if taken < batch.num_rows() {
                second.push(batch.slice(taken, batch.num_rows() - taken));
            }
        }
        (first, second)
    }
}
