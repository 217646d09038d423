//! Bytes to messages, piece by piece as their DATA frames arrive.
//!
//! ```text
//! Prefix ─► Tag ─► Length ─► Value ─┐
//!   ▲        ▲└──► Varint ──────────┤
//!   │        └── more in the message┘
//!   └─────────── end of the message
//! ```
//!
//! A body is handed on as it comes, in the chunks in which it came, as soon as `data_header` is known; a body that
//! comes before it is legal protobuf and is kept until the message ends. Memory grows with what arrived: a length is
//! compared with limits when it is announced, and is believed when the bytes are there. Fields may come in any order,
//! unknown ones are skipped, and of a field that comes twice the last one counts, except that nothing can take back
//! a body that was handed on: such a message is refused.

use airlane_model::{ByteSize, Error, Result, codes, limits};
use bytes::{Bytes, BytesMut};

use crate::{PREFIX_BYTES, TAG_BODY, TAG_DESCRIPTOR, TAG_HEADER, TAG_METADATA};

mod varint;

use varint::Varint;

/// What one message may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A whole message.
    pub message_bytes_max: ByteSize,
    /// The flatbuffer in `data_header`.
    pub header_bytes_max: ByteSize,
    /// The `app_metadata`, and the `flight_descriptor`.
    pub metadata_bytes_max: ByteSize,
    /// The `data_body`.
    pub body_bytes_max: ByteSize,
    /// What to do about a body, and so a message, that is larger.
    pub hint: &'static str,
}

impl Limits {
    /// The limits for bodies of at most this many bytes, and for commands beside them.
    pub fn for_bodies(body_bytes_max: ByteSize, hint: &'static str) -> Self {
        let header_bytes_max = ByteSize::mib(16);
        let metadata_bytes_max = limits::COMMAND_BYTES_MAX;
        // Fields and tags beside body and header: descriptor and metadata, each with a bound of its own.
        let rest = 2 * metadata_bytes_max.as_u64() + 1024;
        let message_bytes_max = body_bytes_max.as_u64().saturating_add(header_bytes_max.as_u64() + rest);
        let message_bytes_max = ByteSize::bytes(message_bytes_max);
        Self { message_bytes_max, header_bytes_max, metadata_bytes_max, body_bytes_max, hint }
    }
}

/// What a message holds beside its body.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The encoded `FlightDescriptor`.
    pub descriptor: Option<Bytes>,
    /// The flatbuffer, maybe with zeros after it; empty when the field is absent.
    pub header: Bytes,
    /// The `app_metadata`.
    pub metadata: Option<Bytes>,
}

impl Fields {
    /// Whether the message says nothing.
    pub fn is_empty(&self) -> bool {
        self.descriptor.is_none() && self.header.is_empty() && self.metadata.is_none()
    }
}

/// Takes what the parser reads.
pub trait Sink {
    /// A message whose body of `body_bytes` follows. Fields that come after the body are not there yet.
    fn begin(&mut self, fields: &Fields, body_bytes: u64) -> Result<()>;

    /// The next chunk of the body.
    fn body(&mut self, chunk: Bytes) -> Result<()>;

    /// The message is complete, with all its fields.
    fn end(&mut self, fields: &Fields) -> Result<()>;
}

/// Reads `FlightData` messages with their gRPC prefixes.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    state: State,
    /// The bytes of the message that are still to come.
    left: u64,
    fields: Fields,
    body: Body,
    messages: u64,
}

#[derive(Debug)]
enum State {
    Prefix { bytes: [u8; PREFIX_BYTES], filled: usize },
    Tag(Varint),
    Varint(Varint),
    Length(Field, Varint),
    Value { field: Field, left: u64, partial: BytesMut },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Descriptor,
    Header,
    Metadata,
    Body,
    Unknown,
}

/// What became of the body of the present message.
#[derive(Debug)]
enum Body {
    Absent,
    /// It came before the header.
    Kept(Bytes),
    /// It was handed on.
    Passed,
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::START, left: 0, fields: Fields::default(), body: Body::Absent, messages: 0 }
    }

    /// Reads the next bytes of the stream.
    ///
    /// # Errors
    /// `message_invalid`, `limit_exceeded`, and those of the sink, about the last of the [`messages`](Self::messages).
    /// After an error the parser is of no further use.
    pub fn feed(&mut self, mut bytes: Bytes, sink: &mut impl Sink) -> Result<()> {
        self.feed_all(&mut bytes, sink)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// `message_invalid` when it ends inside a message.
    pub fn finish(&self) -> Result<()> {
        match self.is_in_message() {
            false => Ok(()),
            true => Err(invalid("the stream ends inside a message")),
        }
    }

    /// The messages that have begun.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether a message has begun and not ended.
    pub fn is_in_message(&self) -> bool {
        !matches!(&self.state, State::Prefix { filled: 0, .. })
    }

    fn feed_all(&mut self, bytes: &mut Bytes, sink: &mut impl Sink) -> Result<()> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Prefix { bytes: prefix, filled } => {
                    self.messages += u64::from(*filled == 0);
                    let taken = take(bytes, PREFIX_BYTES - *filled);
                    prefix[*filled..*filled + taken.len()].copy_from_slice(&taken);
                    *filled += taken.len();
                    if *filled == PREFIX_BYTES {
                        let prefix = *prefix;
                        self.begin_message(prefix)?;
                    }
                }
                State::Tag(varint) => {
                    self.left -= 1;
                    if let Some(tag) = varint.push(take_byte(bytes))? {
                        self.state = self.begin_field(tag)?;
                    }
                }
                State::Varint(varint) => {
                    self.left -= 1;
                    if varint.push(take_byte(bytes))?.is_some() {
                        self.state = State::TAG;
                    }
                }
                State::Length(field, varint) => {
                    let field = *field;
                    self.left -= 1;
                    if let Some(len) = varint.push(take_byte(bytes))? {
                        self.begin_value(field, len, sink)?;
                    }
                }
                State::Value { .. } => self.take_value(bytes, sink)?,
            }
            self.end_message_if_complete(sink)?;
        }
        Ok(())
    }

    fn begin_message(&mut self, prefix: [u8; PREFIX_BYTES]) -> Result<()> {
        let [flag, length @ ..] = prefix;
        let length = u64::from(u32::from_be_bytes(length));
        match flag {
            0 => {}
            1 => return Err(invalid("a message is compressed, but its stream has no `grpc-encoding`")),
            _ => return Err(invalid(format!("a message begins with the unknown flag {flag}"))),
        }
        let max = self.limits.message_bytes_max;
        if length > max.as_u64() {
            let message = format!("a message has {length} bytes, the most is {} ({max})", max.as_u64());
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint(self.limits.hint));
        }
        self.left = length;
        self.state = State::TAG;
        Ok(())
    }

    fn begin_field(&self, tag: u64) -> Result<State> {
        let known = match tag {
            TAG_DESCRIPTOR => Field::Descriptor,
            TAG_HEADER => Field::Header,
            TAG_METADATA => Field::Metadata,
            TAG_BODY => Field::Body,
            _ => Field::Unknown,
        };
        let (number, wire_type) = (tag >> 3, tag & 7);
        if number == 0 || tag > u64::from(u32::MAX) {
            return Err(invalid(format!("{number} is no number of a protobuf field")));
        }
        if known == Field::Unknown && matches!(number, 1..=3 | 1000) {
            return Err(invalid(format!("field {number} of FlightData has the wire type {wire_type}, not 2")));
        }
        match wire_type {
            0 => Ok(State::Varint(Varint::default())),
            1 => self.fixed(8),
            2 => Ok(State::Length(known, Varint::default())),
            5 => self.fixed(4),
            _ => Err(invalid(format!("field {number} has the unknown wire type {wire_type}"))),
        }
    }

    fn fixed(&self, len: u64) -> Result<State> {
        self.check_inside(len)?;
        Ok(State::Value { field: Field::Unknown, left: len, partial: BytesMut::new() })
    }

    fn begin_value(&mut self, field: Field, len: u64, sink: &mut impl Sink) -> Result<()> {
        self.check_inside(len)?;
        let max = match field {
            Field::Descriptor => Some(("flight_descriptor", self.limits.metadata_bytes_max.as_u64() + 1024)),
            Field::Header => Some(("data_header", self.limits.header_bytes_max.as_u64())),
            Field::Metadata => Some(("app_metadata", self.limits.metadata_bytes_max.as_u64())),
            Field::Body | Field::Unknown => None,
        };
        if let Some((name, max)) = max.filter(|(_, max)| len > *max) {
            return Err(Error::new(codes::LIMIT_EXCEEDED, format!("{name} has {len} bytes, the most is {max}")));
        }
        let body_max = self.limits.body_bytes_max;
        if field == Field::Body && len > body_max.as_u64() {
            let got = ByteSize::bytes(len);
            let message = format!("a message body of {got} ({len} bytes) is larger than the limit of {body_max}");
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint(self.limits.hint));
        }
        if matches!(self.body, Body::Passed) && matches!(field, Field::Header | Field::Body) {
            return Err(invalid("a message has data_header or data_body again after its data_body"));
        }
        if field == Field::Body && !self.fields.header.is_empty() {
            sink.begin(&self.fields, len)?;
            self.body = Body::Passed;
        }
        self.state = State::Value { field, left: len, partial: BytesMut::new() };
        if len == 0 {
            self.end_value(field, Bytes::new());
        }
        Ok(())
    }

    fn check_inside(&self, len: u64) -> Result<()> {
        if len > self.left {
            return Err(invalid(format!("a field of {len} bytes does not fit into the {} left", self.left)));
        }
        Ok(())
    }

    fn take_value(&mut self, bytes: &mut Bytes, sink: &mut impl Sink) -> Result<()> {
        let State::Value { field, left, partial } = &mut self.state else { return Ok(()) };
        let field = *field;
        let taken = take(bytes, usize::try_from(*left).unwrap_or(usize::MAX));
        self.left -= taken.len() as u64;
        *left -= taken.len() as u64;
        let is_whole = *left == 0;
        match field {
            Field::Unknown => {}
            Field::Body if matches!(self.body, Body::Passed) => sink.body(taken)?,
            Field::Body | Field::Descriptor | Field::Header | Field::Metadata => {
                // What came in one piece is shared, not copied.
                if is_whole && partial.is_empty() {
                    self.end_value(field, taken);
                    return Ok(());
                }
                partial.extend_from_slice(&taken);
            }
        }
        if is_whole {
            let value = std::mem::take(partial).freeze();
            self.end_value(field, value);
        }
        Ok(())
    }

    fn end_value(&mut self, field: Field, value: Bytes) {
        match field {
            Field::Descriptor => self.fields.descriptor = Some(value),
            Field::Header => self.fields.header = value,
            Field::Body if !matches!(self.body, Body::Passed) => self.body = Body::Kept(value),
            Field::Metadata => self.fields.metadata = Some(value),
            Field::Body | Field::Unknown => {}
        }
        self.state = State::TAG;
    }

    fn end_message_if_complete(&mut self, sink: &mut impl Sink) -> Result<()> {
        match &self.state {
            State::Prefix { .. } => return Ok(()),
            _ if self.left > 0 => return Ok(()),
            State::Tag(varint) if varint.is_empty() => {}
            _ => return Err(invalid("a message ends inside a field")),
        }
        match std::mem::replace(&mut self.body, Body::Absent) {
            Body::Passed => {}
            Body::Absent => sink.begin(&self.fields, 0)?,
            Body::Kept(body) => {
                sink.begin(&self.fields, body.len() as u64)?;
                sink.body(body)?;
            }
        }
        sink.end(&self.fields)?;
        self.fields = Fields::default();
        self.state = State::START;
        Ok(())
    }
}

impl State {
    const START: Self = Self::Prefix { bytes: [0; PREFIX_BYTES], filled: 0 };
    const TAG: Self = Self::Tag(Varint::EMPTY);
}

fn take(bytes: &mut Bytes, most: usize) -> Bytes {
    bytes.split_to(most.min(bytes.len()))
}

fn take_byte(bytes: &mut Bytes) -> u8 {
    let byte = bytes.first().copied().unwrap_or_default();
    bytes::Buf::advance(bytes, 1);
    byte
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(codes::MESSAGE_INVALID, message)
}

#[cfg(test)]
mod tests;
