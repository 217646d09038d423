//! A segment that is opened batch by batch, for a reader who waits for the first value.
//!
//! A record batch says itself how many rows it has, at the price of a page fault, so nothing is known of those that were not asked for.

use airlane_model::Result;
use arrow_array::RecordBatch;

use super::open::{self, Parts};
use super::{Batch, Segment};
use crate::encode::Block;
use crate::home::Home;
use crate::schema::TableSchema;

/// A segment of validated bytes, which knows the batches that were asked for.
#[derive(Debug)]
pub struct GradualSegment {
    opened: Segment,
    rest: std::vec::IntoIter<Block>,
}

impl GradualSegment {
    /// Opens the bytes of a home. `like` is a schema that it may well have, which spares reading its own.
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn open(home: Home, like: Option<&TableSchema>) -> Result<Self> {
        let Parts { schema, dictionaries, batches } = open::parts(&home, like)?;
        Ok(Self { opened: Segment::written(home, schema, &[], &dictionaries), rest: batches.into_iter() })
    }

    /// The schema.
    pub fn schema(&self) -> &TableSchema {
        self.opened.schema()
    }

    /// The rows of the batches so far.
    pub fn rows(&self) -> u64 {
        self.opened.rows()
    }

    /// The next batch as the table has it (see [`Segment::batch_as`]), or `None` after the last.
    ///
    /// # Errors
    /// `schema_mismatch`, `data_damaged`.
    pub fn next_as(&mut self, table: &TableSchema) -> Result<Option<RecordBatch>> {
        let Some(block) = self.rest.next() else { return Ok(None) };
        let rows = open::batch_rows(&self.opened.home, &block)?;
        self.opened.batches.push(Batch { block, rows_end: self.opened.rows().saturating_add(rows) });
        self.opened.batch_as(self.opened.batch_count() - 1, table).map(Some)
    }
}
