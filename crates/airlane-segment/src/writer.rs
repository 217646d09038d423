//! Cuts a stream of record batches into segments.
//!
//! ```text
//! batch ──slices──▶ parts up to 2 MiB ──dictionary──▶ indices for dictionaries ──gather──▶ message ──▶ segment
//!        (too large)                     (unions)                         (too small)
//! ```
//!
//! A segment ends when it is full, or when a dictionary would pass its bound. What was gathered belongs to the segment
//! whose unions it was rewritten to, so it is written before the segment ends.

mod builder;
mod gather;
mod scatter;
mod slices;

use std::io::IoSlice;
use std::sync::Arc;

use airlane_model::{ByteSize, Error, Result, codes, limits};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, SchemaRef};

use crate::budget::MemoryUse;
use crate::dictionary::{Refusal, Unifier};
use crate::encode::Encoded;
use crate::home::{Home, HomeFactory, storage_error};
use crate::schema::TableSchema;
use crate::segment::{Message, Segment, message_of};
use builder::SegmentBuilder;
use gather::Gather;
pub use scatter::RawBatch;
use scatter::Scatter;

/// The messages of a batch that belongs to no segment, cut as the writer cuts, each with its rows.
pub fn messages(batch: &RecordBatch) -> impl Iterator<Item = (Message, usize)> {
    let parts = slices::cut(batch, &WriterOptions::default());
    parts.into_iter().map(|part| (message_of(&part.batch), part.batch.num_rows()))
}

/// The sizes of the layout; tests make them small.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// What small batches are gathered to.
    pub batch_bytes_target: ByteSize,
    /// Batches below this are gathered.
    pub batch_bytes_min: ByteSize,
    /// Batches above this are sliced by rows into as few as there can be.
    pub batch_bytes_max: ByteSize,
    /// The size at which a segment is sealed.
    pub segment_bytes_target: ByteSize,
    /// The size up to which a segment stays on the heap.
    pub segment_small_bytes_max: ByteSize,
    /// The union of one dictionary in a segment, and a quarter of all of them. Grows up to 32 times for tables whose
    /// segments have more dictionary than data.
    pub dictionary_bytes_max: ByteSize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            batch_bytes_target: limits::BATCH_BYTES_TARGET,
            batch_bytes_min: limits::BATCH_BYTES_MIN,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            segment_bytes_target: limits::SEGMENT_BYTES_TARGET,
            segment_small_bytes_max: limits::SEGMENT_SMALL_BYTES_MAX,
            dictionary_bytes_max: limits::DICTIONARY_BYTES_MAX,
        }
    }
}

/// When a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// When it is full.
    WhenFull,
    /// Now.
    Now,
}

/// What one message can hold: protobuf, in which Flight wraps it, counts in 31 bits.
const MESSAGE_BYTES_MAX: u64 = (1 << 31) - (64 << 10);

/// A segment grows past its target while its dictionaries are larger than its batches, up to this many targets: each
/// segment repeats the dictionaries that it uses.
const SEGMENT_TARGETS_MAX: u64 = 16;

/// Writes one put's batches as segments, each sealed as soon as it is full.
///
/// After an error the writer is of no further use; dropping it leaves nothing behind.
pub struct TableWriter {
    schema: TableSchema,
    options: WriterOptions,
    homes: Box<dyn HomeFactory>,
    accepted: Option<SchemaRef>,
    unifier: Unifier,
    gather: Gather,
    builder: Option<SegmentBuilder>,
    scatter: Option<Scatter>,
    sealed: Vec<Segment>,
    /// Whether nobody will ask for the hashes of dictionaries.
    is_for_others: bool,
    /// Counts the segments, so that no rows get into another than they were rewritten for.
    segment: u64,
    gathered_segment: u64,
}

/// Rows whose dictionaries were rewritten for a segment.
struct Rows {
    len: usize,
    columns: Vec<ArrayRef>,
    segment: u64,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("options", &self.options).field("sealed", &self.sealed.len()).finish()
    }
}

impl TableWriter {
    /// A writer for batches of `schema`. Segments that outgrow the heap are made by `homes`.
    pub fn new(schema: TableSchema, options: WriterOptions, homes: Box<dyn HomeFactory>) -> Self {
        Self {
            unifier: Unifier::new(schema.arrow(), options.dictionary_bytes_max.as_u64()),
            gather: Gather::new(schema.arrow()),
            accepted: None,
            builder: None,
            scatter: None,
            sealed: Vec::new(),
            is_for_others: false,
            segment: 0,
            gathered_segment: 0,
            schema,
            options,
            homes,
        }
    }

    /// The same for segments that are handed over, and never sent from here: the hashes of their dictionaries are left to who will.
    #[must_use]
    pub fn for_others(self) -> Self {
        Self { is_for_others: true, ..self }
    }

    /// Adds a validated batch of the writer's schema (metadata is not compared). Batches are gathered and sliced to
    /// about the target size, dictionaries are unified.
    ///
    /// # Errors
    /// `schema_mismatch`; `storage_full`, `storage_failed`; `limit_exceeded` when one row is larger than a message
    /// can be, or when few rows use dictionaries larger than a segment can hold.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.accept(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        for part in slices::cut(batch, &self.options) {
            if part.body_bytes > MESSAGE_BYTES_MAX {
                let message = format!("a row takes {} in a message", ByteSize::bytes(part.body_bytes));
                return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("split the values over several rows"));
            }
            self.place(&part)?;
        }
        Ok(())
    }

    /// Begins a batch whose body is given to [`raw_body`](Self::raw_body) as it arrives and is laid out at once. Answers
    /// whether that can be done; otherwise the batch has to be decoded and appended.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub fn begin_raw(&mut self, batch: &RawBatch) -> Result<bool> {
        let Some(scatter) = Scatter::plan(self.schema.arrow(), batch, &self.options)? else { return Ok(false) };
        self.write_gathered()?;
        let target = self.options.segment_bytes_target.as_u64();
        if self.builder.as_ref().is_some_and(|builder| builder.batch_bytes() + scatter.end() > target + target / 4) {
            self.end_segment()?;
        }
        let builder = open(&mut self.builder, &self.schema, &self.options)?;
        let scatter = scatter.starting_at(builder.len());
        builder.reserve(self.homes.as_mut(), &scatter)?;
        self.scatter = Some(scatter);
        Ok(true)
    }

    /// Takes the next chunk of the body.
    ///
    /// # Errors
    /// `message_invalid` for more than the body has; `storage_full`, `storage_failed`; `internal` without a raw batch.
    pub fn raw_body(&mut self, chunk: &[u8]) -> Result<()> {
        match (&mut self.builder, &mut self.scatter) {
            (_, Some(scatter)) if chunk.len() as u64 > scatter.missing_bytes() => {
                Err(Error::new(codes::MESSAGE_INVALID, "the body is longer than its message says"))
            }
            (Some(builder), Some(scatter)) => builder.write_reserved(scatter, chunk),
            _ => Err(Error::new(codes::INTERNAL, "a body without a batch")),
        }
    }

    /// Ends a raw batch.
    ///
    /// # Errors
    /// `message_invalid` when bytes are missing, `data_invalid` when there are more or fewer nulls than the message says;
    /// `storage_full`, `storage_failed`.
    pub fn end_raw(&mut self) -> Result<()> {
        let scatter = self.scatter.take().ok_or_else(|| Error::new(codes::INTERNAL, "the end of no batch"))?;
        scatter.finish()?;
        self.end_segment_if_full()
    }

    /// Takes a segment that somebody else has laid out, whole. It stays in its home where the makers of homes say so; one
    /// that is small goes to the heap.
    ///
    /// # Errors
    /// `schema_mismatch`; `memory_full`, `storage_full`, `storage_failed`.
    pub fn adopt(&mut self, segment: Segment) -> Result<()> {
        self.schema.accept(segment.schema())?;
        self.end_segment()?;
        if segment.rows() == 0 {
            return Ok(());
        }
        let bytes = segment.file_bytes();
        let moved = if bytes.len() as u64 <= self.options.segment_small_bytes_max.as_u64() {
            let charge = self.homes.budget().charge(MemoryUse::Tables, bytes.len() as u64)?;
            segment.moved_to(Home::heap(Buffer::from(bytes.as_ref()), charge))?
        } else if self.homes.keeps(segment.home_kind()) {
            segment
        } else {
            let mut target = self.homes.create()?;
            let written = target.write_at(0, &[IoSlice::new(&bytes)]);
            written.map_err(|error| storage_error("write a segment", error))?;
            segment.moved_to(target.seal(bytes.len() as u64)?)?
        };
        self.keep(moved);
        Ok(())
    }

    /// Seals what was appended so far, and gives the segments that are finished: for a writer whose segments are handed
    /// over while it goes on.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub fn take_sealed(&mut self, cut: Cut) -> Result<Vec<Segment>> {
        if cut == Cut::Now {
            self.end_segment()?;
        }
        Ok(std::mem::take(&mut self.sealed))
    }

    /// Whether what was taken so far is on the heap, and will be when it is sealed: no disk is waited for.
    pub fn stays_on_heap(&self) -> bool {
        let written = self.builder.as_ref().map_or(Some(0), SegmentBuilder::heap_bytes);
        let waiting = self.gather.buffer_bytes() + self.unifier.bytes();
        // The other half is for footer and paddings.
        let is_small = |written| written + waiting <= self.options.segment_small_bytes_max.as_u64() / 2;
        self.sealed.is_empty() && written.is_some_and(is_small)
    }

    /// Whether all that was taken is in segments that are sealed.
    pub fn is_sealed(&self) -> bool {
        self.builder.is_none() && self.scatter.is_none() && self.gather.is_empty()
    }

    /// The memory of what was taken and is in no home yet.
    pub fn waiting_bytes(&self) -> u64 {
        let heap = self.builder.as_ref().and_then(SegmentBuilder::heap_bytes).unwrap_or(0);
        heap + self.gather.buffer_bytes() + self.unifier.bytes()
    }

    /// The segments that are finished.
    pub fn sealed_mut(&mut self) -> &mut [Segment] {
        &mut self.sealed
    }

    /// Seals the tail. A put without rows gives one segment that holds the schema alone.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub fn finish(mut self) -> Result<Vec<Segment>> {
        self.end_segment()?;
        if self.sealed.is_empty() {
            let builder = SegmentBuilder::new(&self.schema, self.options.segment_small_bytes_max)?;
            self.sealed.push(builder.seal(self.homes.as_mut(), &[])?);
        }
        Ok(self.sealed)
    }

    /// Tells how many bytes of dictionaries came in messages so far: what is stored is bounded by it.
    pub(crate) fn receive_dictionaries(&mut self, bytes: u64) {
        self.unifier.receive(bytes);
    }

    fn accept(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema_ref();
        let is_known = |known: &SchemaRef| Arc::ptr_eq(known, schema);
        if !is_known(self.schema.arrow()) && !self.accepted.as_ref().is_some_and(is_known) {
            self.schema.accept(&TableSchema::from_arrow(schema)?)?;
            self.accepted = Some(schema.clone());
        }
        Ok(())
    }

    fn place(&mut self, part: &slices::Part) -> Result<()> {
        let is_small = part.body_bytes < self.options.batch_bytes_min.as_u64();
        // What waits is written first: it may end the segment, and with it the unions that this part is rewritten to.
        if !is_small || !self.gather.takes(part) {
            self.write_gathered()?;
        }
        let columns = self.rewrite(part.batch.columns())?;
        if !is_small {
            return self.write(&Rows { len: part.batch.num_rows(), columns, segment: self.segment });
        }
        self.gather.push(part, columns)?;
        self.gathered_segment = self.segment;
        if self.gather.buffer_bytes() >= self.options.batch_bytes_target.as_u64() {
            self.write_gathered()?;
        }
        Ok(())
    }

    fn rewrite(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let rewritten = match self.unifier.rewrite(columns) {
            Err(Refusal::Full | Refusal::Apart) => {
                self.end_segment()?;
                self.unifier.rewrite(columns)
            }
            answer => answer,
        };
        rewritten.map_err(|refusal| match refusal {
            Refusal::Full | Refusal::Apart => Error::new(codes::INTERNAL, "a batch does not fit into an empty segment"),
            Refusal::Failed(error) => fault(error),
        })
    }

    fn keep(&mut self, segment: Segment) {
        if !self.is_for_others {
            // Now, and not when somebody waits for the commit.
            segment.dictionaries();
        }
        self.sealed.push(segment);
    }

    fn write_gathered(&mut self) -> Result<()> {
        match self.gather.take()? {
            Some((len, columns)) => self.write(&Rows { len, columns, segment: self.gathered_segment }),
            None => Ok(()),
        }
    }

    fn write(&mut self, rows: &Rows) -> Result<()> {
        // Indices into the dictionaries of another segment would be read outside of their values.
        if rows.segment != self.segment {
            return Err(Error::new(codes::INTERNAL, "rows were rewritten to the dictionaries of another segment"));
        }
        let encoded = Encoded::columns(rows.len, &rows.columns);
        open(&mut self.builder, &self.schema, &self.options)?.append(self.homes.as_mut(), &encoded)?;
        self.end_segment_if_full()
    }

    fn end_segment_if_full(&mut self) -> Result<()> {
        let target = self.options.segment_bytes_target.as_u64();
        let enough = target.max(self.unifier.bytes().min(target.saturating_mul(SEGMENT_TARGETS_MAX)));
        match self.builder.as_ref().is_some_and(|builder| builder.batch_bytes() >= enough) {
            true => self.end_segment(),
            false => Ok(()),
        }
    }

    fn end_segment(&mut self) -> Result<()> {
        self.write_gathered()?;
        // Writing what was gathered may have ended the segment.
        let mut segment_bytes = 0;
        if let Some(builder) = self.builder.take() {
            segment_bytes = builder.batch_bytes();
            let dictionaries = self.unifier.values().map_err(fault)?;
            let segment = builder.seal(self.homes.as_mut(), &dictionaries)?;
            self.keep(segment);
        }
        self.unifier.reset(segment_bytes)?;
        self.segment += 1;
        Ok(())
    }
}

/// The segment that is being written, begun now if there is none.
fn open<'a>(
    builder: &'a mut Option<SegmentBuilder>,
    schema: &TableSchema,
    options: &WriterOptions,
) -> Result<&'a mut SegmentBuilder> {
    match builder {
        Some(builder) => Ok(builder),
        none => Ok(none.insert(SegmentBuilder::new(schema, options.segment_small_bytes_max)?)),
    }
}

/// An error of arrow for data that was validated.
fn fault(error: ArrowError) -> Error {
    Error::new(codes::INTERNAL, format!("cannot lay out a batch: {error}")).source(error)
}

#[cfg(test)]
mod tests;
