//! A message as it lies in a segment, compressed for a reader that asks for it.
//!
//! ```text
//! stored       nodes, buffers               │ buffer, zeroes to 64                                 │ …
//! compressed   nodes, buffers, compression  │ i64 length │ LZ4 frame or ZSTD frame, zeroes to 64   │ …
//!                                             -1         │ the buffer as it was, where it does not shrink
//! ```
//!
//! Each buffer is compressed by itself, and an empty one stays empty. The source of the format:
//! [Message.fbs](https://github.com/apache/arrow/blob/main/format/Message.fbs), `BodyCompression`.
//! [`decode::plain`](crate::decode) is the way back.

use std::io::Write;

use airlane_model::error::codes::{INTERNAL, STORAGE_FULL};
use airlane_model::{ByteSize, Error, Result};
use arrow_ipc::{BodyCompressionMethod, CompressionType, RecordBatch};
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use zstd::bulk::Compressor;

use super::Encoded;
use super::message::sent;
use crate::home::aligned_len;
use crate::schema::message;
use crate::segment::Message;

/// How the buffers of a body are compressed, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// The LZ4 frame format: the quicker one.
    Lz4Frame,
    /// The ZSTD format: the smaller one.
    Zstd,
}

impl Codec {
    /// The codec as the format numbers it.
    pub(super) fn number(self) -> CompressionType {
        match self {
            Self::Lz4Frame => CompressionType::LZ4_FRAME,
            Self::Zstd => CompressionType::ZSTD,
        }
    }
}

/// What [`Codec::number`] is a number of: each buffer by itself, the one method that there is.
pub(super) const METHOD: BodyCompressionMethod = BodyCompressionMethod::BUFFER;

/// What precedes a compressed buffer: its length before.
const PREFIX_BYTES: usize = 8;

/// The length that stands before a buffer that is as it was.
const AS_IT_WAS: i64 = -1;

/// The quickest of zstd's usual levels, since a reader waits for it.
const ZSTD_LEVEL: i32 = 1;

/// Compresses a dictionary or record batch message of a segment. One that would not shrink is answered as it is, which
/// readers take: each message says for itself whether it is compressed.
///
/// This takes milliseconds for a message of a MiB, so it is not for a thread that serves sockets.
///
/// # Errors
/// `storage_full` when there is no memory for the new body; `message_invalid`, `internal` for what no segment holds.
pub fn compress(stored: &Message, codec: Codec) -> Result<Message> {
    Ok(compressed(stored, codec)?.unwrap_or_else(|| stored.clone()))
}

/// As [`compress`]; `None` for a message that would not shrink.
///
/// # Errors
/// As [`compress`].
pub fn compressed(stored: &Message, codec: Codec) -> Result<Option<Message>> {
    let message = message::verify(&stored.header)?;
    let dictionary = message.header_as_dictionary_batch();
    let batch = match dictionary {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    // A schema has no body.
    let Some(batch) = batch else { return Ok(None) };
    let (extents, body) = compress_body(batch, &stored.body, codec)?;
    if body.len() >= stored.body.len() {
        return Ok(None);
    }
    let encoded = Encoded {
        rows: batch.length() as usize,
        nodes: batch.nodes().into_iter().flatten().copied().collect(),
        buffers: extents,
        variadic_counts: batch.variadicBufferCounts().into_iter().flatten().collect(),
        pieces: Vec::new(),
        body_bytes: body.len() as u64,
        codec: Some(codec),
        ..Encoded::default()
    };
    let header = match dictionary {
        Some(dictionary) => encoded.dictionary_header(dictionary.id()),
        None => encoded.batch_header(),
    };
    Ok(Some(sent(header, body.into())))
}

/// The new body, and where its buffers lie.
fn compress_body(batch: RecordBatch<'_>, body: &[u8], codec: Codec) -> Result<(Vec<arrow_ipc::Buffer>, Vec<u8>)> {
    let sources = sources(batch, body)?;
    let mut packer = Packer::new(codec);
    let mut packed = reserve(sources.iter().map(|source| packed_bytes_max(source)).sum())?;
    let mut extents = Vec::with_capacity(sources.len());
    for source in sources {
        let start = packed.len();
        if !source.is_empty() {
            packer.pack(source, &mut packed);
        }
        extents.push(arrow_ipc::Buffer::new(start as i64, (packed.len() - start) as i64));
        packed.resize(aligned_len(packed.len() as u64) as usize, 0);
    }
    // What is waiting to be sent takes no more than it is.
    packed.shrink_to_fit();
    Ok((extents, packed))
}

fn sources<'a>(batch: RecordBatch<'_>, body: &'a [u8]) -> Result<Vec<&'a [u8]>> {
    let source = |extent: &arrow_ipc::Buffer| {
        let start = usize::try_from(extent.offset()).ok()?;
        body.get(start..start.checked_add(usize::try_from(extent.length()).ok()?)?)
    };
    let sources = batch.buffers().into_iter().flatten().map(source).collect::<Option<_>>();
    sources.ok_or_else(|| Error::new(INTERNAL, "a buffer of a stored message is not inside its body"))
}

/// A buffer never becomes longer than its prefix and itself.
fn packed_bytes_max(source: &[u8]) -> usize {
    match source.len() {
        0 => 0,
        len => aligned_len((PREFIX_BYTES + len) as u64) as usize,
    }
}

fn reserve(bytes: usize) -> Result<Vec<u8>> {
    let mut packed = Vec::new();
    packed.try_reserve_exact(bytes).map_err(|error| {
        let bytes = ByteSize::bytes(bytes as u64);
        Error::new(STORAGE_FULL, format!("there is no memory to compress a message of {bytes}"))
            .hint("read it again later, or without compression")
            .source(error)
    })?;
    Ok(packed)
}

/// Compresses buffer after buffer.
enum Packer {
    Lz4Frame,
    /// The context is made when it is needed, and serves all buffers of a message.
    Zstd(Option<Compressor<'static>>),
}

impl Packer {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::Lz4Frame => Self::Lz4Frame,
            Codec::Zstd => Self::Zstd(None),
        }
    }

    /// Appends the prefix and what follows it.
    fn pack(&mut self, source: &[u8], packed: &mut Vec<u8>) {
        let prefix = packed.len();
        let start = prefix + PREFIX_BYTES;
        packed.resize(start + source.len(), 0);
        let target = &mut packed[start..];
        let bytes = match self {
            Self::Lz4Frame => lz4_frame(source, target),
            Self::Zstd(context) => zstd_frame(context, source, target),
        };
        let length = match bytes.filter(|bytes| *bytes < source.len()) {
            Some(bytes) => {
                packed.truncate(start + bytes);
                source.len() as i64
            }
            None => {
                packed[start..].copy_from_slice(source);
                AS_IT_WAS
            }
        };
        packed[prefix..start].copy_from_slice(&length.to_le_bytes());
    }
}

/// The bytes that the frame takes; `None` when they are more than there is room for.
fn lz4_frame(source: &[u8], target: &mut [u8]) -> Option<usize> {
    let room = target.len();
    let mut rest = target;
    // Larger blocks need larger buffers and gain little: a match reaches back 64 KiB at most.
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, &mut rest);
    encoder.write_all(source).ok()?;
    encoder.finish().ok()?;
    Some(room - rest.len())
}

/// As [`lz4_frame`]. A context that cannot be made is no reason to send nothing.
fn zstd_frame(context: &mut Option<Compressor<'static>>, source: &[u8], target: &mut [u8]) -> Option<usize> {
    let context = match context {
        Some(context) => context,
        None => context.insert(Compressor::new(ZSTD_LEVEL).ok()?),
    };
    context.compress_to_buffer(source, target).ok()
}
