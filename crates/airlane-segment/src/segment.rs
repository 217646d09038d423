//! A sealed segment: its messages as they lie in memory, and arrays that point into them.

mod gradual;
mod open;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};

use airlane_model::{Error, Result, codes};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_data::UnsafeFlag;
use arrow_ipc::MetadataVersion;
use arrow_ipc::reader::RecordBatchDecoder;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::encode::{Block, Encoded, PREFIX_BYTES, plain_dictionary, sent};
use crate::home::{Home, HomeKind, shared};
use crate::schema::TableSchema;
use crate::schema::canonical::children;
pub use gradual::GradualSegment;
pub use open::footer_bytes;

/// Who wrote the bytes of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This server, which validated the data when it arrived; the caller has compared the checksum if the bytes were
    /// on disk in between.
    Validated,
    /// Another process that is trusted: the structure is checked, values are believed.
    Trusted,
    /// Somebody else: everything is checked and validated now. Only a file that is laid out as ours are is taken, with
    /// buffers at multiples of 64 and dictionaries numbered from 0 depth-first; others are put as a stream.
    Foreign,
}

/// One IPC message: the flatbuffer (padded to 8, without continuation and length) and its body.
#[derive(Clone)]
pub struct Message {
    /// The flatbuffer of the `Message` table.
    pub header: Bytes,
    /// The body, whose buffers are aligned to 64 relative to its start.
    pub body: Bytes,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (header, body) = (self.header.len(), self.body.len());
        f.debug_struct("Message").field("header_bytes", &header).field("body_bytes", &body).finish()
    }
}

/// A dictionary of a segment.
#[derive(Clone, Debug)]
pub struct Dictionary {
    /// The dictionary's id in the schema.
    pub id: i64,
    /// xxh3 of the message's header and body, and of the dictionaries inside it, by which a stream sees that it need
    /// not be sent again.
    pub hash: u64,
    /// The dictionary batch message (never a delta).
    pub message: Message,
}

/// A complete, immutable segment. Its data has been validated, whoever wrote it.
#[derive(Debug)]
pub struct Segment {
    home: Home,
    schema: TableSchema,
    batches: Vec<Batch>,
    dictionaries: OnceLock<Vec<Dictionary>>,
    dictionary_blocks: Vec<Block>,
    dictionary_values: OnceLock<HashMap<i64, ArrayRef>>,
    checksum: OnceLock<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    block: Block,
    /// Rows of this batch and those before it.
    rows_end: u64,
}

impl Segment {
    /// Opens the bytes of a home.
    ///
    /// # Errors
    /// `data_damaged` for validated bytes whose structure is wrong; `message_invalid`, `schema_invalid`,
    /// `data_invalid`, `limit_exceeded` for foreign ones.
    pub fn open(home: Home, trust: Trust) -> Result<Self> {
        open::open(home, trust)
    }

    /// What the writer has just written. `batches` come with their rows, `dictionaries` in the order of their ids.
    pub(crate) fn written(home: Home, schema: TableSchema, batches: &[(Block, u64)], dictionaries: &[Block]) -> Self {
        let mut rows_end = 0;
        let batches = batches.iter().map(|(block, rows)| {
            // A stranger may claim more than there can be; that is refused when the rows are looked at.
            rows_end = u64::saturating_add(rows_end, *rows);
            Batch { block: *block, rows_end }
        });
        Self {
            batches: batches.collect(),
            dictionaries: OnceLock::new(),
            dictionary_blocks: dictionaries.to_vec(),
            dictionary_values: OnceLock::new(),
            checksum: OnceLock::new(),
            home,
            schema,
        }
    }

    /// The schema.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Rows of all batches.
    pub fn rows(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.rows_end)
    }

    /// The bodies of record batches and dictionaries, in bytes: what a reader receives.
    pub fn payload_bytes(&self) -> u64 {
        let blocks = self.batches.iter().map(|batch| &batch.block).chain(&self.dictionary_blocks);
        blocks.map(|block| block.body_bytes).sum()
    }

    /// All bytes of the IPC file.
    pub fn file_bytes(&self) -> Bytes {
        self.home.bytes()
    }

    /// The same segment in another home, which holds the same bytes.
    ///
    /// # Errors
    /// `internal` when the home is of another length.
    pub fn moved_to(&self, home: Home) -> Result<Self> {
        if home.buffer().len() != self.home.buffer().len() {
            return Err(Error::new(codes::INTERNAL, "a segment was moved to a home of another length"));
        }
        let mut start = 0;
        let batches = self.batches.iter().map(|batch| {
            let rows = batch.rows_end - start;
            start = batch.rows_end;
            (batch.block, rows)
        });
        let batches: Vec<_> = batches.collect();
        let moved = Self::written(home, self.schema.clone(), &batches, &self.dictionary_blocks);
        if let Some(known) = self.dictionaries.get() {
            // The same bytes have the same hashes; only the messages lie elsewhere.
            let there = known.iter().zip(&moved.dictionary_blocks);
            let there = there.map(|(known, block)| Dictionary { message: moved.at(block), ..known.clone() });
            let there = there.collect();
            moved.dictionaries.get_or_init(|| there);
        }
        Ok(moved)
    }

    /// The label of its home, by which the store knows which of its files a finished segment lies in.
    pub fn label(&self) -> Option<u128> {
        self.home.label()
    }

    /// Where the bytes live.
    pub fn home_kind(&self) -> HomeKind {
        self.home.kind()
    }

    /// The memfd that holds the IPC file, where it lives in one, sealed so that it can be given to another process.
    ///
    /// # Errors
    /// What sealing answers.
    pub fn lend_memfd(&self) -> std::io::Result<Option<BorrowedFd<'_>>> {
        self.home.lend_memfd()
    }

    /// xxh3-64 of all bytes of the IPC file. The first call reads them all.
    pub fn checksum(&self) -> u64 {
        *self.checksum.get_or_init(|| xxh3_64(self.home.buffer()))
    }

    /// The number of record batches.
    pub fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// The rows of batch `index`, as positions in this segment.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn batch_rows(&self, index: usize) -> Range<u64> {
        let start = if index == 0 { 0 } else { self.batches[index - 1].rows_end };
        start..self.batches[index].rows_end
    }

    /// The message of batch `index`, pointing into the home.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn message(&self, index: usize) -> Message {
        self.at(&self.batches[index].block)
    }

    /// The dictionaries, in the order of their ids. The first call reads them all, for their hashes.
    pub fn dictionaries(&self) -> &[Dictionary] {
        self.dictionaries.get_or_init(|| {
            let mut dictionaries: Vec<Dictionary> = Vec::with_capacity(self.dictionary_blocks.len());
            for ((id, block), value_type) in (0..).zip(&self.dictionary_blocks).zip(self.schema.dictionaries()) {
                let message = self.at(block);
                let mut hash = Xxh3::new();
                hash.update(&message.header);
                hash.update(&message.body);
                if holds_dictionary(value_type) {
                    // Readers resolve a dictionary when it arrives, so it is another one when one inside it is. Those have
                    // smaller ids.
                    dictionaries.iter().for_each(|inner| hash.update(&inner.hash.to_le_bytes()));
                }
                dictionaries.push(Dictionary { id, hash: hash.digest(), message });
            }
            dictionaries
        })
    }

    /// Batch `index` as arrays that point into the home.
    ///
    /// # Errors
    /// `data_damaged`.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn batch(&self, index: usize) -> Result<RecordBatch> {
        let block = &self.batches[index].block;
        self.decode(block, self.schema.arrow().clone(), self.dictionary_values()?)
    }

    /// As [`batch`](Self::batch), with the schema of the table, which may name and allow more than the segment's own.
    ///
    /// # Errors
    /// `schema_mismatch` when the table would not [`accept`](TableSchema::accept) the segment; `data_damaged`.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn batch_as(&self, index: usize, table: &TableSchema) -> Result<RecordBatch> {
        let block = &self.batches[index].block;
        if Arc::ptr_eq(table.arrow(), self.schema.arrow()) || table.arrow() == self.schema.arrow() {
            return self.decode(block, table.arrow().clone(), self.dictionary_values()?);
        }
        // Data that a table accepts is data of the table's types, byte for byte.
        table.accept(&self.schema)?;
        if table.dictionaries() == self.schema.dictionaries() {
            return self.decode(block, table.arrow().clone(), self.dictionary_values()?);
        }
        self.decode(block, table.arrow().clone(), &self.decode_dictionaries(table.dictionaries())?)
    }

    /// The message of the given rows of batch `index` (positions in this segment, inside the batch): the stored
    /// message where it is the whole batch, else a new one whose body is copied for these rows.
    ///
    /// # Errors
    /// `data_damaged`, `rows_out_of_range`.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn slice(&self, index: usize, rows: Range<u64>) -> Result<Message> {
        if rows == self.batch_rows(index) {
            return Ok(self.message(index));
        }
        Ok(message_of(&self.part(index, rows)?))
    }

    /// As [`slice`](Self::slice), with some of the columns, given by their positions. The body is always copied.
    ///
    /// # Errors
    /// `data_damaged`, `rows_out_of_range`; `internal` for a column that is not there.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn project(&self, index: usize, rows: Range<u64>, columns: &[usize]) -> Result<Message> {
        Ok(message_of(&projected(&self.part(index, rows)?, columns)?))
    }

    fn part(&self, index: usize, rows: Range<u64>) -> Result<RecordBatch> {
        let all = self.batch_rows(index);
        if rows.start < all.start || rows.end > all.end || rows.start > rows.end {
            let message = format!("rows {rows:?} are not all in the batch of rows {all:?}");
            return Err(Error::new(codes::ROWS_OUT_OF_RANGE, message));
        }
        Ok(self.batch(index)?.slice((rows.start - all.start) as usize, (rows.end - rows.start) as usize))
    }

    /// Dictionary `id` under another id: that of a [`Projection`](crate::Projection).
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn dictionary_as(&self, id: i64, new_id: i64) -> Result<Message> {
        let values = self.values_of(id)?;
        let encoded = Encoded::columns(values.len(), std::slice::from_ref(values));
        Ok(sent(encoded.dictionary_header(new_id), shared(&encoded.body())))
    }

    /// Dictionary `id` under an id of the reader's in types that every reader knows (see
    /// [`encode::PlainBatch`](crate::encode::PlainBatch)).
    ///
    /// # Errors
    /// `data_damaged`; `limit_exceeded`, `not_implemented` for what cannot be written like this.
    pub fn plain_dictionary_as(&self, id: i64, new_id: i64) -> Result<Message> {
        plain_dictionary(new_id, self.values_of(id)?)
    }

    fn values_of(&self, id: i64) -> Result<&ArrayRef> {
        let values = self.dictionary_values()?.get(&id);
        values.ok_or_else(|| Error::new(codes::INTERNAL, format!("there is no dictionary {id}")))
    }

    fn dictionary_values(&self) -> Result<&HashMap<i64, ArrayRef>> {
        if let Some(values) = self.dictionary_values.get() {
            return Ok(values);
        }
        let values = self.decode_dictionaries(self.schema.dictionaries())?;
        Ok(self.dictionary_values.get_or_init(|| values))
    }

    fn decode_dictionaries(&self, types: &[DataType]) -> Result<HashMap<i64, ArrayRef>> {
        let mut values = HashMap::new();
        // A dictionary inside another has the smaller id.
        for ((id, block), value_type) in (0..).zip(&self.dictionary_blocks).zip(types) {
            let schema = Arc::new(Schema::new(vec![Field::new("", value_type.clone(), true)]));
            let decoded = self.decode(block, schema, &values)?;
            values.insert(id, decoded.column(0).clone());
        }
        Ok(values)
    }

    /// The data of a record batch or dictionary message.
    fn decode(&self, block: &Block, schema: SchemaRef, dictionaries: &HashMap<i64, ArrayRef>) -> Result<RecordBatch> {
        decode(&self.header(block), &self.body(block), schema, dictionaries).map_err(|error| {
            Error::new(codes::DATA_DAMAGED, format!("the message at byte {} cannot be read: {error}", block.offset))
        })
    }

    fn at(&self, block: &Block) -> Message {
        let body = block.offset as usize + block.metadata_bytes as usize;
        let body = self.home.bytes().slice(body..body + block.body_bytes as usize);
        Message { header: self.header(block), body }
    }

    fn header(&self, block: &Block) -> Bytes {
        let start = block.offset as usize;
        self.home.bytes().slice(start + PREFIX_BYTES..start + block.metadata_bytes as usize)
    }

    fn body(&self, block: &Block) -> Buffer {
        let start = block.offset as usize + block.metadata_bytes as usize;
        self.home.buffer().slice_with_length(start, block.body_bytes as usize)
    }
}

/// Some columns of a batch, by their positions.
///
/// # Errors
/// `internal` for a column that is not there.
pub fn projected(batch: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    batch.project(columns).map_err(|error| {
        Error::new(codes::INTERNAL, format!("columns cannot be taken from a batch: {error}")).source(error)
    })
}

/// The message of a batch, whose body is copied.
pub(crate) fn message_of(batch: &RecordBatch) -> Message {
    let encoded = Encoded::batch(batch);
    sent(encoded.batch_header(), shared(&encoded.body()))
}

/// Whether values of a type refer to a dictionary.
fn holds_dictionary(value_type: &DataType) -> bool {
    matches!(value_type, DataType::Dictionary(..))
        || children(value_type).iter().any(|child| holds_dictionary(child.data_type()))
}

#[expect(unsafe_code, reason = "what was validated once is not validated again")]
fn decode(
    header: &[u8],
    body: &Buffer,
    schema: SchemaRef,
    dictionaries: &HashMap<i64, ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let malformed = |what: &str| ArrowError::IpcError(what.to_owned());
    let message = arrow_ipc::root_as_message(header).map_err(|error| malformed(&error.to_string()))?;
    let data = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()))
        .ok_or_else(|| malformed("neither a record batch nor a dictionary"))?;
    let mut validated = UnsafeFlag::new();
    // SAFETY: the bytes are those of a segment, and a segment exists only if its data was validated: the writer takes
    // batches that were validated when they arrived, or that arrow built, and lays out nothing that they do not show;
    // foreign bytes were decoded with full validation when the segment was opened, and bytes from our disk were
    // compared with their checksum (`Trust`). They cannot have changed since (`Home`). That every buffer lies inside
    // the body was checked when the segment was opened or follows from how it was written.
    unsafe { validated.set(true) };
    RecordBatchDecoder::try_new(body, data, schema, dictionaries, &MetadataVersion::V5)?
        .with_skip_validation(validated)
        .read_record_batch()
}

#[cfg(test)]
mod tests;
