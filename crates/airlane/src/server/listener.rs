//! Accepting connections, from a TCP port and a Unix socket, until the server stops.

use std::io;
use std::time::Duration;

use airlane_gate::{Peer, Shown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;

use super::authority::MendAuthority;
use super::connection::{self, Serving};
use super::connections::Connections;
use super::route::GatedDoors;
use super::tls::Tls;

/// How long accepting pauses after a failure such as "too many open files".
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A source of connections.
pub(super) trait Listener: Send + 'static {
    /// A connection as it is accepted.
    type Accepted: Send + 'static;
    /// A connection that is ready for requests.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and whose it is.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Accepted, Peer)>> + Send;

    /// Makes a connection ready, in its own task, and tells what it shows of its client.
    fn open(
        &self,
        accepted: Self::Accepted,
    ) -> impl Future<Output = io::Result<(Self::Stream, Shown)>> + Send + 'static;
}

impl Listener for TcpListener {
    type Accepted = TcpStream;
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, Peer::ip(address.ip())))
    }

    fn open(&self, accepted: TcpStream) -> impl Future<Output = io::Result<(TcpStream, Shown)>> + Send + 'static {
        std::future::ready(Ok((accepted, Shown::Nothing)))
    }
}

/// A TCP port where only TLS is spoken.
pub(super) struct TlsListener {
    pub(super) tcp: TcpListener,
    pub(super) tls: Tls,
}

impl Listener for TlsListener {
    type Accepted = TcpStream;
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, peer) = Listener::accept(&self.tcp).await?;
        Ok((stream, peer.encrypted()))
    }

    fn open(&self, accepted: TcpStream) -> impl Future<Output = io::Result<(Self::Stream, Shown)>> + Send + 'static {
        self.tls.accept(accepted)
    }
}

impl Listener for UnixListener {
    type Accepted = UnixStream;
    type Stream = MendAuthority<UnixStream>;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        Ok((UnixListener::accept(self).await?.0, Peer::Unix))
    }

    fn open(&self, accepted: UnixStream) -> impl Future<Output = io::Result<(Self::Stream, Shown)>> + Send + 'static {
        // Who connected, as the kernel noted it then: nobody can claim to be another user.
        let shown = accepted.peer_cred().map(|process| Shown::Uid(process.uid()));
        std::future::ready(shown.map(|shown| (MendAuthority::new(accepted), shown)))
    }
}

/// Accepts connections until the task is aborted. A failure to accept is waited out, never the end.
pub(super) async fn accept_loop(
    listener: impl Listener,
    doors: GatedDoors,
    connections: Connections,
    serving: Serving,
) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok((accepted, peer)) => {
                backoff = BACKOFF_MIN;
                // Above a cap it is closed here.
                let Some(place) = connections.enter(peer) else { continue };
                let opening = listener.open(accepted);
                let (doors, own) = (doors.clone(), serving.clone());
                serving.stop.spawn(async move {
                    let opened = tokio::select! {
                        opened = opening => opened,
                        // Nothing was asked yet.
                        () = own.stop.requested() => return,
                    };
                    match opened {
                        Ok((stream, shown)) => connection::serve(stream, doors.at(peer, shown), own, place).await,
                        // A client that speaks no TLS, or not with this certificate.
                        Err(error) => tracing::debug!(%error, %peer, "a connection was not opened"),
                    }
                });
            }
            // The client was gone before it was accepted: the next one may be there already.
            Err(error) if is_of_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in {backoff:?}");
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

fn is_of_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
