//! Makes `grpc+unix://` of stock clients work.
//!
//! gRPC's C++ core, and with it pyarrow, sends the path of the socket as `:authority`, percent-encoded:
//! `run%2Fa%2Fx.sock`. No authority may hold a `%` (RFC 3986, section 3.2), and HTTP/2 libraries refuse the request
//! before anybody sees it. What the authority of a Unix socket says means nothing, so each `%` in it becomes a `-` on
//! its way in. Lengths stay, and with them the table of header fields that both sides keep.
//!
//! ```text
//! preface │ frame head: length 3, type 1, flags 1, stream 4 │ payload │ frame head │ …
//! HEADERS      [padding length 1] [priority 5] header block [padding]
//! CONTINUATION header block
//! header block 01xxxxxx | 0000xxxx | 0001xxxx   literal: name index, or name; value     (RFC 7541, section 6)
//!              1xxxxxxx                         indexed field
//!              001xxxxx                         size of the table
//! string       Hxxxxxxx, bytes                  H: Huffman-coded, which the clients in question never send
//! ```
//!
//! Bytes are looked at where they were read to; nothing is copied, kept back or re-encoded. Frames of data are passed
//! over by their length. What does not follow the grammar is left as it is, for the HTTP/2 library to refuse.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose incoming `:authority` fields are made valid.
#[derive(Debug)]
pub(super) struct MendAuthority<T> {
    stream: T,
    scanner: Scanner,
}

impl<T> MendAuthority<T> {
    /// Over a connection from its first byte.
    pub(super) fn new(stream: T) -> Self {
        Self { stream, scanner: Scanner::default() }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for MendAuthority<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.scanner.mend(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MendAuthority<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const TYPE_HEADERS: u8 = 1;
const TYPE_CONTINUATION: u8 = 9;
const FLAG_PADDED: u8 = 0x08;
const FLAG_PRIORITY: u8 = 0x20;
const PRIORITY_BYTES: usize = 5;
/// The index of `:authority` in the static table (RFC 7541, appendix A). gRPC's core spells the name out instead.
const AUTHORITY_INDEX: usize = 1;
const AUTHORITY_NAME: &[u8; 10] = b":authority";

/// Where in the stream the next byte stands.
#[derive(Debug)]
enum Place {
    Preface(usize),
    FrameHead {
        bytes: [u8; FRAME_HEAD_BYTES],
        filled: usize,
    },
    /// The byte that says how much padding ends the frame; the frame's bytes after it.
    PaddingLength {
        flags: u8,
        left: usize,
    },
    /// A part of a header block: its bytes, after bytes to pass over, and the padding after it.
    Block {
        before: usize,
        left: usize,
        padding: usize,
    },
    Skip(usize),
    /// Nothing to mend here any more.
    Done,
}

#[derive(Debug)]
struct Scanner {
    place: Place,
    field: Field,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { place: Place::Preface(0), field: Field::Start }
    }
}

impl Scanner {
    fn mend(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let passed = match &mut self.place {
                Place::Done => return,
                Place::Skip(left) | Place::Block { before: left @ 1.., .. } => {
                    let passed = bytes.len().min(*left);
                    *left -= passed;
                    passed
                }
                Place::Block { left, .. } => {
                    let passed = bytes.len().min(*left);
                    *left -= passed;
                    if self.field.mend(&mut bytes[..passed]).is_none() {
                        self.place = Place::Done;
                    }
                    passed
                }
                Place::Preface(matched) => {
                    *matched += 1;
                    match (bytes[0] == PREFACE[*matched - 1], *matched) {
                        (false, _) => self.place = Place::Done,
                        (true, 24) => self.place = Place::FRAME,
                        (true, _) => {}
                    }
                    1
                }
                Place::FrameHead { bytes: head, filled } => {
                    head[*filled] = bytes[0];
                    *filled += 1;
                    if *filled == FRAME_HEAD_BYTES {
                        self.place = Place::after_head(*head);
                    }
                    1
                }
                Place::PaddingLength { flags, left } => {
                    self.place = Place::block(*flags, *left, bytes[0].into());
                    1
                }
            };
            bytes = &mut bytes[passed..];
            self.place.settle();
        }
    }
}

impl Place {
    const FRAME: Self = Self::FrameHead { bytes: [0; FRAME_HEAD_BYTES], filled: 0 };

    fn after_head(head: [u8; FRAME_HEAD_BYTES]) -> Self {
        let [high, middle, low, kind, flags, ..] = head;
        let left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        match kind {
            TYPE_HEADERS if flags & FLAG_PADDED != 0 && left > 0 => Self::PaddingLength { flags, left: left - 1 },
            TYPE_HEADERS => Self::block(flags, left, 0),
            TYPE_CONTINUATION => Self::Block { before: 0, left, padding: 0 },
            _ => Self::Skip(left),
        }
    }

    fn block(flags: u8, left: usize, padding: usize) -> Self {
        let before = if flags & FLAG_PRIORITY == 0 { 0 } else { PRIORITY_BYTES };
        match left.checked_sub(before + padding) {
            Some(left) => Self::Block { before, left, padding },
            None => Self::Done,
        }
    }

    /// Goes on to what follows when everything here was passed.
    fn settle(&mut self) {
        if let Self::Block { before: 0, left: 0, padding } = self {
            *self = Self::Skip(*padding);
        }
        if let Self::Skip(0) = self {
            *self = Self::FRAME;
        }
    }
}

/// Where in a header block the next byte stands. A block may be cut anywhere, by frames and by reads.
#[derive(Clone, Copy, Debug)]
enum Field {
    Start,
    /// The rest of an index or a size.
    Number(Number, After),
    /// A string's first byte.
    Length(Text),
    LengthRest(Number, Text, bool),
    String {
        left: usize,
        text: Text,
        is_coded: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum After {
    /// The field is complete.
    Start,
    /// A literal: the number was the index of its name.
    Literal,
}

#[derive(Clone, Copy, Debug)]
enum Text {
    /// A name, and how much of `:authority` it has spelled so far; `None` when it is another one.
    Name {
        spelled: Option<usize>,
    },
    Value {
        is_authority: bool,
    },
}

impl Text {
    /// Takes the next bytes of the text, and mends them where it is due.
    fn pass(self, bytes: &mut [u8], is_coded: bool) -> Self {
        match self {
            Self::Name { spelled } => {
                let spelled = spelled.filter(|spelled| !is_coded && AUTHORITY_NAME[*spelled..].starts_with(bytes));
                Self::Name { spelled: spelled.map(|spelled| spelled + bytes.len()) }
            }
            Self::Value { is_authority } => {
                if is_authority && !is_coded {
                    bytes.iter_mut().filter(|byte| **byte == b'%').for_each(|byte| *byte = b'-');
                }
                self
            }
        }
    }
}

/// An integer in pieces (RFC 7541, section 5.1).
#[derive(Clone, Copy, Debug)]
struct Number {
    value: usize,
    shift: u32,
}

impl Number {
    /// From the bits of its first byte; complete unless they are all ones.
    fn begin(byte: u8, bits: u32) -> (Self, bool) {
        let mask = (1_u8 << bits) - 1;
        (Self { value: (byte & mask).into(), shift: 0 }, byte & mask != mask)
    }

    /// With the next byte; `None` for what no header list can need.
    fn push(self, byte: u8) -> Option<(Self, bool)> {
        const SHIFT_MAX: u32 = 21;
        if self.shift > SHIFT_MAX {
            return None;
        }
        let value = self.value + (usize::from(byte & 0x7F) << self.shift);
        Some((Self { value, shift: self.shift + 7 }, byte < 0x80))
    }
}

impl Field {
    /// Mends a part of a header block; `None` when it does not follow the grammar.
    fn mend(&mut self, mut bytes: &mut [u8]) -> Option<()> {
        while let Some(first) = bytes.first_mut() {
            let mut passed = 1;
            *self = match *self {
                Self::Start => {
                    let (bits, after) = match *first {
                        0x80.. => (7, After::Start),
                        0x40.. => (6, After::Literal),
                        0x20.. => (5, After::Start),
                        _ => (4, After::Literal),
                    };
                    let (number, is_complete) = Number::begin(*first, bits);
                    if is_complete { Self::after(number, after) } else { Self::Number(number, after) }
                }
                Self::Number(number, after) => {
                    let (number, is_complete) = number.push(*first)?;
                    if is_complete { Self::after(number, after) } else { Self::Number(number, after) }
                }
                Self::Length(text) => {
                    let is_coded = *first & 0x80 != 0;
                    let (number, is_complete) = Number::begin(*first, 7);
                    if is_complete {
                        Self::string(number, text, is_coded)
                    } else {
                        Self::LengthRest(number, text, is_coded)
                    }
                }
                Self::LengthRest(number, text, is_coded) => {
                    let (number, is_complete) = number.push(*first)?;
                    if is_complete {
                        Self::string(number, text, is_coded)
                    } else {
                        Self::LengthRest(number, text, is_coded)
                    }
                }
                Self::String { left, text, is_coded } => {
                    passed = left.min(bytes.len());
                    let text = text.pass(&mut bytes[..passed], is_coded);
                    Self::rest(left - passed, text, is_coded)
                }
            };
            bytes = &mut bytes[passed..];
        }
        Some(())
    }

    fn after(number: Number, after: After) -> Self {
        match (after, number.value) {
            (After::Start, _) => Self::Start,
            (After::Literal, 0) => Self::Length(Text::Name { spelled: Some(0) }),
            (After::Literal, index) => Self::Length(Text::Value { is_authority: index == AUTHORITY_INDEX }),
        }
    }

    fn string(number: Number, text: Text, is_coded: bool) -> Self {
        Self::rest(number.value, text, is_coded)
    }

    fn rest(left: usize, text: Text, is_coded: bool) -> Self {
        match (left, text) {
            (1.., _) => Self::String { left, text, is_coded },
            (0, Text::Name { spelled }) => {
                Self::Length(Text::Value { is_authority: spelled == Some(AUTHORITY_NAME.len()) })
            }
            (0, Text::Value { .. }) => Self::Start,
        }
    }
}

#[cfg(test)]
mod tests;
