//! Messages with descriptors: packets of a Unix socket (`SOCK_SEQPACKET`), which keep their bounds.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use airlane_model::{Error, Result, codes};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use crate::DESCRIPTORS_MAX;
use crate::channel::Received;
use crate::frame::{Frame, MESSAGE_BYTES_MAX};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

thread_local! {
    /// Where packets are received, and decoded before the next: one that waits holds no memory for what is to come.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection. That of tokio does not ask what kind of socket it holds, and only waits for it here.
#[derive(Debug)]
pub struct Packets(UnixStream);

/// Takes connections.
#[derive(Debug)]
pub struct PacketListener(UnixListener);

/// The process at the other end, as the kernel noted it when it connected, or listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProcess {
    /// Its number.
    pub pid: Option<i32>,
    /// The user it runs as.
    pub uid: u32,
}

impl PacketListener {
    /// Listens at a path, which must not be there yet.
    ///
    /// # Errors
    /// What the system answers.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = socket()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self(UnixListener::from_std(socket.into())?))
    }

    /// The next connection, and whose it is.
    ///
    /// # Errors
    /// What the system answers, such as that there are too many descriptors.
    pub async fn accept(&self) -> io::Result<(Packets, PeerProcess)> {
        let packets = Packets(self.0.accept().await?.0);
        let peer = packets.peer()?;
        Ok((packets, peer))
    }
}

impl Packets {
    /// Connects to a listener. In a runtime.
    ///
    /// # Errors
    /// What the system answers.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket()?;
        let address = SocketAddrUnix::new(path)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                // The listener is there, and has many to accept.
                Err(rustix::io::Errno::AGAIN) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                other => break other?,
            }
        }
        Self::new(socket)
    }

    /// Two ends of one connection.
    ///
    /// # Errors
    /// What the system answers.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// The process at the other end: for a client that which listened.
    ///
    /// # Errors
    /// What the system answers.
    pub fn peer(&self) -> io::Result<PeerProcess> {
        let peer = self.0.peer_cred()?;
        Ok(PeerProcess { pid: peer.pid(), uid: peer.uid() })
    }

    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(UnixStream::from_std(socket.into())?))
    }

    /// Sends a message, and descriptors, which stay open here.
    ///
    /// # Errors
    /// `limit_exceeded` for what is too long, or too many descriptors; `connection_broken`.
    pub async fn send(&self, frame: &Frame, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        if descriptors.len() > DESCRIPTORS_MAX {
            let message = format!("a message has {} descriptors, the most is {DESCRIPTORS_MAX}", descriptors.len());
            return Err(Error::new(codes::LIMIT_EXCEEDED, message));
        }
        let bytes = frame.encode()?;
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            Ok(rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, flags)?)
        };
        let sent = self.0.async_io(Interest::WRITABLE, send).await;
        sent.map(drop).map_err(broken)
    }

    /// Sends a message if the other end can take it now; whoever cannot wait calls it.
    ///
    /// # Errors
    /// `limit_exceeded`; `connection_broken`, also when it would have to wait.
    pub fn try_send(&self, frame: &Frame) -> Result<()> {
        let bytes = frame.encode()?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut SendAncillaryBuffer::default(), flags);
        sent.map(drop).map_err(|error| broken(error.into()))
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// `message_invalid`, `limit_exceeded`, also for more descriptors than can be; `connection_broken`. The connection is
    /// of no further use then.
    pub async fn receive(&self) -> Result<Option<Received>> {
        self.receive_within(Duration::ZERO).await
    }

    /// As [`receive`](Self::receive), for a message that is to come at once: it is looked for again and again for so long
    /// before this waits to be woken, which takes longer than many an answer. Others have their turn between two looks.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub async fn receive_within(&self, awake: Duration) -> Result<Option<Received>> {
        let begin = Instant::now();
        loop {
            if begin.elapsed() >= awake {
                return self.0.async_io(Interest::READABLE, || self.try_receive()).await.map_err(broken)?;
            }
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received.map_err(broken)?,
            }
            thread::yield_now();
            tokio::task::yield_now().await;
        }
    }

    /// The message that has come, or `WouldBlock`.
    fn try_receive(&self) -> io::Result<Result<Option<Received>>> {
        BUFFER.with_borrow_mut(|bytes| {
            bytes.resize(MESSAGE_BYTES_MAX, 0);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
            // Those that came are closed, whatever becomes of the message.
            let descriptors = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            });
            let descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
            Ok(taken(bytes.get(..received.bytes).unwrap_or_default(), received.flags, descriptors))
        })
    }
}

/// What a packet says.
fn taken(bytes: &[u8], flags: ReturnFlags, descriptors: Vec<OwnedFd>) -> Result<Option<Received>> {
    if flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        let message = format!("a message has more than {MESSAGE_BYTES_MAX} bytes, or {DESCRIPTORS_MAX} descriptors");
        return Err(Error::new(codes::LIMIT_EXCEEDED, message));
    }
    if bytes.is_empty() && descriptors.is_empty() {
        return Ok(None);
    }
    let Frame { request, has_more, message } = Frame::decode(bytes)?;
    Ok(Some(Received { request, has_more, message, descriptors }))
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether somebody listens at a path.
pub fn is_live(path: &Path) -> bool {
    let connected = socket().and_then(|socket| {
        let address = SocketAddrUnix::new(path)?;
        Ok(rustix::net::connect(&socket, &address))
    });
    // One that has many to accept is there, too.
    matches!(connected, Ok(Ok(()) | Err(rustix::io::Errno::AGAIN)))
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

pub(crate) fn broken(error: io::Error) -> Error {
    Error::new(codes::CONNECTION_BROKEN, format!("the local connection is broken: {error}")).source(error)
}
