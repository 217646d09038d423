//! The way of a put: messages of a stranger in, sealed segments out.
//!
//! ```text
//! header ──check──▶ fixed width? ──yes──▶ each chunk to its place in the segment
//!                        └────────no────▶ chunks gathered ──decode, validate──▶ laid out
//! ```

use airlane_model::error::Code;
use airlane_model::error::codes::MESSAGE_ORDER_INVALID;
use airlane_model::{Error, Result};
use arrow_array::RecordBatch;

use crate::budget::{Charge, MemoryUse};
use crate::check::DecodeLimits;
use crate::check::batch::{Extent, Judged};
use crate::decode::{Judgement, StreamDecoder};
use crate::fingerprint::{Fingerprint, RawRows};
use crate::home::HomeFactory;
use crate::schema::TableSchema;
use crate::segment::Segment;
use crate::writer::{RawBatch, TableWriter, WriterOptions};

mod gather;

use gather::Gather;

/// A body from this size on takes a good part of a millisecond to validate.
const LATE_BYTES: u64 = 512 << 10;

/// Takes the messages of one put, piece by piece as they arrive, and lays them out.
///
/// For each message: [`begin`](Self::begin) with its header, [`body`](Self::body) for each chunk, [`end`](Self::end).
/// Batches that are made in this process go to [`append`](Self::append) instead. After an error every further call
/// answers with that error; dropping the intake leaves nothing behind.
pub struct Intake {
    /// There is none for batches of this process.
    decoder: Option<StreamDecoder>,
    writer: TableWriter,
    schema: TableSchema,
    rows: u64,
    header: Vec<u8>,
    gather: Gather,
    state: State,
    /// The memory of what is gathered and was not laid out yet.
    charge: Charge,
    /// Of the rows, when it is asked for.
    fingerprint: Option<Box<Fingerprint>>,
    raw_rows: Option<RawRows>,
    /// The rows are checked and not kept.
    is_discarding: bool,
}

#[derive(Debug)]
enum State {
    /// Between two messages.
    Idle,
    /// After the header of a message whose body is gathered.
    Gathered { ends_late: bool },
    /// After the header of a message whose body, of so many rows, is laid out as it comes.
    Raw(u64),
    /// After an error.
    Failed(Code, String),
}

impl Intake {
    /// For a stream that begins with this schema message.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn from_message(
        schema_header: &[u8],
        limits: DecodeLimits,
        options: WriterOptions,
        homes: Box<dyn HomeFactory>,
    ) -> Result<Self> {
        Ok(Self::from_decoder(StreamDecoder::new(schema_header, limits)?, options, homes))
    }

    /// For the messages that a decoder takes, which has seen none yet.
    pub fn from_decoder(decoder: StreamDecoder, options: WriterOptions, homes: Box<dyn HomeFactory>) -> Self {
        let intake = Self::from_schema(decoder.schema().clone(), options, homes);
        let decoder = decoder.with_budget(intake.charge.budget().clone());
        Self { decoder: Some(decoder), ..intake }
    }

    /// For batches of this process.
    pub fn from_schema(schema: TableSchema, options: WriterOptions, homes: Box<dyn HomeFactory>) -> Self {
        Self {
            decoder: None,
            charge: homes.budget().begin(MemoryUse::Puts),
            writer: TableWriter::new(schema.clone(), options, homes),
            schema,
            rows: 0,
            header: Vec::new(),
            gather: Gather::default(),
            state: State::Idle,
            fingerprint: None,
            raw_rows: None,
            is_discarding: false,
        }
    }

    /// The same, with a [`fingerprint`](Self::fingerprint). To be asked for before the first message.
    #[must_use]
    pub fn with_fingerprint(self) -> Self {
        Self { fingerprint: Some(Box::default()), ..self }
    }

    /// The same, but that rows are checked and not kept. To be asked for before the first message.
    #[must_use]
    pub fn discarding(self) -> Self {
        Self { is_discarding: true, ..self }
    }

    /// A hash of the rows so far. The same rows have the same, however they were cut into messages and compressed, but
    /// for list views, unions, runs, views that share bytes, and dictionaries that come in another order. `None` when it
    /// was not asked for.
    pub fn fingerprint(&self) -> Option<u128> {
        self.fingerprint.as_ref().map(|fingerprint| fingerprint.value())
    }

    /// The schema of the put.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether [`end`](Self::end) will take so long that the thread should not be kept from other work meanwhile.
    pub fn ends_late(&self) -> bool {
        matches!(self.state, State::Gathered { ends_late: true })
    }

    /// Begins a message: judges its header and the length of the body that will follow.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`, `storage_full`.
    pub fn begin(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        self.guard(|intake| {
            if intake.is_inside() {
                return Err(out_of_order("a message begins inside another"));
            }
            let decoder = intake.decoder.as_mut().ok_or_else(|| out_of_order("a message without a schema message"))?;
            let judgement = decoder.judge(header, body_bytes)?;
            if let Judgement::Batch(judged) = &judgement
                && !intake.is_discarding
                && let Some(batch) = raw(judged, body_bytes)
                && (intake.fingerprint.is_none() || Fingerprint::takes_raw(&batch))
                && intake.writer.begin_raw(&batch)?
            {
                let fingerprint = intake.fingerprint.as_mut();
                intake.raw_rows = fingerprint.map(|hash| hash.begin_raw(intake.schema.arrow(), &batch));
                intake.state = State::Raw(judged.rows);
                return Ok(());
            }
            intake.header.clear();
            intake.header.extend_from_slice(header);
            // `check` keeps it below the limit of a body.
            intake.gather.begin(body_bytes as usize)?;
            intake.state = State::Gathered { ends_late: body_bytes >= LATE_BYTES || judgement.is_costly() };
            Ok(())
        })
    }

    /// Takes the next chunk of the body. Memory grows with what arrives, never with what was announced.
    ///
    /// # Errors
    /// `message_invalid` for more than was announced; `storage_full`, `storage_failed`.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        self.guard(|intake| match intake.state {
            State::Gathered { .. } => {
                // Before the memory is there; it doubles, and so does what is taken.
                intake.charge_for(intake.gather.bytes_with(chunk.len()))?;
                intake.gather.push(chunk)
            }
            State::Raw(_) => {
                intake.writer.raw_body(chunk)?;
                if let (Some(fingerprint), Some(rows)) = (&mut intake.fingerprint, &mut intake.raw_rows) {
                    fingerprint.add_raw(rows, chunk);
                }
                Ok(())
            }
            _ => Err(out_of_order("a body without a message")),
        })
    }

    /// Ends the message: validates and lays out its rows.
    ///
    /// # Errors
    /// `message_invalid` for less than was announced; `data_invalid`; `limit_exceeded`; `storage_full`,
    /// `storage_failed`.
    pub fn end(&mut self) -> Result<()> {
        self.guard(|intake| {
            let state = std::mem::replace(&mut intake.state, State::Idle);
            match (state, &mut intake.decoder) {
                (State::Raw(rows), Some(decoder)) => {
                    intake.writer.end_raw()?;
                    decoder.pass(rows)?;
                    intake.rows += rows;
                }
                (State::Gathered { .. }, Some(decoder)) => {
                    let body = intake.gather.end()?;
                    let batch = decoder.decode(&intake.header, body.clone())?;
                    intake.writer.receive_dictionaries(decoder.dictionary_bytes());
                    if let Some(batch) = batch {
                        intake.keep(&batch)?;
                    }
                    intake.gather.reclaim(body);
                    intake.charge_for(intake.gather.bytes_with(0))?;
                }
                _ => return Err(out_of_order("the end of a message that did not begin")),
            }
            Ok(())
        })
    }

    /// Takes a batch made in this process.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`, `limit_exceeded`.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.guard(|intake| {
            if intake.is_inside() {
                return Err(out_of_order("a batch inside a message"));
            }
            intake.keep(batch)?;
            intake.charge_for(0)
        })
    }

    /// Takes a segment that another process has laid out, and that was [opened](Segment::open) as such.
    ///
    /// # Errors
    /// `schema_mismatch`; `memory_full`, `storage_full`, `storage_failed`.
    pub fn adopt(&mut self, segment: Segment) -> Result<()> {
        self.guard(|intake| {
            if intake.is_inside() {
                return Err(out_of_order("a segment inside a message"));
            }
            if let Some(fingerprint) = &mut intake.fingerprint {
                for index in 0..segment.batch_count() {
                    fingerprint.add(&segment.batch(index)?);
                }
            }
            let rows = segment.rows();
            match intake.is_discarding {
                true => intake.schema.accept(segment.schema())?,
                false => intake.writer.adopt(segment)?,
            }
            intake.rows += rows;
            intake.charge_for(0)
        })
    }

    /// The memory of what was taken and is in no home yet.
    pub fn gathered_bytes(&self) -> u64 {
        self.charge.bytes()
    }

    /// The finished segments of the put, for whoever moves them to another home.
    pub fn sealed_mut(&mut self) -> &mut [Segment] {
        self.writer.sealed_mut()
    }

    fn keep(&mut self, batch: &RecordBatch) -> Result<()> {
        if !self.is_discarding {
            self.writer.append(batch)?;
        }
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.add(batch);
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Whether [`finish`](Self::finish) is a matter of microseconds: few bytes, and no disk to wait for.
    pub fn finishes_at_once(&self) -> bool {
        self.writer.stays_on_heap()
    }

    /// Whether [`finish`](Self::finish) has nothing left to write, or only the schema of a put without rows.
    pub fn is_sealed(&self) -> bool {
        self.writer.is_sealed()
    }

    /// Seals what was taken; at least one segment.
    ///
    /// # Errors
    /// `message_order_invalid` inside a message; `storage_full`, `storage_failed`.
    pub fn finish(mut self) -> Result<Vec<Segment>> {
        self.guard(|intake| match intake.is_inside() {
            true => Err(out_of_order("the put ends inside a message")),
            false => Ok(()),
        })?;
        self.writer.finish()
    }

    /// Takes memory for so many gathered bytes and for what the writer holds.
    fn charge_for(&mut self, gathered: u64) -> Result<()> {
        let bytes = gathered + self.writer.waiting_bytes();
        if bytes == self.charge.bytes() { Ok(()) } else { self.charge.resize(bytes) }
    }

    fn is_inside(&self) -> bool {
        matches!(self.state, State::Gathered { .. } | State::Raw(_))
    }

    /// Runs a step, unless one failed before.
    fn guard(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if let State::Failed(code, message) = &self.state {
            return Err(Error::new(*code, format!("the put has failed before: {message}")));
        }
        let outcome = step(self);
        if let Err(error) = &outcome {
            self.state = State::Failed(error.code(), error.message().to_owned());
        }
        outcome
    }
}

/// What the writer needs to lay a batch out as it comes: two buffers for each column, as columns of fixed width have
/// them. Columns of other types may have two, too; the writer knows the schema.
fn raw(judged: &Judged, body_bytes: u64) -> Option<RawBatch> {
    if judged.codec.is_some() || judged.buffers.len() != 2 * judged.nodes.len() {
        return None;
    }
    let range = |extent: &Extent| extent.offset..extent.offset + extent.bytes;
    Some(RawBatch {
        rows: judged.rows,
        null_counts: judged.nodes.iter().map(|(_, nulls)| *nulls).collect(),
        buffers: judged.buffers.iter().map(range).collect(),
        body_bytes,
    })
}

fn out_of_order(message: &str) -> Error {
    Error::new(MESSAGE_ORDER_INVALID, message)
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("schema", &self.schema).field("rows", &self.rows).finish_non_exhaustive()
    }
}
