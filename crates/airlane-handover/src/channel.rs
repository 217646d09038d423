//! A connection of either kind.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use airlane_model::Result;

use crate::bytes::Bytes;
use crate::frame::Frame;
use crate::message::Message;
use crate::packets::Packets;

/// A message that has come.
#[derive(Debug)]
pub struct Received {
    /// The request that it belongs to.
    pub request: u64,
    /// Whether the answer goes on in another message.
    pub has_more: bool,
    /// The message.
    pub message: Message,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// A connection of either kind. Messages can be sent and received at the same time, by one task each.
#[derive(Debug)]
pub enum Channel {
    /// With descriptors.
    Packets(Packets),
    /// Without.
    Bytes(Bytes),
}

impl Channel {
    /// Whether it passes descriptors.
    pub fn passes_descriptors(&self) -> bool {
        matches!(self, Self::Packets(_))
    }

    /// Sends a message that belongs to a request.
    ///
    /// # Errors
    /// `limit_exceeded`, `connection_broken`.
    pub async fn send(&self, request: u64, message: impl Into<Message>) -> Result<()> {
        self.send_part(&Frame { request, has_more: false, message: message.into() }, &[]).await
    }

    /// Sends a message with descriptors, which only packets take.
    ///
    /// # Errors
    /// `limit_exceeded`, `connection_broken`.
    pub async fn send_part(&self, frame: &Frame, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        match self {
            Self::Packets(packets) => packets.send(frame, descriptors).await,
            Self::Bytes(bytes) => bytes.send(frame).await,
        }
    }

    /// As [`receive`](Self::receive), for an answer that is to come at once: packets are [looked
    /// for](Packets::receive_within) for so long before this waits to be woken.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_within(&self, awake: Duration) -> Result<Option<Received>> {
        match self {
            Self::Packets(packets) => packets.receive_within(awake).await,
            Self::Bytes(bytes) => bytes.receive().await,
        }
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// `message_invalid`, `limit_exceeded`, `connection_broken`.
    pub async fn receive(&self) -> Result<Option<Received>> {
        match self {
            Self::Packets(packets) => packets.receive().await,
            Self::Bytes(bytes) => bytes.receive().await,
        }
    }
}
