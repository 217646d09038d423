//! A read of what is computed for it: batches as they come, cut into messages.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use airlane_model::{Error, Result};
use airlane_query::Rows;
use airlane_segment::encode::{PlainBatch, compress, plain_schema};
use airlane_segment::writer::messages;
use airlane_segment::{Charge, Codec, MemoryBudget, MemoryUse, Message, TableSchema, memory_bytes};
use arrow_array::RecordBatch;
use futures::executor::block_on;

use super::StreamMessage;
use crate::Pause;

/// Reads the rows of a query.
#[derive(Debug)]
pub(crate) struct ComputedRead {
    rows: Rows,
    schema: TableSchema,
    /// The schema in types that every reader knows, when the reader asked for them and they are others.
    plain: Option<TableSchema>,
    codec: Option<Codec>,
    /// What came and was not asked for yet.
    came: Option<Result<Option<RecordBatch>, Error>>,
    made: VecDeque<(Message, u64)>,
    position: u64,
    /// What the batch takes that came, and its messages.
    charge: Charge,
}

impl ComputedRead {
    /// # Errors
    /// `schema_invalid` for columns that no table can have.
    pub(crate) fn new(rows: Rows, budget: &MemoryBudget) -> Result<Self> {
        let schema = TableSchema::from_arrow(rows.schema())?;
        let charge = budget.begin(MemoryUse::Reads);
        Ok(Self { rows, schema, plain: None, codec: None, came: None, made: VecDeque::new(), position: 0, charge })
    }

    pub(super) fn compressed(self, codec: Option<Codec>) -> Self {
        Self { codec, ..self }
    }

    pub(super) fn in_plain_types(self) -> Result<Self> {
        let plain = plain_schema(&self.schema)?;
        Ok(Self { plain, ..self })
    }

    pub(super) fn schema(&self) -> &TableSchema {
        self.plain.as_ref().unwrap_or(&self.schema)
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn is_coming(&self) -> bool {
        self.made.is_empty() && self.came.is_none()
    }

    pub(super) fn is_costly(&self) -> bool {
        self.made.is_empty() && (self.codec.is_some() || self.plain.is_some())
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_coming() {
            self.came = Some(std::task::ready!(self.rows.poll_next(cx)));
        }
        Poll::Ready(())
    }

    /// Why there is nothing, when that is what came.
    pub(super) fn failure(&mut self) -> Result<()> {
        match self.came.take() {
            Some(Err(error)) => Err(error),
            came => {
                self.came = came;
                Ok(())
            }
        }
    }

    pub(super) fn pause(&self) -> Pause {
        Pause::new(self.schema().clone(), self.position, Vec::new())
    }

    pub(super) fn next_message(&mut self) -> Result<Option<StreamMessage>> {
        loop {
            if let Some((message, rows)) = self.made.pop_front() {
                let row_offset = self.position;
                self.position += rows;
                return Ok(Some(StreamMessage::Batch { message, row_offset, rows }));
            }
            let Some(batch) = self.take()? else { return Ok(None) };
            // Twice: the arrays, and the messages that are made of them.
            self.charge.overdraw_to(2 * memory_bytes(&batch));
            self.make(batch)?;
        }
    }

    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.take()?;
        self.position += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch)
    }

    /// The next batch of the query, waited for where nobody did.
    fn take(&mut self) -> Result<Option<RecordBatch>> {
        self.charge.shrink(0);
        self.came.take().unwrap_or_else(|| block_on(self.rows.next()))
    }

    fn make(&mut self, batch: RecordBatch) -> Result<()> {
        if self.plain.is_some() {
            let plain = PlainBatch::new(batch.clone());
            let mut start = 0;
            while start < batch.num_rows() {
                let end = plain.end_of_message(start);
                self.push(plain.message(start..end)?, end - start)?;
                start = end;
            }
            return Ok(());
        }
        messages(&batch).try_for_each(|(message, rows)| self.push(message, rows))
    }

    fn push(&mut self, message: Message, rows: usize) -> Result<()> {
        let message = match self.codec {
            Some(codec) => compress(&message, codec)?,
            None => message,
        };
        self.made.push_back((message, rows as u64));
        Ok(())
    }
}
