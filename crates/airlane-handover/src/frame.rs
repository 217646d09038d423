//! How a message is written.
//!
//! ```text
//! 0        2        4                 8                                 16
//! ┌────────┬────────┬─────────────────┬─────────────────────────────────┬──────────────┐
//! │ number │ flags  │ length of body  │ request                         │ protobuf …   │
//! └────────┴────────┴─────────────────┴─────────────────────────────────┴──────────────┘
//! ```
//!
//! Numbers are little-endian. An answer has the number of its request; what the server says by itself has 0.

use airlane_model::{Error, Result, codes};

use crate::message::Message;

/// The bytes before the body.
pub const HEAD_BYTES: usize = 16;

/// A message with its head, at most. A packet of a Unix socket takes little more than three times as much.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The answer goes on in another message.
const MORE: u16 = 1;

/// A message with its head.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The request that it belongs to.
    pub request: u64,
    /// Whether the answer goes on in another message.
    pub has_more: bool,
    /// The message.
    pub message: Message,
}

/// The head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    number: u16,
    has_more: bool,
    pub(crate) body_bytes: usize,
    request: u64,
}

impl Frame {
    /// Its bytes.
    ///
    /// # Errors
    /// `limit_exceeded` when it is too long.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let body = self.message.encode();
        let bytes = HEAD_BYTES + body.len();
        if bytes > MESSAGE_BYTES_MAX {
            let message =
                format!("a message {} has {bytes} bytes, the most is {MESSAGE_BYTES_MAX}", self.message.name());
            return Err(Error::new(codes::LIMIT_EXCEEDED, message));
        }
        let mut frame = Vec::with_capacity(bytes);
        frame.extend_from_slice(&self.message.number().to_le_bytes());
        frame.extend_from_slice(&(if self.has_more { MORE } else { 0 }).to_le_bytes());
        // It is far below 4 GiB.
        frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
        frame.extend_from_slice(&self.request.to_le_bytes());
        frame.extend_from_slice(&body);
        Ok(frame)
    }

    /// The frame that these bytes are, all of them.
    ///
    /// # Errors
    /// `message_invalid`, `limit_exceeded`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            let message = format!("a message has {} bytes, and its head alone {HEAD_BYTES}", bytes.len());
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        };
        let head = Head::decode(head)?;
        if head.body_bytes != body.len() {
            let message = format!("a message has a body of {} bytes, its head says {}", body.len(), head.body_bytes);
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        }
        head.with(body)
    }
}

impl Head {
    pub(crate) fn decode(head: &[u8; HEAD_BYTES]) -> Result<Self> {
        let [n0, n1, f0, f1, l0, l1, l2, l3, request @ ..] = *head;
        let flags = u16::from_le_bytes([f0, f1]);
        let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if flags & !MORE != 0 {
            let message = format!("a message has the flags {flags:#06x}, of which only {MORE:#06x} is known");
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        }
        if body_bytes > MESSAGE_BYTES_MAX - HEAD_BYTES {
            let message =
                format!("a message has a body of {body_bytes} bytes, the most is {MESSAGE_BYTES_MAX} with its head");
            return Err(Error::new(codes::LIMIT_EXCEEDED, message));
        }
        let number = u16::from_le_bytes([n0, n1]);
        Ok(Self { number, has_more: flags == MORE, body_bytes, request: u64::from_le_bytes(request) })
    }

    pub(crate) fn with(self, body: &[u8]) -> Result<Frame> {
        let Self { number, has_more, request, .. } = self;
        Ok(Frame { request, has_more, message: Message::decode(number, body)? })
    }
}
