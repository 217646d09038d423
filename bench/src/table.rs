//! The tables that are moved.

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::DataType;

use crate::Result;

/// Rows of a batch, as the figures ask.
pub(crate) const BATCH_ROWS: usize = 65_536;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Eight float64 columns.
    Floats,
    /// Strings, nulls and dictionaries beside numbers.
    Mixed,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floats => "8 × float64",
            Self::Mixed => "strings, nulls, dictionaries",
        }
    }

    /// One batch of the shape; every batch of a table is the same, since servers do not look.
    pub(crate) fn batch(self, rows: usize) -> Result<RecordBatch> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let columns: Vec<(String, ArrayRef)> = match self {
            Self::Floats => (0..8)
                .map(|index| {
                    let values = (0..rows).map(|_| next() as f64 / 1e19);
                    (format!("c{index}"), Arc::new(Float64Array::from_iter_values(values)) as ArrayRef)
                })
                .collect(),
            Self::Mixed => {
                let ids = Int64Array::from_iter_values((0..rows).map(|row| row as i64));
                let price = Float64Array::from_iter((0..rows).map(|row| (row % 7 != 0).then(|| next() as f64 / 1e17)));
                let name = StringArray::from_iter((0..rows).map(|row| {
                    let value = next();
                    (row % 11 != 0).then(|| format!("customer {:x}", value >> (value % 40)))
                }));
                let note = StringArray::from_iter_values((0..rows).map(|_| format!("{:016x}", next())));
                let symbols = (0..rows).map(|_| format!("SYM{:04}", next() % 3000)).collect::<Vec<_>>();
                let symbol: DictionaryArray<Int32Type> = symbols.iter().map(String::as_str).collect();
                let city: DictionaryArray<Int32Type> =
                    (0..rows).map(|row| (row % 5 != 0).then_some(["Oslo", "Rome", "Lima"][row % 3])).collect();
                vec![
                    ("id".into(), Arc::new(ids) as ArrayRef),
                    ("price".into(), Arc::new(price)),
                    ("name".into(), Arc::new(name)),
                    ("note".into(), Arc::new(note)),
                    ("symbol".into(), Arc::new(symbol)),
                    ("city".into(), Arc::new(city)),
                ]
            }
        };
        Ok(RecordBatch::try_from_iter(columns)?)
    }

    /// Writes a table of about `bytes` bytes as an Arrow stream for the clients to load.
    pub(crate) fn write(self, path: &Path, bytes: u64) -> Result<Written> {
        let batch = self.batch(BATCH_ROWS)?;
        let batch_bytes = payload_bytes(&batch)?;
        let batches = (bytes / batch_bytes).max(1);
        let mut writer = StreamWriter::try_new_buffered(std::fs::File::create(path)?, &batch.schema())?;
        for _ in 0..batches {
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(Written { rows: batches * BATCH_ROWS as u64, payload_bytes: batches * batch_bytes })
    }
}

/// A table that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    /// The buffers of its record batches. A dictionary is sent once, if at all, and not counted.
    pub(crate) payload_bytes: u64,
}

fn payload_bytes(batch: &RecordBatch) -> Result<u64> {
    let mut bytes = 0;
    for column in batch.columns() {
        let data = column.to_data();
        bytes += match data.data_type() {
            DataType::Dictionary(_, _) => {
                (data.len() * size_of::<i32>() + data.nulls().map_or(0, |_| data.len().div_ceil(8))) as u64
            }
            _ => data.get_slice_memory_size()? as u64,
        };
    }
    Ok(bytes)
}
