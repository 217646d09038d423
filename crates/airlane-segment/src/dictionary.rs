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

use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, Schema};

use plan::Plan;
use union::Union;

/// Rewrites the dictionary columns of a segment's batches to the segment's unions.
#[derive(Debug)]
pub(crate) struct Unifier {
    plans: Vec<Plan>,
    unions: Vec<Union>,
}

/// Why columns were not rewritten.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A union would pass its bound: the segment ends, and the batch begins the next one.
    Full,
    /// A fault.
    Failed(ArrowError),
}

impl From<ArrowError> for Refusal {
    fn from(error: ArrowError) -> Self {
        Self::Failed(error)
    }
}

impl Unifier {
    pub(crate) fn new(schema: &Schema, union_bytes_max: u64) -> Self {
        let mut unions = Vec::new();
        let mut union = |index_type: &_, value_type: &_| {
            unions.push(Union::new(index_type, plan::physical(value_type), union_bytes_max));
            unions.len() - 1
        };
        let plans = schema.fields().iter().map(|field| Plan::new(field.data_type(), &mut union)).collect();
        Self { plans, unions }
    }

    /// The columns with indices in place of dictionaries. Into an empty segment any batch fits.
    ///
    /// After `Full` the unions are whole and may be written, but take no more batches until [`reset`](Self::reset).
    pub(crate) fn rewrite(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, Refusal> {
        let unions = &mut self.unions;
        self.plans.iter().zip(columns).map(|(plan, column)| plan.rewrite(column, unions)).collect()
    }

    /// The bytes of all unions when written.
    pub(crate) fn bytes(&self) -> u64 {
        self.unions.iter().map(Union::bytes).sum()
    }

    /// The values of all unions, in the order of their ids.
    pub(crate) fn values(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.unions.iter().map(Union::values).collect()
    }

    /// Begins the next segment. `segment_bytes` are the bodies of the batches of the last one.
    pub(crate) fn reset(&mut self, segment_bytes: u64) {
        self.unions.iter_mut().for_each(|union| union.reset(segment_bytes));
    }
}

/// Whether two arrays are the same memory.
fn is_same(left: &ArrayRef, right: &ArrayRef) -> bool {
    Arc::ptr_eq(left, right) || left.to_data().ptr_eq(&right.to_data())
}

#[cfg(test)]
mod tests;
