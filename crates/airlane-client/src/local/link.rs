//! A connection to the local door.

use std::collections::HashSet;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use airlane_handover::frame::Frame;
use airlane_handover::message::{Hello, HelloOk, Quota, Release, Renew};
use airlane_handover::packets::Packets;
use airlane_handover::{Channel, Message, Received, VERSION};
use airlane_model::{Error, Result, Secret, codes};
use tokio::sync::OwnedMutexGuard;

/// How long an answer that is to come at once is looked for before the thread sleeps: to be woken takes longer than most
/// such answers do.
const AWAKE: Duration = Duration::from_micros(250);

/// The request of messages that have no answer.
const UNANSWERED: u64 = u64::MAX;

/// A connection, on which one request at a time is asked.
#[derive(Debug)]
pub(super) struct Link {
    channel: Channel,
    hello: HelloOk,
    requests: Arc<tokio::sync::Mutex<u64>>,
    leases: Mutex<Leases>,
    is_broken: AtomicBool,
    /// The process that has connected. One that was forked from it has the same socket, and no part in what is said there.
    process: u32,
}

/// The right to ask on a connection; it holds the number of the last request.
pub(super) type Turn = OwnedMutexGuard<u64>;

#[derive(Debug, Default)]
struct Leases {
    held: HashSet<u64>,
    /// Those that the server has not been told of yet.
    released: Vec<u64>,
}

/// Whose servers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Servers {
    /// Those of the user and of root: where the socket is looked for, somebody else may have put one first.
    OwnAndRoot,
    /// Whoever listens there, since the user has named the socket.
    Any,
}

impl Servers {
    fn hold(self, server: u32, own: u32) -> bool {
        self == Self::Any || server == own || server == 0
    }
}

impl Link {
    pub(super) async fn connect(path: &Path, servers: Servers, token: Option<&Secret>) -> Result<Arc<Self>> {
        let packets = Packets::connect(path).await.map_err(|error| unreachable(path, error))?;
        let server = packets.peer().map_err(|error| unreachable(path, error))?.uid;
        let own = rustix::process::geteuid().as_raw();
        // Before a token is shown.
        if !servers.hold(server, own) {
            return Err(unreachable(path, format_args!("it is a process of another user, {server}")));
        }
        let channel = Channel::Packets(packets);
        let hello = Hello {
            version: VERSION,
            token: token.map(|token| token.expose().to_owned()).unwrap_or_default(),
            client: concat!("airlane-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            trusted: false,
        };
        channel.send(0, hello).await?;
        let answer = channel.receive().await?.ok_or_else(ended)?;
        let hello = match answer.message {
            Message::HelloOk(hello) => hello,
            Message::Failure(failure) => return Err(failure.error()),
            other => return Err(unexpected(&other)),
        };
        let (requests, leases, is_broken) = Default::default();
        let link = Arc::new(Self { channel, hello, requests, leases, is_broken, process: std::process::id() });
        tokio::spawn(renew(Arc::downgrade(&link), Duration::from_secs(link.hello.lease_seconds.into()) / 3));
        Ok(link)
    }

    pub(super) fn hello(&self) -> &HelloOk {
        &self.hello
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed) || self.is_forked()
    }

    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }

    pub(super) fn try_turn(&self) -> Option<Turn> {
        self.requests.clone().try_lock_owned().ok()
    }

    pub(super) async fn turn(&self) -> Turn {
        self.requests.clone().lock_owned().await
    }

    /// Sends a request; its answers have the number that the turn holds then.
    pub(super) async fn send(
        &self,
        turn: &mut Turn,
        message: impl Into<Message>,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<u64> {
        self.tell_released();
        **turn += 1;
        let frame = Frame { request: **turn, has_more: false, message: message.into() };
        let sent = self.channel.send_part(&frame, descriptors).await;
        sent.inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))?;
        Ok(**turn)
    }

    /// The next message, whatever it belongs to.
    async fn hear(&self, awake: Duration) -> Result<Received> {
        let received = self.channel.receive_within(awake).await.and_then(|received| received.ok_or_else(ended));
        received.inspect_err(|_| self.is_broken.store(true, Ordering::Relaxed))
    }

    /// The next answer to one of the requests from `first` on. What was asked by somebody who did not wait is let go of.
    pub(super) async fn receive(&self, first: u64) -> Result<Received> {
        self.receive_within(first, Duration::ZERO).await
    }

    /// As [`receive`](Self::receive), for an answer that takes the server microseconds.
    pub(super) async fn receive_soon(&self, first: u64) -> Result<Received> {
        self.receive_within(first, AWAKE).await
    }

    async fn receive_within(&self, first: u64, awake: Duration) -> Result<Received> {
        loop {
            let received = self.hear(awake).await?;
            match received.message {
                // The server tells why it takes its time, or that it stops, which the next request will see.
                Message::Quota(_) | Message::GoingAway(_) => {}
                Message::Table(table) if received.request < first => self.release(table.lease),
                _ if received.request < first || received.request == UNANSWERED => {}
                Message::Failure(failure) => return Err(failure.error()),
                _ => return Ok(received),
            }
        }
    }

    /// Tells the server that a table was read to its end, and waits until the read is used.
    async fn end_read(&self, lease: u64) -> Result<()> {
        let mut turn = self.turn().await;
        let first = self.send(&mut turn, Release { leases: Vec::new(), ended: vec![lease] }, &[]).await?;
        // What comes after it is answered after it is done.
        let last = self.send(&mut turn, Quota::default(), &[]).await?;
        loop {
            let received = self.hear(Duration::ZERO).await?;
            match received.message {
                Message::Failure(failure) if received.request == first => return Err(failure.error()),
                Message::Table(table) if received.request < first => self.release(table.lease),
                Message::Quota(_) if received.request == last => return Ok(()),
                _ => {}
            }
        }
    }

    /// Notes a lease, which is renewed until it is released.
    pub(super) fn hold(self: &Arc<Self>, lease: u64) -> Lease {
        self.leases().held.insert(lease);
        Lease { link: self.clone(), lease }
    }

    fn release(&self, lease: u64) {
        // The lease is the parent's, and so may be the lock.
        if self.is_forked() {
            return;
        }
        let mut leases = self.leases();
        leases.held.remove(&lease);
        leases.released.push(lease);
        drop(leases);
        self.tell_released();
    }

    /// Tells the server what is released, if it takes that now; else the next request does, or the end of the connection.
    fn tell_released(&self) {
        let mut leases = self.leases();
        if leases.released.is_empty() {
            return;
        }
        if self.try_send(Release { leases: leases.released.clone(), ended: Vec::new() }) {
            leases.released.clear();
        }
    }

    /// Sends a message that has no answer, unless that would have to wait. Tells whether it did.
    pub(super) fn try_send(&self, message: impl Into<Message>) -> bool {
        let frame = Frame { request: UNANSWERED, has_more: false, message: message.into() };
        match &self.channel {
            _ if self.is_forked() => false,
            Channel::Packets(packets) => packets.try_send(&frame).is_ok(),
            Channel::Bytes(_) => false,
        }
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        // Each change is one step.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader has mapped. The server is told when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    link: Arc<Link>,
    lease: u64,
}

impl Lease {
    /// As [`Link::end_read`].
    pub(super) async fn end_read(&self) -> Result<()> {
        self.link.end_read(self.lease).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.link.release(self.lease);
    }
}

/// Has leases last for as long as they are held.
async fn renew(link: Weak<Link>, interval: Duration) {
    loop {
        tokio::time::sleep(interval.max(Duration::from_millis(10))).await;
        let Some(link) = link.upgrade().filter(|link| !link.is_broken()) else { return };
        let leases: Vec<u64> = link.leases().held.iter().copied().collect();
        if !leases.is_empty() {
            // The next time will do.
            link.try_send(Renew { leases });
        }
    }
}

pub(super) fn unreachable(path: &Path, why: impl std::fmt::Display) -> Error {
    let message = format!("no server answers at the local door `{}`: {why}", path.display());
    Error::new(codes::SERVER_UNREACHABLE, message).hint("start one with `airlane serve`")
}

fn ended() -> Error {
    Error::new(codes::CONNECTION_BROKEN, "the server has ended the local connection")
}

pub(super) fn unexpected(message: &Message) -> Error {
    Error::new(codes::MESSAGE_INVALID, format!("the server answers {}, which is no answer to this", message.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_a_socket_that_was_found_must_be_of_the_user_or_of_root() {
        for (server, own, found) in [(1000, 1000, true), (0, 1000, true), (1001, 1000, false), (1000, 0, false)] {
            assert_eq!(Servers::OwnAndRoot.hold(server, own), found);
            assert!(Servers::Any.hold(server, own));
        }
    }

    #[tokio::test]
    async fn a_server_of_the_user_is_shown_the_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("local.sock");
        let listener = airlane_handover::packets::PacketListener::bind(&path).expect("bound");
        let token = Secret::new("t0ken");
        let connecting = Link::connect(&path, Servers::OwnAndRoot, Some(&token));
        let hearing = async {
            let (packets, _) = listener.accept().await.expect("accepted");
            // Of the same user it hears the token, and goes without an answer.
            let heard = packets.receive().await.expect("received").expect("a hello").message;
            assert!(matches!(heard, Message::Hello(hello) if hello.token == "t0ken"));
        };
        let (connected, ()) = tokio::join!(connecting, hearing);
        assert_eq!(connected.expect_err("no answer").code(), codes::CONNECTION_BROKEN);
    }
}
