//! Accepting connections, from a TCP port and a Unix socket, until the server stops.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::authority::MendAuthority;
use super::connection;

/// How long accepting pauses after a failure such as "too many open files".
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A source of connections.
pub(super) trait Listener: Send + 'static {
    /// A connection of it.
    type Stream: Connection;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A stream whose first byte can be waited for.
pub(super) trait Connection: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static {
    /// Waits until there is something to read.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connection for TcpStream {
    async fn readable(&self) -> io::Result<()> {
        TcpStream::readable(self).await
    }
}

impl Listener for UnixListener {
    type Stream = MendAuthority<UnixStream>;

    async fn accept(&self) -> io::Result<MendAuthority<UnixStream>> {
        Ok(MendAuthority::new(UnixListener::accept(self).await?.0))
    }
}

impl Connection for MendAuthority<UnixStream> {
    async fn readable(&self) -> io::Result<()> {
        self.get_ref().readable().await
    }
}

/// Accepts connections until the task is aborted. A failure to accept is waited out, never the end.
pub(super) async fn accept_loop<L, S, B>(listener: L, service: S, graceful: Arc<GracefulShutdown>)
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let builder = connection::builder();
    let mut backoff = BACKOFF_MIN;
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in {backoff:?}");
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
                continue;
            }
        };
        backoff = BACKOFF_MIN;
        let (builder, service, watcher) = (builder.clone(), service.clone(), graceful.watcher());
        tokio::spawn(async move {
            // A socket that says nothing costs a descriptor; it is not kept.
            if let Ok(Ok(())) = timeout(connection::PREFACE_TIMEOUT, stream.readable()).await {
                connection::serve(&builder, stream, service, watcher).await;
            }
        });
    }
}
