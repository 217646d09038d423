//! The flatbuffer of a message: verified on the way in, canonical on the way out.

use std::panic::{AssertUnwindSafe, catch_unwind};

use airlane_model::error::codes::{MESSAGE_INVALID, SCHEMA_INVALID};
use airlane_model::{ByteSize, Error, Result};
use arrow_ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{Message, MessageBuilder, MessageHeader, MetadataVersion, root_as_message_with_opts};
use arrow_schema::Schema;
use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, InvalidFlatbuffer, VerifierOptions};

use super::{index_type, policy};

/// The flatbuffer of one message. A schema at several bounds of the policy can be larger, and is refused.
pub(crate) const HEADER_BYTES_MAX: ByteSize = ByteSize::mib(16);

/// Tables nested in a message: two for the message and its header, a field and its type for each level. The verifier
/// recurses, so this bounds its stack, too.
const TABLE_DEPTH_MAX: usize = 64;

/// The size a message may have once tables that are shared inside it are counted each time.
const APPARENT_BYTES_MAX: usize = 64 << 20;

/// Verifies the flatbuffer of a message of any kind.
///
/// The reader that arrow-ipc generates follows offsets without looking; nothing may touch a message that did not pass
/// here.
pub(crate) fn verify(header: &[u8]) -> Result<Message<'_>> {
    if header.len() > HEADER_BYTES_MAX.as_usize() {
        let bytes = ByteSize::bytes(header.len() as u64);
        return Err(Error::new(
            MESSAGE_INVALID,
            format!("a message header of {bytes} is larger than {HEADER_BYTES_MAX}"),
        ));
    }
    let options = VerifierOptions {
        max_depth: TABLE_DEPTH_MAX,
        max_tables: 1_000_000,
        max_apparent_size: APPARENT_BYTES_MAX,
        ignore_missing_null_terminator: false,
    };
    let message = root_as_message_with_opts(&options, header).map_err(|error| match error {
        InvalidFlatbuffer::DepthLimitReached => Error::new(
            SCHEMA_INVALID,
            format!("the fields of the schema are nested deeper than {} levels", policy::LEVELS_MAX),
        ),
        other => {
            let what = other.to_string();
            let what = what.lines().next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned();
            Error::new(MESSAGE_INVALID, format!("the message header is no valid flatbuffer: {what}")).source(other)
        }
    })?;
    match message.version() {
        MetadataVersion::V4 | MetadataVersion::V5 => Ok(message),
        other => {
            Err(Error::new(MESSAGE_INVALID, format!("metadata version {} is not supported", i32::from(other.0) + 1))
                .hint("write the stream with Arrow 0.8 or newer"))
        }
    }
}

/// Verifies the flatbuffer of a schema message.
pub(crate) fn verify_schema(header: &[u8]) -> Result<arrow_ipc::Schema<'_>> {
    let message = verify(header)?;
    if message.bodyLength() != 0 {
        let length = message.bodyLength();
        return Err(Error::new(MESSAGE_INVALID, format!("a schema message announces a body of {length} bytes")));
    }
    message.header_as_schema().ok_or_else(|| {
        let kind = message.header_type().variant_name().unwrap_or("unknown");
        Error::new(MESSAGE_INVALID, format!("expected a schema message, got one of type `{kind}`"))
    })
}

/// Converts a schema that the policy has judged. Every dictionary must have an index type.
pub(crate) fn convert(judged: arrow_ipc::Schema<'_>) -> Result<Schema> {
    if !index_type::missing(&judged).is_empty() {
        return Err(Error::new(SCHEMA_INVALID, "a dictionary has no index type"));
    }
    // The conversion panics where it meets what it does not know. The policy leaves nothing of that kind.
    catch_unwind(AssertUnwindSafe(|| fb_to_schema(judged)))
        .map_err(|_| Error::new(SCHEMA_INVALID, "the schema cannot be converted"))
}

/// The message of a schema, padded with zeros to a multiple of 8. Dictionaries are numbered depth-first.
///
/// # Errors
/// `schema_invalid` for a message that would be too large to be read.
pub(crate) fn encode(schema: &Schema) -> Result<Bytes> {
    let mut builder = FlatBufferBuilder::new();
    let mut tracker = DictionaryTracker::new(true);
    let header = IpcSchemaEncoder::new()
        .with_dictionary_tracker(&mut tracker)
        .schema_to_fb_offset(&mut builder, schema)
        .as_union_value();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_bodyLength(0);
    message.add_header(header);
    let root = message.finish();
    builder.finish(root, None);
    let mut bytes = builder.finished_data().to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    if bytes.len() > HEADER_BYTES_MAX.as_usize() {
        let bytes = ByteSize::bytes(bytes.len() as u64);
        return Err(Error::new(SCHEMA_INVALID, format!("the schema takes {bytes}, the limit is {HEADER_BYTES_MAX}"))
            .hint("shorten the names, time zones or metadata, or split the table"));
    }
    Ok(bytes.into())
}
