//! Messages to bytes: everything of a message but its body, which is sent after them as it lies.
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

use airlane_model::limits::ALIGNMENT_BYTES;
use airlane_model::{Error, Result, codes};
use bytes::{BufMut, BytesMut};

use crate::{PREFIX_BYTES, TAG_BODY, TAG_HEADER, TAG_METADATA};

/// Appends a `FlightData` of `header` and `metadata` up to where its body of `body_bytes` begins.
///
/// # Errors
/// `limit_exceeded` for a message of 4 GiB and more, which gRPC cannot carry.
pub fn put_flight_data(out: &mut BytesMut, header: &[u8], metadata: &[u8], body_bytes: usize) -> Result<()> {
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
pub fn put_put_result(out: &mut BytesMut, metadata: &[u8]) -> Result<()> {
    put_bytes(out, metadata)
}

/// Appends a `Ticket`.
///
/// # Errors
/// `limit_exceeded`, as [`put_flight_data`].
pub fn put_ticket(out: &mut BytesMut, ticket: &[u8]) -> Result<()> {
    put_bytes(out, ticket)
}

/// A message whose field 1 is all that it has.
fn put_bytes(out: &mut BytesMut, value: &[u8]) -> Result<()> {
    put_prefix(out, 1 + varint_bytes(value.len()) + value.len())?;
    put_varint(out, 1 << 3 | 2);
    put_varint(out, value.len() as u64);
    out.put_slice(value);
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
pub fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a number as a protobuf varint.
pub fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests;
