//! Lays a batch out while its body is still arriving.
//!
//! The metadata of a message comes before its body. For columns of fixed width it tells where every byte will lie, so
//! each chunk from the socket is written straight to its place, and never gathered:
//!
//! ```text
//! body as it arrives:   a a a a a a a a | b b b b b b b b | …           (each column in one piece)
//! messages laid out:    [head a a a b b b …] [head a a a b b b …] …     (cut at multiples of 512 rows)
//! ```
//!
//! Nothing of it can be seen before the put is committed, so a body that breaks off or lies about its nulls fails the
//! put and leaves nothing behind.

use std::io::{self, IoSlice};
use std::ops::Range;

use airlane_model::{Error, Result, codes, limits};
use arrow_schema::{DataType, Schema};

use super::WriterOptions;
use crate::encode::{Block, Encoded, framed};
use crate::home::{ZEROES, aligned_len};

/// A record batch without compression, as its message describes it. The message has been checked: the buffers lie in the body and are as
/// long as their rows need, there is a null count for each column and two buffers, validity and values.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// The rows.
    pub rows: u64,
    /// The nulls of each column.
    pub null_counts: Vec<u64>,
    /// Where validity and values of each column lie in the body.
    pub buffers: Vec<Range<u64>>,
    /// The length of the body.
    pub body_bytes: u64,
}

/// Parts are cut at multiples of this many rows, where bitmaps are at whole bytes and begin at multiples of 64.
const ROWS_STEP: u64 = 512;

/// The messages that a body becomes, and what is left to be written of them.
#[derive(Debug)]
pub(super) struct Scatter {
    /// In the order of the body.
    runs: Vec<Run>,
    /// The first run that is not written completely.
    next: usize,
    /// How much of the body was taken.
    position: u64,
    body_bytes: u64,
    /// Bits that are set in the validity bitmap of each column.
    valid_counts: Vec<u64>,
    valid_counts_expected: Vec<Option<u64>>,
    names: Vec<String>,
    parts: Vec<(Block, u64)>,
    end: u64,
}

/// Bytes of the body that stay together.
#[derive(Debug)]
struct Run {
    source: Range<u64>,
    /// Where the first byte goes in the file.
    target: u64,
    /// Written right before the run: the head of its message.
    head: Vec<u8>,
    /// The bits of the last byte that belong to rows.
    last_mask: u8,
    /// The column whose validity it is.
    validity_of: Option<usize>,
}

/// Columns of fixed width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Bit,
    Bytes(u64),
}

impl Width {
    /// The width of a type that is nothing but values; `None` for all others.
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Boolean => Some(Self::Bit),
            DataType::FixedSizeBinary(width) => u64::try_from(*width).ok().filter(|width| *width > 0).map(Self::Bytes),
            primitive => primitive.primitive_width().map(|width| Self::Bytes(width as u64)),
        }
    }

    fn bytes(self, rows: u64) -> u64 {
        match self {
            Self::Bit => rows.div_ceil(8),
            Self::Bytes(width) => rows * width,
        }
    }

    fn last_mask(self, rows: u64) -> u8 {
        match self {
            Self::Bit if !rows.is_multiple_of(8) => (1 << (rows % 8)) - 1,
            _ => u8::MAX,
        }
    }
}

impl Scatter {
    /// Plans the messages as if they began the file. `None` where the general way must be taken: for other types, for
    /// bodies that are too small or too large, for rows that are too long, and where nulls would have to be counted for each part before its layout
    /// is known.
    pub(super) fn plan(schema: &Schema, batch: &RawBatch, options: &WriterOptions) -> Result<Option<Self>> {
        let Some(widths) = schema.fields().iter().map(|field| Width::of(field.data_type())).collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        let bodies = options.batch_bytes_min.as_u64().max(1)..=options.segment_bytes_target.as_u64();
        let forbids_nulls =
            schema.fields().iter().zip(&batch.null_counts).any(|(f, nulls)| !f.is_nullable() && *nulls > 0);
        let is_whole = batch.null_counts.len() == widths.len() && batch.buffers.len() == 2 * widths.len();
        let values_bytes: u64 = widths.iter().map(|width| width.bytes(batch.rows)).sum();
        if widths.is_empty() || batch.rows == 0 || !is_whole || forbids_nulls || !bodies.contains(&values_bytes) {
            return Ok(None);
        }
        let Some(parts) = parts(batch.rows, values_bytes, options) else { return Ok(None) };
        if parts.len() > 1 && batch.null_counts.iter().any(|nulls| *nulls > 0) {
            return Ok(None);
        }
        let mut scatter = Self {
            runs: Vec::with_capacity(parts.len() * batch.buffers.len()),
            next: 0,
            position: 0,
            body_bytes: batch.body_bytes,
            valid_counts: vec![0; widths.len()],
            valid_counts_expected: batch.null_counts.iter().map(|nulls| batch.rows.checked_sub(*nulls)).collect(),
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            parts: Vec::with_capacity(parts.len()),
            end: 0,
        };
        for rows in parts {
            scatter.add_part(&widths, batch, rows)?;
        }
        scatter.runs.sort_by_key(|run| run.source.start);
        let apart = scatter.runs.windows(2).all(|pair| pair[0].source.end <= pair[1].source.start);
        Ok(apart.then_some(scatter))
    }

    fn add_part(&mut self, widths: &[Width], batch: &RawBatch, rows: Range<u64>) -> Result<()> {
        let len = rows.end - rows.start;
        let validity_bytes = |nulls: u64| if nulls > 0 { Width::Bit.bytes(len) } else { 0 };
        let columns = batch.null_counts.iter().zip(widths);
        let encoded = Encoded::reserved(
            len as usize,
            columns.clone().map(|(nulls, width)| (*nulls, [validity_bytes(*nulls), width.bytes(len)])),
        );
        let mut head = framed(&encoded.batch_header())?;
        let block = Block { offset: self.end, metadata_bytes: head.len() as u32, body_bytes: encoded.body_bytes() };
        let mut target = self.end + head.len() as u64;
        for (column, ((nulls, width), buffers)) in columns.zip(batch.buffers.chunks(2)).enumerate() {
            let validity = (Width::Bit, &buffers[0], Some(column));
            let values = (*width, &buffers[1], None);
            for (width, buffer, validity_of) in [validity, values] {
                if validity_of.is_some() && *nulls == 0 {
                    continue;
                }
                let source = buffer.start + width.bytes(rows.start);
                let bytes = width.bytes(len);
                self.runs.push(Run {
                    source: source..source + bytes,
                    target,
                    head: std::mem::take(&mut head),
                    last_mask: width.last_mask(len),
                    validity_of,
                });
                target += aligned_len(bytes);
            }
        }
        self.end = target;
        self.parts.push((block, len));
        Ok(())
    }

    /// The same messages from `start` on.
    pub(super) fn starting_at(mut self, start: u64) -> Self {
        self.runs.iter_mut().for_each(|run| run.target += start);
        self.parts.iter_mut().for_each(|(block, _)| block.offset += start);
        self.end += start;
        self
    }

    /// Where the messages end in the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The messages with their rows.
    pub(super) fn parts(&self) -> &[(Block, u64)] {
        &self.parts
    }

    /// The bytes of the body that are still to come.
    pub(super) fn missing_bytes(&self) -> u64 {
        self.body_bytes - self.position
    }

    /// Writes the next chunk of the body to its places, with one call for what lies together. The chunk must not be
    /// longer than what is missing.
    ///
    /// # Errors
    /// What `write` answers.
    pub(super) fn chunk(
        &mut self,
        chunk: &[u8],
        mut write: impl FnMut(u64, &[IoSlice<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        let (start, end) = (self.position, self.position + chunk.len() as u64);
        self.position = end;
        let mut pending = Pending { offset: 0, end: 0, slices: Vec::new() };
        while let Some(run) = self.runs.get(self.next).filter(|run| run.source.start < end) {
            let from = run.source.start.max(start);
            let to = run.source.end.min(end);
            let bytes = &chunk[(from - start) as usize..(to - start) as usize];
            let target = run.target + from - run.source.start;
            if from == run.source.start {
                pending.push(target - run.head.len() as u64, &run.head, &mut write)?;
            }
            let is_last = to == run.source.end;
            let (whole, last) = match bytes.split_last() {
                Some((last, whole)) if is_last && run.last_mask != u8::MAX => (whole, byte(last & run.last_mask)),
                _ => (bytes, &[] as &[u8]),
            };
            if let Some(valid_count) = run.validity_of.and_then(|column| self.valid_counts.get_mut(column)) {
                *valid_count += count_ones(whole) + count_ones(last);
            }
            pending.push(target, whole, &mut write)?;
            pending.push(target + whole.len() as u64, last, &mut write)?;
            if !is_last {
                break;
            }
            let beyond = run.source.end - run.source.start;
            let padding = (aligned_len(beyond) - beyond) as usize;
            pending.push(run.target + beyond, &ZEROES[..padding], &mut write)?;
            self.next += 1;
        }
        pending.flush(&mut write)
    }

    /// Checks that all of the body came, with as many nulls as it said.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`.
    pub(super) fn finish(&self) -> Result<()> {
        if self.missing_bytes() > 0 || self.next != self.runs.len() {
            let message = format!("the body ends after {} of {} bytes", self.position, self.body_bytes);
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        }
        for run in &self.runs {
            let Some(column) = run.validity_of else { continue };
            if self.valid_counts_expected[column] != Some(self.valid_counts[column]) {
                let message =
                    format!("{} values are not null, which is not what the message says", self.valid_counts[column]);
                return Err(Error::new(codes::DATA_INVALID, message)
                    .at(format!("column \"{}\"", self.names[column].escape_debug())));
            }
        }
        Ok(())
    }
}

/// Slices that lie together in the file.
struct Pending<'a> {
    offset: u64,
    end: u64,
    slices: Vec<IoSlice<'a>>,
}

impl<'a> Pending<'a> {
    fn push(
        &mut self,
        target: u64,
        bytes: &'a [u8],
        write: &mut impl FnMut(u64, &[IoSlice<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if target != self.end {
            self.flush(write)?;
            self.offset = target;
        }
        self.end = target + bytes.len() as u64;
        self.slices.push(IoSlice::new(bytes));
        Ok(())
    }

    fn flush(&mut self, write: &mut impl FnMut(u64, &[IoSlice<'_>]) -> io::Result<()>) -> io::Result<()> {
        if self.slices.is_empty() {
            return Ok(());
        }
        let written = write(self.offset, &self.slices);
        self.slices.clear();
        written
    }
}

/// The rows of each part: as few parts as there can be, and alike. `None` for rows of which a step is too large.
fn parts(rows: u64, values_bytes: u64, options: &WriterOptions) -> Option<Vec<Range<u64>>> {
    let bytes_max = options.batch_bytes_max.as_u64();
    if values_bytes <= bytes_max {
        return Some(std::iter::once(0..rows).collect());
    }
    let rows_max = (u128::from(rows) * u128::from(bytes_max) / u128::from(values_bytes)) as u64;
    let steps_max = rows_max / ROWS_STEP;
    let parts = rows.div_ceil(ROWS_STEP).div_ceil((steps_max > 0).then_some(steps_max)?);
    let step = rows.div_ceil(parts).next_multiple_of(ROWS_STEP);
    Some((0..rows).step_by(step as usize).map(|start| start..rows.min(start + step)).collect())
}

/// A byte that outlives its chunk.
fn byte(value: u8) -> &'static [u8] {
    static BYTES: [u8; 256] = {
        let mut bytes = [0; 256];
        let mut value = 0;
        while value < 256 {
            bytes[value] = value as u8;
            value += 1;
        }
        bytes
    };
    &BYTES[usize::from(value)..=usize::from(value)]
}

fn count_ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

const _: () = assert!(ROWS_STEP as usize == 8 * limits::ALIGNMENT_BYTES);
