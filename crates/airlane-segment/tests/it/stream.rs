//! The IPC stream format, cut into messages.
//!
//! ```text
//! 0xFFFFFFFF | i32 length | flatbuffer, padded to 8 | body … and again, until a length of 0 or the end
//! ```

/// One message of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// Cuts a stream into messages as far as it goes. A damaged stream gives what can be found in it: a body is as long as
/// its header says, or as what is left.
pub(crate) fn split(mut bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some((word, rest)) = bytes.split_first_chunk::<4>() {
        let (length, rest) = match (*word, rest.split_first_chunk::<4>()) {
            ([255, 255, 255, 255], Some((length, rest))) => (u32::from_le_bytes(*length), rest),
            _ => (u32::from_le_bytes(*word), rest),
        };
        if length == 0 {
            break;
        }
        let (header, rest) = rest.split_at((length as usize).min(rest.len()));
        let body_bytes = arrow_ipc::root_as_message(header).map_or(0, |message| message.bodyLength());
        let body_bytes = usize::try_from(body_bytes).unwrap_or(0).min(rest.len());
        let (body, rest) = rest.split_at(body_bytes);
        pieces.push(Piece { header: header.to_vec(), body: body.to_vec() });
        bytes = rest;
    }
    pieces
}

/// Joins messages to a stream.
pub(crate) fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(&[255; 4]);
        bytes.extend_from_slice(&(piece.header.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&piece.header);
        bytes.extend_from_slice(&piece.body);
    }
    bytes
}
