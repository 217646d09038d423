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
    /// Of columns with nulls, once it has arrived.
    validity: Vec<Option<BooleanBuffer>>,
}

struct Run {
    source: Range<u64>,
    column: usize,
    kind: RunKind,
    /// Bytes of a value.
    width: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RunKind {
    Validity,
    Bits,
    Bytes,
}

impl Fingerprint {
    /// Whether the values of a message can be taken as they arrive: which of them are null is to be known before.
    pub(crate) fn takes_raw(batch: &RawBatch) -> bool {
        let columns = batch.null_counts.iter().zip(batch.buffers.chunks(2));
        columns.into_iter().all(|(nulls, buffers)| match buffers {
            [validity, values] => *nulls == 0 || validity.end <= values.start,
            _ => false,
        })
    }

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
                runs.push(Run { source: bits(validity), column, kind: RunKind::Validity, width: 0 });
            }
            let width = width(field.data_type());
            let (source, kind) = match field.data_type() {
                DataType::Boolean => (bits(values), RunKind::Bits),
                _ => (values.start..values.start + batch.rows * width as u64, RunKind::Bytes),
            };
            runs.push(Run { source, column, kind, width });
        }
        runs.sort_by_key(|run| run.source.start);
        let validity = vec![None; self.columns.len()];
        RawRows { rows: batch.rows, runs, next: 0, position: 0, bits: Vec::new(), validity }
    }

    /// Takes the next chunk of the body.
    pub(crate) fn add_raw(&mut self, raw: &mut RawRows, chunk: &[u8]) {
        let arrived = raw.position..raw.position + chunk.len() as u64;
        while let Some(run) = raw.runs.get(raw.next) {
            let from = run.source.start.max(arrived.start);
            let to = run.source.end.min(arrived.end);
            if from < to {
                let part = &chunk[(from - arrived.start) as usize..(to - arrived.start) as usize];
                match (run.kind, &raw.validity[run.column]) {
                    (RunKind::Bytes, None) => self.columns[run.column].values.add(part),
                    (RunKind::Bytes, Some(validity)) => {
                        let values = &mut self.columns[run.column].values;
                        let start = (from - run.source.start) as usize;
                        valid_parts(validity, run.width, start, part, |part| values.add(part));
                    }
                    (RunKind::Validity | RunKind::Bits, _) => raw.bits.extend_from_slice(part),
                }
            }
            if run.source.end > arrived.end {
                break;
            }
            if run.kind != RunKind::Bytes {
                let bits = Buffer::from(std::mem::take(&mut raw.bits));
                let bits = BooleanBuffer::new(bits, 0, raw.rows as usize);
                let (column, validity) = (&mut self.columns[run.column], &mut raw.validity[run.column]);
                match (run.kind, &validity) {
                    (RunKind::Validity, _) => {
                        column.validity.add(&bits);
                        *validity = Some(bits);
                    }
                    (_, Some(validity)) => column.bits.add(&(&bits & validity)),
                    (_, None) => column.bits.add(&bits),
                }
            }
            raw.next += 1;
        }
        raw.position = arrived.end;
    }
}

/// The parts of some bytes of a column, which begin at a position of it, that are values of rows that are not null.
fn valid_parts<'a>(
    validity: &BooleanBuffer,
    width: usize,
    start: usize,
    bytes: &'a [u8],
    mut act: impl FnMut(&'a [u8]),
) {
    let end = start + bytes.len();
    let (first, last) = (start / width, end.div_ceil(width));
    for (from, to) in validity.slice(first, last - first).set_slices() {
        // The first and the last value may be cut.
        let from = ((first + from) * width).max(start);
        let to = ((first + to) * width).min(end);
        act(&bytes[from - start..to - start]);
    }
}

fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or_default(),
        other => other.primitive_width().unwrap_or_default(),
    }
}
