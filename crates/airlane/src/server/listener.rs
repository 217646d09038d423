//! Accepting connections, from a TCP port and a Unix socket, until the server stops.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;

use super::authority::MendAuthority;
use super::connection::{self, Builders};
use super::route::Doors;
use super::stop::Stop;

/// How long accepting pauses after a failure such as "too many open files".
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A source of connections.
pub(super) trait Listener: Send + 'static {
    /// A connection of it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = MendAuthority<UnixStream>;

    async fn accept(&self) -> io::Result<MendAuthority<UnixStream>> {
        Ok(MendAuthority::new(UnixListener::accept(self).await?.0))
    }
}

/// Accepts connections until the task is aborted. A failure to accept is waited out, never the end.
pub(super) async fn accept_loop(listener: impl Listener, doors: Doors, stop: Stop) {
    let builders = Builders::default();
    let mut backoff = BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                backoff = BACKOFF_MIN;
                stop.spawn(connection::serve(stream, builders.clone(), doors.clone(), stop.clone()));
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
