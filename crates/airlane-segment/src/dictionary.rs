//! One dictionary for each column of a segment, however many its batches came with.
//!
//! A batch carries dictionary values of its own: those of the stream so far, grown by deltas, or others after a
//! replacement. A segment is a file, and a file has one dictionary for each id. So each id has a [`union`] per
//! segment; the indices of every batch are rewritten to it, and from then on a dictionary column *is* its indices
//! ([`plan`]): they can be gathered, sliced and written like any integers. The union is written when the segment ends.

mod comparable;
mod index;
mod plan;
mod union;

use std::sync::Arc;

use airlane_model::{ByteSize, Error, Result, codes};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, Schema};

use plan::Plan;
use union::Union;

/// Rewrites the dictionary columns of a segment's batches to the segment's unions.
#[derive(Debug)]
pub(crate) struct Unifier {
    plans: Vec<Plan>,
    unions: Unions,
    /// Whether a batch was refused for its size.
    is_full: bool,
    bytes_max_last: u64,
    written: Written,
}

/// What a put has written so far, against what it sent.
#[derive(Debug, Default)]
struct Written {
    dictionary_bytes: u64,
    row_bytes: u64,
    /// The dictionaries as they came, where they come in messages.
    received_bytes: Option<u64>,
}

/// Dictionaries may be written so many times as large as all that came. Those that cannot be joined are written anew
/// for every change: a delta of one value costs a whole dictionary.
const WRITTEN_RATIO_MAX: u64 = 4;

#[derive(Debug)]
struct Unions {
    all: Vec<Union>,
    /// The bound of each union. It grows when it would make a table larger instead of smaller, see [`Unifier::reset`].
    bytes_max: u64,
}

/// All unions of a segment together may have this many times the bound of one.
const TOGETHER: u64 = 4;

/// The bound grows up to this many times what it was.
const GROWTH_MAX: u64 = 32;

/// Why columns were not rewritten.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A union would pass its bound: the segment ends, and the batch begins the next one.
    Full,
    /// The values cannot be joined, for their index type or their kind: the segment ends too.
    Apart,
    /// A fault.
    Failed(ArrowError),
}

impl From<ArrowError> for Refusal {
    fn from(error: ArrowError) -> Self {
        Self::Failed(error)
    }
}

impl Unifier {
    pub(crate) fn new(schema: &Schema, bytes_max: u64) -> Self {
        let mut all = Vec::new();
        let mut union = |index_type: &_, value_type: &_| {
            all.push(Union::new(index_type, plan::physical(value_type), bytes_max));
            all.len() - 1
        };
        let plans = schema.fields().iter().map(|field| Plan::new(field.data_type(), &mut union)).collect();
        let unions = Unions { all, bytes_max };
        let (bytes_max_last, written) = (bytes_max.saturating_mul(GROWTH_MAX), Written::default());
        Self { plans, unions, is_full: false, bytes_max_last, written }
    }

    /// Tells how many bytes of dictionaries came so far.
    pub(crate) fn receive(&mut self, dictionary_bytes: u64) {
        self.written.received_bytes = Some(dictionary_bytes);
    }

    /// The columns with indices in place of dictionaries. Into an empty segment any batch fits.
    ///
    /// After a refusal the unions are whole and may be written, but take no more batches until [`reset`](Self::reset).
    pub(crate) fn rewrite(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, Refusal> {
        let before = self.bytes();
        let unions = &mut self.unions;
        let all: Result<Vec<ArrayRef>, Refusal> =
            self.plans.iter().zip(columns).map(|(plan, column)| plan.rewrite(column, unions)).collect();
        let (after, together) = (self.bytes(), self.unions.bytes_max.saturating_mul(TOGETHER));
        let rewritten = match all {
            Ok(_) if before > 0 && after > before && after > together => Err(Refusal::Full),
            answer => answer,
        };
        self.is_full = matches!(rewritten, Err(Refusal::Full));
        rewritten
    }

    /// The bytes of all unions when written.
    pub(crate) fn bytes(&self) -> u64 {
        self.unions.all.iter().map(Union::bytes).sum()
    }

    /// The values of all unions, in the order of their ids.
    pub(crate) fn values(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.unions.all.iter().map(Union::values).collect()
    }

    /// Begins the next segment. `segment_bytes` are the bodies of the batches of the last one.
    ///
    /// When that one ended with more dictionary than data, the bound doubles: a table whose batches use ever other parts
    /// of a large dictionary would otherwise write it again and again, and take many times the bytes that came.
    ///
    /// # Errors
    /// `limit_exceeded` when the bound has grown as far as it may, or when the dictionaries that were written are out of
    /// proportion to what came.
    pub(crate) fn reset(&mut self, segment_bytes: u64) -> Result<()> {
        let bytes = self.bytes();
        if segment_bytes > 0 {
            self.written.add(bytes, segment_bytes, self.bytes_max_last)?;
        }
        if self.is_full && bytes > segment_bytes {
            if self.unions.bytes_max >= self.bytes_max_last {
                let (bytes, most) = (ByteSize::bytes(bytes), ByteSize::bytes(self.bytes_max_last));
                let message = format!("the dictionaries that few rows use together take {bytes}, at most {most} each");
                let hint = "send columns of many different values without dictionaries";
                return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint(hint));
            }
            self.unions.bytes_max = self.unions.bytes_max.saturating_mul(2);
        }
        self.unions.all.iter_mut().for_each(Union::reset);
        self.is_full = false;
        Ok(())
    }
}

impl Written {
    /// Adds a segment.
    fn add(&mut self, dictionary_bytes: u64, row_bytes: u64, bytes_free: u64) -> Result<()> {
        self.dictionary_bytes = self.dictionary_bytes.saturating_add(dictionary_bytes);
        self.row_bytes = self.row_bytes.saturating_add(row_bytes);
        let Some(received) = self.received_bytes else { return Ok(()) };
        let allowed = received.saturating_add(self.row_bytes).saturating_mul(WRITTEN_RATIO_MAX);
        if self.dictionary_bytes <= allowed.saturating_add(bytes_free) {
            return Ok(());
        }
        let bytes = ByteSize::bytes(self.dictionary_bytes);
        let message = format!("the dictionaries change so often that {bytes} of them would be stored");
        Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("send such columns without a dictionary"))
    }
}

/// Whether two arrays are the same memory.
fn is_same(left: &ArrayRef, right: &ArrayRef) -> bool {
    Arc::ptr_eq(left, right) || left.to_data().ptr_eq(&right.to_data())
}

#[cfg(test)]
mod tests;
