//! Rows of fixed width, from the body of their message as it arrives.

use std::ops::Range;

use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::{DataType, Schema};

use super::{Column, Fingerprint};
use crate::writer::RawBatch;

/// The rows of one message whose body arrives.
pub(crate) struct RawRows {
    rows: u64,
    /// What counts of the body, in its order.
    runs: Vec<Run>,
    /// The first run that has not arrived completely.
    next: usize,
    position: u64,
    bits: Vec<u8>,
}

struct Run {
    source: Range<u64>,
    column: usize,
    kind: RunKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunKind {
    Validity,
    Bits,
    Bytes,
}

impl Fingerprint {
    /// Begins the rows of a message that the writer lays out as they come: all columns are of fixed width, and their
    /// buffers apart.
    pub(crate) fn begin_raw(&mut self, schema: &Schema, batch: &RawBatch) -> RawRows {
        self.rows += batch.rows;
        self.columns.resize_with(schema.fields().len(), Column::default);
        let mut runs = Vec::with_capacity(batch.buffers.len());
        let columns = schema.fields().iter().zip(&batch.null_counts).zip(batch.buffers.chunks(2));
        for (column, ((field, nulls), buffers)) in columns.enumerate() {
            let [validity, values] = buffers else { continue };
            self.columns[column].begin_raw(batch.rows, *nulls > 0);
            let bits = |buffer: &Range<u64>| buffer.start..buffer.start + batch.rows.div_ceil(8);
            if *nulls > 0 {
                runs.push(Run { source: bits(validity), column, kind: RunKind::Validity });
            }
            let (source, kind) = match field.data_type() {
                DataType::Boolean => (bits(values), RunKind::Bits),
                other => (values.start..values.start + batch.rows * width(other), RunKind::Bytes),
            };
            runs.push(Run { source, column, kind });
        }
        runs.sort_by_key(|run| run.source.start);
        RawRows { rows: batch.rows, runs, next: 0, position: 0, bits: Vec::new() }
    }

    /// Takes the next chunk of the body.
    pub(crate) fn add_raw(&mut self, raw: &mut RawRows, chunk: &[u8]) {
        let arrived = raw.position..raw.position + chunk.len() as u64;
        while let Some(run) = raw.runs.get(raw.next) {
            let from = run.source.start.max(arrived.start);
            let to = run.source.end.min(arrived.end);
            if from < to {
                let part = &chunk[(from - arrived.start) as usize..(to - arrived.start) as usize];
                match run.kind {
                    RunKind::Bytes => self.columns[run.column].values.add(part),
                    RunKind::Validity | RunKind::Bits => raw.bits.extend_from_slice(part),
                }
            }
            if run.source.end > arrived.end {
                break;
            }
            if run.kind != RunKind::Bytes {
                let bits = Buffer::from(std::mem::take(&mut raw.bits));
                let bits = BooleanBuffer::new(bits, 0, raw.rows as usize);
                self.columns[run.column].add_raw_bits(&bits, run.kind == RunKind::Validity);
            }
            raw.next += 1;
        }
        raw.position = arrived.end;
    }
}

fn width(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(width) => u64::try_from(*width).unwrap_or_default(),
        other => other.primitive_width().unwrap_or_default() as u64,
    }
}
