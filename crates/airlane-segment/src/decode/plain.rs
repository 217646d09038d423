//! A body as arrow-ipc should see it: uncompressed, each buffer at a multiple of 64.
//!
//! ```text
//! compressed buffer:  i64 uncompressed length (-1: what follows is not compressed) | LZ4 frame or ZSTD frames
//! ```
//!
//! arrow-ipc reserves whatever the length says, and an allocation that fails ends the process. Here the lengths of all
//! buffers are read and judged before one byte is reserved, the reservation may fail, and no buffer grows beyond its
//! length.
//!
//! The source of the format: [Message.fbs](https://github.com/apache/arrow/blob/main/format/Message.fbs),
//! `BodyCompression`.

use std::io::Read;

use airlane_model::error::codes::{LIMIT_EXCEEDED, MESSAGE_INVALID};
use airlane_model::{ByteSize, Error, Result, limits::ALIGNMENT_BYTES};
use arrow_buffer::Buffer;
use lz4_flex::frame::FrameDecoder;
use zstd::bulk::Decompressor;

use super::header::Parts;
use super::memory::reserve;
use crate::budget::{Charge, MemoryBudget, MemoryUse};
use crate::check::batch::{Extent, Judged};
use crate::check::layout::Layout;
use crate::check::{DECOMPRESSED_BYTES_FREE, DecodeLimits};
use crate::encode::Codec;

/// What precedes a compressed buffer.
const PREFIX_BYTES: usize = 8;

/// A new body, and where its buffers lie: offset and length.
pub(crate) struct Plain {
    pub(crate) body: Buffer,
    pub(crate) buffers: Vec<(u64, u64)>,
    /// Its memory, until it is decoded: then it is counted by who holds the arrays.
    _charge: Charge,
}

impl Plain {
    /// The parts of the header that describes the new body.
    pub(crate) fn parts(&self, judged: &Judged, old: arrow_ipc::RecordBatch<'_>) -> Parts {
        Parts {
            rows: judged.rows,
            nodes: judged.nodes.clone(),
            buffers: self.buffers.clone(),
            variadic_counts: old.variadicBufferCounts().into_iter().flatten().collect(),
        }
    }
}

/// One buffer of the old body.
struct Source<'a> {
    extent: &'a Extent,
    bytes: &'a [u8],
    /// The length in the new body.
    plain_bytes: usize,
    is_compressed: bool,
}

/// Lays the buffers of a judged message out in a new body.
///
/// # Errors
/// `message_invalid`, `limit_exceeded`, `memory_full`, `storage_full`.
pub(crate) fn lay_out(
    layout: &Layout,
    judged: &Judged,
    body: &[u8],
    limits: &DecodeLimits,
    budget: &MemoryBudget,
) -> Result<Plain> {
    let sources = sources(layout, judged, body)?;
    let total = judge_total(&sources, body, limits)?;
    let charge = budget.charge(MemoryUse::Puts, total as u64)?;
    let mut new = reserve(total)?;
    let mut buffers = Vec::with_capacity(sources.len());
    let mut zstd = None;
    for source in &sources {
        let start = new.len();
        buffers.push((start as u64, source.plain_bytes as u64));
        if source.is_compressed {
            new.resize(start + source.plain_bytes, 0);
            let target = &mut new.as_slice_mut()[start..];
            let done = match judged.codec {
                Some(Codec::Zstd) => decompress_zstd(&mut zstd, source.bytes, target),
                _ => decompress_lz4(source.bytes, target),
            };
            done.map_err(|what| {
                let message = format!("a compressed buffer does not hold its {} bytes: {what}", source.plain_bytes);
                Error::new(MESSAGE_INVALID, message).at(layout.place(source.extent.node))
            })?;
        } else {
            new.extend_from_slice(source.bytes);
        }
        new.resize(new.len().next_multiple_of(ALIGNMENT_BYTES), 0);
    }
    Ok(Plain { body: new.into(), buffers, _charge: charge })
}

/// Reads and judges the lengths, one by one.
fn sources<'a>(layout: &Layout, judged: &'a Judged, body: &'a [u8]) -> Result<Vec<Source<'a>>> {
    let mut sources = Vec::with_capacity(judged.buffers.len());
    for extent in &judged.buffers {
        let invalid = |message: String| Error::new(MESSAGE_INVALID, message).at(layout.place(extent.node));
        let range = extent.offset as usize..(extent.offset + extent.bytes) as usize;
        let all = body.get(range).ok_or_else(|| invalid("a buffer is not inside the body".to_owned()))?;
        let (bytes, plain_bytes, is_compressed) = match all.split_first_chunk::<PREFIX_BYTES>() {
            _ if judged.codec.is_none() || all.is_empty() => (all, all.len() as u64, false),
            None => return Err(invalid(format!("a compressed buffer of {} bytes has no length", all.len()))),
            Some((prefix, rest)) => match i64::from_le_bytes(*prefix) {
                -1 => (rest, rest.len() as u64, false),
                length => {
                    let length = u64::try_from(length)
                        .map_err(|_| invalid(format!("a compressed buffer claims a length of {length} bytes")))?;
                    (rest, length, true)
                }
            },
        };
        extent.judge_bytes(plain_bytes, layout)?;
        let plain_bytes = usize::try_from(plain_bytes).unwrap_or(usize::MAX);
        sources.push(Source { extent, bytes, plain_bytes, is_compressed });
    }
    Ok(sources)
}

/// Judges the sum of the lengths, padding included.
fn judge_total(sources: &[Source<'_>], body: &[u8], limits: &DecodeLimits) -> Result<usize> {
    let padded = |source: &Source<'_>| source.plain_bytes.checked_next_multiple_of(ALIGNMENT_BYTES);
    let total = sources.iter().try_fold(0_usize, |sum, source| sum.checked_add(padded(source)?));
    let total_bytes = total.map_or(u64::MAX, |total| total as u64);
    // A body that is laid out anew for its alignment alone does not grow beyond the padding.
    let cap =
        limits.decompressed_bytes_max.as_u64().max(body.len() as u64 * 2 + (sources.len() * ALIGNMENT_BYTES) as u64);
    let ratio_cap = limits.decompressed_ratio_max.saturating_mul(body.len() as u64);
    let ratio_cap = ratio_cap.max(DECOMPRESSED_BYTES_FREE.as_u64());
    let refuse = |what: String| {
        Err(Error::new(LIMIT_EXCEEDED, what).hint("send smaller record batches, or send them uncompressed"))
    };
    match total {
        Some(total) if total_bytes <= cap.min(ratio_cap) => Ok(total),
        _ if total_bytes > cap => {
            let cap = limits.decompressed_bytes_max;
            refuse(format!("a message body decompresses to {total_bytes} bytes, the limit is {cap}"))
        }
        _ => {
            let (bytes, ratio) = (body.len(), limits.decompressed_ratio_max);
            refuse(format!(
                "a message body of {bytes} bytes decompresses to {}, more than {ratio} times its size",
                ByteSize::bytes(total_bytes)
            ))
        }
    }
}

fn decompress_zstd(
    context: &mut Option<Decompressor<'static>>,
    source: &[u8],
    target: &mut [u8],
) -> Result<(), String> {
    let context = match context {
        Some(context) => context,
        None => context.insert(Decompressor::new().map_err(|error| error.to_string())?),
    };
    let bytes = context.decompress_to_buffer(source, target).map_err(|error| error.to_string())?;
    if bytes == target.len() { Ok(()) } else { Err(format!("it holds {bytes}")) }
}

fn decompress_lz4(source: &[u8], target: &mut [u8]) -> Result<(), String> {
    let mut decoder = FrameDecoder::new(source);
    decoder.read_exact(target).map_err(|error| error.to_string())?;
    // The end mark and the checksum of the content come after the last byte.
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("it holds more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
