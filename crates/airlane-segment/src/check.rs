//! The IPC check: a message is judged from its flatbuffer alone, before anything is decoded or allocated for it.
//!
//! 1. The flatbuffer is verified (`schema::message`).
//! 2. [`batch`] walks the field nodes and buffers of a record batch along the [`layout`] of its schema: counts, row
//!    counts, and that each buffer lies inside the body and is as large as its rows need.
//! 3. For a compressed body the last needs the lengths that stand in the body itself; `decode::decompress` reads and
//!    judges them when the body is there, before it reserves anything.
//!
//! What is inside the buffers (offsets, indices, text) is validated by [`decode`](crate::decode).

use airlane_model::error::codes::{LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID};
use airlane_model::{ByteSize, Error, Result};
use arrow_ipc::{Message, MessageHeader};

use crate::schema::message;

pub(crate) mod batch;
pub(crate) mod layout;

/// What a stream from outside may ask for.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    /// The body of one message, as it arrives.
    pub body_bytes_max: ByteSize,
    /// The body of one message after decompression.
    pub decompressed_bytes_max: ByteSize,
    /// Decompressed bytes per compressed byte, for bodies that decompress to more than
    /// [`DECOMPRESSED_BYTES_FREE`]: a constant column of a small batch shrinks to almost nothing and is no attack.
    pub decompressed_ratio_max: u64,
    /// Rows of one batch in which a row costs no byte (null type, no columns, zero width, run-end encoded).
    pub free_rows_max: u64,
    /// Rows of one put.
    pub put_rows_max: u64,
    /// Dictionary messages of one stream.
    pub dictionaries_max: u64,
    /// The dictionaries of one stream that hold at a time; one that several columns share counts for each of them.
    pub dictionary_bytes_max: ByteSize,
}

/// What a body may decompress to whatever the ratio.
pub const DECOMPRESSED_BYTES_FREE: ByteSize = ByteSize::mib(16);

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: ByteSize::gib(1),
            decompressed_bytes_max: ByteSize::mib(256),
            decompressed_ratio_max: 1_000,
            free_rows_max: 16 << 20,
            put_rows_max: 1 << 40,
            dictionaries_max: 65_536,
            dictionary_bytes_max: ByteSize::mib(256),
        }
    }
}

/// A verified message that may follow the schema of a stream.
pub(crate) struct Envelope<'a> {
    pub(crate) message: Message<'a>,
    pub(crate) batch: arrow_ipc::RecordBatch<'a>,
    /// The id and the delta flag, for the values of a dictionary.
    pub(crate) dictionary: Option<(i64, bool)>,
}

/// Verifies the header of a message after the schema, and compares its body with the limit.
pub(crate) fn open<'a>(header: &'a [u8], body_bytes: u64, limits: &DecodeLimits) -> Result<Envelope<'a>> {
    let message = message::verify(header)?;
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch().map(|batch| (batch, None)),
        MessageHeader::DictionaryBatch => message
            .header_as_dictionary_batch()
            .and_then(|dictionary| Some((dictionary.data()?, Some((dictionary.id(), dictionary.isDelta()))))),
        MessageHeader::Schema => {
            return Err(Error::new(MESSAGE_ORDER_INVALID, "a second schema message in the stream")
                .hint("put tables of different schemas one by one"));
        }
        other => {
            let kind = other.variant_name().map_or_else(|| format!("number {}", other.0), |name| format!("`{name}`"));
            return Err(Error::new(MESSAGE_INVALID, format!("a message of type {kind} is no part of a table")));
        }
    };
    let Some((batch, dictionary)) = batch else {
        return Err(Error::new(MESSAGE_INVALID, "the message has no record batch"));
    };
    let announced = message.bodyLength();
    if u64::try_from(announced).ok().is_none_or(|announced| announced > body_bytes) {
        return Err(Error::new(
            MESSAGE_INVALID,
            format!("the message announces a body of {announced} bytes, and {body_bytes} came"),
        ));
    }
    if body_bytes > limits.body_bytes_max.as_u64() {
        let (got, limit) = (ByteSize::bytes(body_bytes), limits.body_bytes_max);
        return Err(Error::new(LIMIT_EXCEEDED, format!("a message body of {got} is larger than the limit of {limit}"))
            .hint("send smaller record batches"));
    }
    if has_old_compression(&message) {
        return Err(Error::new(MESSAGE_INVALID, "the message is compressed in a way that was given up with Arrow 1.0")
            .hint("write the stream with Arrow 1.0 or newer"));
    }
    Ok(Envelope { message, batch, dictionary })
}

/// Arrow 0.17 marked compressed bodies in the metadata of the message. Without this they would be read as they are.
fn has_old_compression(message: &Message<'_>) -> bool {
    let mut pairs = message.custom_metadata().into_iter().flatten();
    pairs.any(|pair| pair.key() == Some("ARROW:experimental_compression"))
}
