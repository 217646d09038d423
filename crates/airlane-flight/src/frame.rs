//! Flight messages framed by hand, so that a body is never copied.
//!
//! ```text
//! gRPC       00 | length u32 BE | payload
//! payload    12 len data_header, zeros | 1A len app_metadata | C2 3E len | data_body
//!                                                                        ^ a multiple of 64 from the payload's start
//! ```
//!
//! The zeros belong to `data_header`: a flatbuffer is read from its front, so readers never look at them. They put
//! the buffers of the body, which are aligned to 64 within it, where a reader that keeps messages in aligned memory
//! need not copy them again.
//!
//! The field numbers are those of `FlightData` in Arrow's `Flight.proto`; `data_body` has number 1000 so that it comes
//! last.

use airlane_model::limits::ALIGNMENT_BYTES;
use airlane_model::{Error, Result, codes};
use bytes::{BufMut, BytesMut};

/// The prefix of a gRPC message: a flag for compression and the length.
pub(crate) const PREFIX_BYTES: usize = 5;

pub(crate) const TAG_DESCRIPTOR: u64 = 0x0A;
pub(crate) const TAG_HEADER: u64 = 0x12;
pub(crate) const TAG_METADATA: u64 = 0x1A;
/// Field 1000, wire type 2; `C2 3E` on the wire.
pub(crate) const TAG_BODY: u64 = 1000 << 3 | 2;

/// Appends a `FlightData` of `header` and `metadata` up to where its body of `body_bytes` begins.
///
/// # Errors
/// `limit_exceeded` for a message of 4 GiB and more, which gRPC cannot carry.
pub(crate) fn put_flight_data(out: &mut BytesMut, header: &[u8], metadata: &[u8], body_bytes: usize) -> Result<()> {
    let after_header = match metadata.len() {
        0 => 0,
        len => 1 + varint_bytes(len) + len,
    } + match body_bytes {
        0 => 0,
        len => 2 + varint_bytes(len),
    };
    let padding = if body_bytes == 0 { 0 } else { header_padding(header.len(), after_header) };
    let header_bytes = header.len() + padding;
    let payload_bytes = 1 + varint_bytes(header_bytes) + header_bytes + after_header + body_bytes;

    out.reserve(PREFIX_BYTES + payload_bytes - body_bytes);
    put_prefix(out, payload_bytes)?;
    put_varint(out, TAG_HEADER);
    put_varint(out, header_bytes as u64);
    out.put_slice(header);
    out.put_bytes(0, padding);
    if !metadata.is_empty() {
        put_varint(out, TAG_METADATA);
        put_varint(out, metadata.len() as u64);
        out.put_slice(metadata);
    }
    if body_bytes > 0 {
        put_varint(out, TAG_BODY);
        put_varint(out, body_bytes as u64);
    }
    Ok(())
}

/// Appends a `PutResult` with `metadata`.
///
/// # Errors
/// `limit_exceeded`, as [`put_flight_data`].
pub(crate) fn put_put_result(out: &mut BytesMut, metadata: &[u8]) -> Result<()> {
    put_prefix(out, 1 + varint_bytes(metadata.len()) + metadata.len())?;
    put_varint(out, 0x0A);
    put_varint(out, metadata.len() as u64);
    out.put_slice(metadata);
    Ok(())
}

fn put_prefix(out: &mut BytesMut, payload_bytes: usize) -> Result<()> {
    let length = u32::try_from(payload_bytes).map_err(|_| {
        let message = format!("a message of {payload_bytes} bytes is larger than gRPC can carry");
        Error::new(codes::LIMIT_EXCEEDED, message).hint("put the table again in smaller rows")
    })?;
    out.put_u8(0);
    out.put_u32(length);
    Ok(())
}

/// The zeros after a header that let the body begin at a multiple of [`ALIGNMENT_BYTES`].
fn header_padding(header_bytes: usize, after_header: usize) -> usize {
    let begin = |length_bytes: usize| 1 + length_bytes + header_bytes + after_header;
    let to_boundary = |position: usize| position.next_multiple_of(ALIGNMENT_BYTES) - position;
    let unpadded = varint_bytes(header_bytes);
    let padding = to_boundary(begin(unpadded));
    if varint_bytes(header_bytes + padding) == unpadded {
        return padding;
    }
    // The padding makes the length itself one byte longer.
    let padding = to_boundary(begin(unpadded + 1));
    if varint_bytes(header_bytes + padding) == unpadded { padding + ALIGNMENT_BYTES } else { padding }
}

/// The bytes that a number takes as a protobuf varint.
pub(crate) fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests;
