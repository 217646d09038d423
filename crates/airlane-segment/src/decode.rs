//! Messages of one incoming stream to validated record batches.
//!
//! 1. The IPC check of [`check`](crate::check) judges the message.
//! 2. [`plain`] decompresses its body, within bounds.
//! 3. [`flat`] validates columns that are not nested, faster than arrow-rs can.
//! 4. [`arrays`] decodes it with the decoder of arrow-ipc, which validates what was not; it meets nothing by then that
//!    makes it panic, and should it, the panic is caught and counted.
//! 5. [`views`] validates what may share its bytes.
//! 6. [`blame`] finds the column and row of what is invalid.
//! 7. [`dictionaries`] keeps the dictionary values that hold for the batches that follow.

use std::collections::HashMap;

use airlane_model::error::codes::{DATA_INVALID, INTERNAL, LIMIT_EXCEEDED, MESSAGE_INVALID};
use airlane_model::{Error, Result};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_schema::SchemaRef;

use crate::budget::MemoryBudget;
use crate::check::batch::{self, Judged};
use crate::check::layout::Layout;
use crate::check::{self, DecodeLimits};
use crate::schema::{TableSchema, policy};

mod arrays;
mod blame;
mod dictionaries;
mod flat;
mod header;
pub(crate) mod memory;
mod nulls;
mod plain;
mod views;

pub use arrays::decode_panics;
use arrays::{Decoded, Fault};
use blame::Suspect;
use dictionaries::Dictionaries;

/// Decodes the dictionary and record batch messages of one stream. Dictionaries are resolved: each batch carries the
/// dictionary values that hold for it.
pub struct StreamDecoder {
    schema: TableSchema,
    layout: Layout,
    limits: DecodeLimits,
    dictionaries: Dictionaries,
    dictionary_bytes: u64,
    rows: u64,
    is_verbatim: bool,
    /// What the memory of uncompressed bodies is taken from.
    budget: MemoryBudget,
}

/// What a message that passed the check is.
pub(crate) enum Judgement {
    Batch(Judged),
    Dictionary { values: Judged, is_delta: bool },
}

impl Judgement {
    /// Whether decoding costs more than its bytes let expect: unpacking, and rewriting what a delta adds to.
    pub(crate) fn is_costly(&self) -> bool {
        match self {
            Self::Batch(judged) => judged.codec.is_some(),
            Self::Dictionary { values, is_delta } => *is_delta || values.codec.is_some(),
        }
    }
}

impl StreamDecoder {
    /// A decoder for the messages after `schema_header`, the stream's own schema message (whose dictionary ids the
    /// following messages use).
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn new(schema_header: &[u8], limits: DecodeLimits) -> Result<Self> {
        let (schema, stranger_ids) = TableSchema::from_message_with_ids(schema_header)?;
        Self::of_schema(schema, &stranger_ids, limits)
    }

    /// A decoder of a stream whose schema message is known, with the ids that the stream has for its dictionaries.
    pub(crate) fn of_schema(schema: TableSchema, stranger_ids: &[i64], limits: DecodeLimits) -> Result<Self> {
        let layout = Layout::of(schema.arrow().fields().iter().map(AsRef::as_ref));
        let dictionaries = Dictionaries::new(schema.dictionaries(), stranger_ids)?;
        let budget = MemoryBudget::unlimited();
        Ok(Self { schema, layout, limits, dictionaries, dictionary_bytes: 0, rows: 0, is_verbatim: true, budget })
    }

    /// A decoder that takes the memory of bodies that it has to uncompress from a budget, while it decodes them.
    pub(crate) fn with_budget(self, budget: MemoryBudget) -> Self {
        Self { budget, ..self }
    }

    /// The schema, with canonical dictionary ids.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Rows decoded so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the batches and dictionaries so far are what their messages say, byte by byte. Else there were views
    /// under nulls that nobody could read; decoding made them zero.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.is_verbatim
    }

    /// Judges the header of the next message and the length of its body, before the body is there.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`.
    pub fn check(&self, header: &[u8], body_bytes: u64) -> Result<()> {
        self.judge(header, body_bytes).map(drop)
    }

    /// As [`check`](Self::check), and what the message is.
    pub(crate) fn judge(&self, header: &[u8], body_bytes: u64) -> Result<Judgement> {
        let envelope = check::open(header, body_bytes, &self.limits)?;
        let version = envelope.message.version();
        let Some((id, is_delta)) = envelope.dictionary else {
            let judged = batch::judge(&self.layout, &self.limits, version, envelope.batch, body_bytes)?;
            self.judge_rows(judged.rows)?;
            return Ok(Judgement::Batch(judged));
        };
        let slot = self.dictionaries.judge(id, is_delta, &self.limits)?;
        let values = batch::judge(&slot.layout, &self.limits, version, envelope.batch, body_bytes)?;
        Ok(Judgement::Dictionary { values, is_delta })
    }

    /// Counts the rows of a judged batch that was laid out without being decoded.
    pub(crate) fn pass(&mut self, rows: u64) -> Result<()> {
        self.rows = self.judge_rows(rows)?;
        Ok(())
    }

    /// Decodes and validates a message. A dictionary message answers `None`.
    /// Without compression the arrays point into `body`.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and `data_invalid`.
    pub fn decode(&mut self, header: &[u8], body: Buffer) -> Result<Option<RecordBatch>> {
        let body_bytes = body.len() as u64;
        let envelope = check::open(header, body_bytes, &self.limits)?;
        let version = envelope.message.version();
        let Some((id, is_delta)) = envelope.dictionary else {
            let judged = batch::judge(&self.layout, &self.limits, version, envelope.batch, body_bytes)?;
            let rows = self.judge_rows(judged.rows)?;
            self.dictionaries.receive(body_bytes);
            self.dictionaries.settle()?;
            let schema = self.schema.arrow();
            let (decoded, _) = self.read(schema, &self.layout, version, envelope.batch, &judged, body)?;
            self.rows = rows;
            self.is_verbatim &= decoded.is_verbatim;
            return Ok(Some(decoded.batch));
        };
        let is_nested = self.dictionaries.judge(id, is_delta, &self.limits)?.is_nested;
        self.dictionaries.receive(body_bytes);
        if is_nested {
            self.dictionaries.settle()?;
        }
        let slot = self.dictionaries.judge(id, is_delta, &self.limits)?;
        let judged = batch::judge(&slot.layout, &self.limits, version, envelope.batch, body_bytes)?;
        let (decoded, held_bytes) = self
            .read(&slot.schema, &slot.layout, version, envelope.batch, &judged, body)
            .map_err(|error| error.at(format!("dictionary {id}")))?;
        self.is_verbatim &= decoded.is_verbatim;
        let values = decoded.batch.columns().first().cloned();
        let values = values.ok_or_else(|| Error::new(MESSAGE_INVALID, "a dictionary without values"))?;
        self.dictionaries.take(id, is_delta, values, held_bytes, &self.limits)?;
        self.dictionary_bytes = self.dictionary_bytes.saturating_add(held_bytes);
        Ok(None)
    }

    /// The rows of the stream with this batch.
    fn judge_rows(&self, batch_rows: u64) -> Result<u64> {
        let limit = self.limits.put_rows_max;
        match self.rows.checked_add(batch_rows).filter(|rows| *rows <= limit) {
            Some(rows) => Ok(rows),
            None => Err(Error::new(LIMIT_EXCEEDED, format!("the stream has more than {limit} rows"))
                .hint("put the table in parts")),
        }
    }

    /// The dictionary messages so far, uncompressed.
    pub(crate) fn dictionary_bytes(&self) -> u64 {
        self.dictionary_bytes
    }

    /// The arrays, and how much memory they keep.
    fn read(
        &self,
        schema: &SchemaRef,
        layout: &Layout,
        version: MetadataVersion,
        batch: arrow_ipc::RecordBatch<'_>,
        judged: &Judged,
        body: Buffer,
    ) -> Result<(Decoded, u64)> {
        let dictionaries = self.dictionaries.values();
        let is_plain = judged.codec.is_none() && judged.is_aligned;
        if is_plain && flat::is_valid(schema, layout, judged, &body, dictionaries) {
            #[expect(unsafe_code, reason = "what was validated need not be validated again")]
            // SAFETY: `flat` has looked at every buffer: validity bits are as many as counted, offsets ascend inside
            // their data, text is UTF-8 between them, indices lie inside their dictionary. `batch::judge` has compared
            // the length of each buffer with its rows, and the row counts of the columns with each other.
            let decoded = unsafe { arrays::decode_validated(schema, version, batch, &body, dictionaries) };
            if let Ok(batch) = decoded {
                return Ok((Decoded { batch, is_verbatim: true }, body.len() as u64));
            }
        }
        let (outcome, buffers, body) = if is_plain {
            let outcome = arrays::decode(schema, version, batch, &body, dictionaries);
            let buffers = match &outcome {
                Ok(_) => Vec::new(),
                Err(_) => judged.buffers.iter().map(|extent| (extent.offset, extent.bytes)).collect(),
            };
            (outcome, buffers, body)
        } else {
            let plain = plain::lay_out(layout, judged, &body, &self.limits, &self.budget)?;
            drop(body);
            let header = header::encode(&plain.parts(judged, batch), version);
            let message = header::open(&header)?;
            let batch = message.header_as_record_batch();
            let batch = batch.ok_or_else(|| Error::new(MESSAGE_INVALID, "the message has no record batch"))?;
            (arrays::decode(schema, version, batch, &plain.body, dictionaries), plain.buffers, plain.body)
        };
        let fault = match outcome {
            Ok(decoded) => return Ok((decoded, body.len() as u64)),
            Err(Fault::Memory(error)) => return Err(error),
            Err(fault) => fault,
        };
        let suspect = Suspect { schema, layout, judged, buffers: &buffers, body: &body, version, dictionaries };
        Err(self.describe(&suspect, fault))
    }

    fn describe(&self, suspect: &Suspect<'_>, fault: Fault) -> Error {
        let code = match fault {
            Fault::Panic => MESSAGE_INVALID,
            _ => DATA_INVALID,
        };
        let Some(blame) = blame::find(suspect) else {
            return match fault {
                Fault::Data(what) => Error::new(code, what),
                _ => Error::new(code, "the message cannot be decoded"),
            };
        };
        let name = suspect.schema.fields().get(blame.column).map(|field| field.name().as_str());
        let column = policy::place(&[name.unwrap_or_default()]);
        let place = match blame.row {
            Some(row) => format!("row {}, {column}", self.rows + row),
            None => column,
        };
        Error::new(code, blame.what).at(place)
    }
}

/// Reads columns without dictionaries that were encoded here.
///
/// # Errors
/// `internal`.
pub(crate) fn again(schema: &SchemaRef, header: &[u8], body: &Buffer) -> Result<Vec<ArrayRef>> {
    let message = header::open(header)?;
    let batch = message.header_as_record_batch();
    let batch = batch.ok_or_else(|| Error::new(INTERNAL, "an encoded batch is none"))?;
    match arrays::decode(schema, message.version(), batch, body, &HashMap::new()) {
        Ok(decoded) => Ok(decoded.batch.columns().to_vec()),
        Err(fault) => Err(Error::new(INTERNAL, format!("an encoded batch cannot be decoded: {fault:?}"))),
    }
}

impl std::fmt::Debug for StreamDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDecoder").field("schema", &self.schema).field("rows", &self.rows).finish_non_exhaustive()
    }
}
