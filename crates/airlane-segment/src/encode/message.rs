//! The metadata of messages and files, built by us and therefore canonical.

use airlane_model::{Error, Result, codes};
use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{
    BodyCompressionBuilder, DictionaryBatchBuilder, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    RecordBatchBuilder,
};
use arrow_schema::Schema;
use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use super::Encoded;
use super::compressed::METHOD;
use crate::home::aligned_len;
use crate::segment::Message;

/// The first and the last bytes of a file.
pub(crate) const MAGIC: [u8; 6] = *b"ARROW1";

/// Continuation and length before the flatbuffer of a message.
pub(crate) const PREFIX_BYTES: usize = 8;

/// What the flatbuffer of most messages fits into, so that it is not written again and again while it grows.
const HEADER_BYTES: usize = 1024;

/// Where a message lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Of the continuation, from the start of the file.
    pub(crate) offset: u64,
    /// Of continuation, length, flatbuffer and its padding.
    pub(crate) metadata_bytes: u32,
    /// Of the body with its paddings.
    pub(crate) body_bytes: u64,
}

impl Encoded {
    /// The flatbuffer of a record batch message.
    pub(crate) fn batch_header(&self) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::with_capacity(HEADER_BYTES);
        let batch = self.record_batch(&mut fbb).as_union_value();
        self.message(fbb, MessageHeader::RecordBatch, batch)
    }

    /// The flatbuffer of a dictionary batch message, never a delta.
    pub(crate) fn dictionary_header(&self, id: i64) -> Vec<u8> {
        let mut fbb = FlatBufferBuilder::with_capacity(HEADER_BYTES);
        let data = self.record_batch(&mut fbb);
        let mut dictionary = DictionaryBatchBuilder::new(&mut fbb);
        dictionary.add_id(id);
        dictionary.add_data(data);
        let dictionary = dictionary.finish().as_union_value();
        self.message(fbb, MessageHeader::DictionaryBatch, dictionary)
    }

    fn record_batch<'a>(&self, fbb: &mut FlatBufferBuilder<'a>) -> WIPOffset<arrow_ipc::RecordBatch<'a>> {
        let buffers = fbb.create_vector(&self.buffers);
        let nodes = fbb.create_vector(&self.nodes);
        let variadic_counts =
            (!self.variadic_counts.is_empty()).then(|| fbb.create_vector(self.variadic_counts.as_slice()));
        let compression = self.codec.map(|codec| {
            let mut compression = BodyCompressionBuilder::new(fbb);
            compression.add_method(METHOD);
            compression.add_codec(codec.number());
            compression.finish()
        });
        let mut batch = RecordBatchBuilder::new(fbb);
        batch.add_length(self.rows as i64);
        batch.add_nodes(nodes);
        batch.add_buffers(buffers);
        if let Some(counts) = variadic_counts {
            batch.add_variadicBufferCounts(counts);
        }
        if let Some(compression) = compression {
            batch.add_compression(compression);
        }
        batch.finish()
    }

    fn message(
        &self,
        mut fbb: FlatBufferBuilder<'_>,
        kind: MessageHeader,
        header: WIPOffset<UnionWIPOffset>,
    ) -> Vec<u8> {
        let mut message = MessageBuilder::new(&mut fbb);
        message.add_version(MetadataVersion::V5);
        message.add_header_type(kind);
        message.add_bodyLength(self.body_bytes as i64);
        message.add_header(header);
        let root = message.finish();
        fbb.finish(root, None);
        fbb.finished_data().to_vec()
    }
}

/// A message that is sent and never stored: its flatbuffer is padded to 8.
pub(crate) fn sent(mut header: Vec<u8>, body: Bytes) -> Message {
    header.resize(header.len().next_multiple_of(8), 0);
    Message { header: header.into(), body }
}

/// Continuation, length, flatbuffer, and zeroes so that what follows starts at 64.
///
/// # Errors
/// `limit_exceeded` for metadata of 2 GiB.
pub(crate) fn framed(header: &[u8]) -> Result<Vec<u8>> {
    let total = aligned_len((PREFIX_BYTES + header.len()) as u64) as usize;
    let length = i32::try_from(total - PREFIX_BYTES)
        .map_err(|_| Error::new(codes::LIMIT_EXCEEDED, format!("metadata of {} bytes is too long", header.len())))?;
    let mut framed = Vec::with_capacity(total);
    framed.extend_from_slice(&[0xff; 4]);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(header);
    framed.resize(total, 0);
    Ok(framed)
}

/// The mark behind the last message.
pub(crate) fn end_of_stream() -> [u8; PREFIX_BYTES] {
    [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
}

/// The footer of a file: flatbuffer, its length, magic.
///
/// # Errors
/// `limit_exceeded` for a footer of 2 GiB.
pub(crate) fn footer(schema: &Schema, dictionaries: &[Block], batches: &[Block]) -> Result<Vec<u8>> {
    let mut fbb = FlatBufferBuilder::with_capacity(HEADER_BYTES);
    let blocks = |blocks: &[Block]| -> Vec<arrow_ipc::Block> {
        let block = |block: &Block| {
            arrow_ipc::Block::new(block.offset as i64, block.metadata_bytes as i32, block.body_bytes as i64)
        };
        blocks.iter().map(block).collect()
    };
    let dictionaries = fbb.create_vector(&blocks(dictionaries));
    let batches = fbb.create_vector(&blocks(batches));
    // The tracker numbers the dictionaries depth first from 0, as the schema message does.
    let mut tracker = DictionaryTracker::new(true);
    let schema = IpcSchemaEncoder::new().with_dictionary_tracker(&mut tracker).schema_to_fb_offset(&mut fbb, schema);
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let root = footer.finish();
    fbb.finish(root, None);
    let flatbuffer = fbb.finished_data();
    let length = i32::try_from(flatbuffer.len())
        .map_err(|_| Error::new(codes::LIMIT_EXCEEDED, "the footer of a segment is too long"))?;
    Ok([flatbuffer, &length.to_le_bytes(), MAGIC.as_slice()].concat())
}
