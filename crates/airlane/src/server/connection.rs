//! One connection: HTTP/2 (gRPC) and HTTP/1.1, told apart by its first bytes, with the bounds that hold for it.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::ByteSize;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

use super::age::Ages;
use super::connections::Place;
use super::executor::InlineExecutor;
use super::joined;
use super::readers::{Account, Readers};
use super::route::Connected;
use super::stop::Stop;
use super::wire::Wire;

/// How long a client may take to say which protocol it speaks, and an HTTP/1 client to send its headers.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// What HTTP/2 connections begin with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is taken; what is sent is bound by the other side.
const FRAME_BYTES_MAX: u32 = 1 << 20;
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const SEND_BUFFER_BYTES_MAX: usize = 1 << 20;
/// What one connection may ask at once. A stalled read costs one message that is not copied, so the bound is there for
/// what a call costs beside it; 128 let a notebook with a hundred workers share a connection without queueing.
const STREAMS_MAX: u32 = 128;
const HTTP_1_HEAD_BYTES_MAX: usize = 64 << 10;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections are served.
#[derive(Clone, Debug)]
pub(super) struct Builders {
    http_1: http1::Builder,
    http_2: http2::Builder<InlineExecutor>,
    readers: Readers,
}

impl Builders {
    /// Large static windows beat growing ones on a local network; the send buffer serves every stream of a connection,
    /// so it must also suit a thousand stalled readers.
    pub(super) fn new(readers: Readers) -> Self {
        let mut http_1 = http1::Builder::new();
        http_1.timer(TokioTimer::new()).header_read_timeout(PREFACE_TIMEOUT).max_buf_size(HTTP_1_HEAD_BYTES_MAX);
        let mut http_2 = http2::Builder::new(InlineExecutor(readers.clone()));
        http_2
            .timer(TokioTimer::new())
            .max_frame_size(FRAME_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        Self { http_1, http_2, readers }
    }

    /// With a bound for the headers of one request. One that reaches it is answered with status 431 by h2, four times
    /// as much ends the connection.
    pub(super) fn with_header_list(mut self, bytes_max: ByteSize) -> Self {
        self.http_2.max_header_list_size(u32::try_from(bytes_max.as_u64()).unwrap_or(u32::MAX));
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// What all connections go by.
#[derive(Clone, Debug)]
pub(super) struct Serving {
    pub(super) builders: Builders,
    pub(super) ages: Ages,
    pub(super) stop: Stop,
}

/// Serves a connection to its end: the client's, or with the requests that run when the server stops or it is old.
pub(super) async fn serve<T>(mut stream: T, doors: Connected, serving: Serving, place: Place)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { builders, ages, stop } = serving;
    let first = tokio::select! {
        first = timeout(PREFACE_TIMEOUT, first_bytes(&mut stream)) => first,
        // Nothing was asked yet.
        () = stop.requested() => return,
    };
    // A socket that says nothing costs a descriptor; it is not kept.
    let Ok(Ok((protocol, head))) = first else { return };
    let (stream, outlet) = joined::join(Wire::new(head, stream, stop.clone(), Some(place)));
    let io = TokioIo::new(stream);
    // From then on it takes no requests more.
    let last = async {
        tokio::select! {
            () = stop.requested() => {}
            () = ages.passed() => {}
        }
    };
    let ended = match protocol {
        Protocol::Http1 => {
            let mut connection = pin!(builders.http_1.serve_connection(io, doors));
            let serving = async {
                tokio::select! {
                    ended = outlet.drive(&mut connection) => ended,
                    () = last => {
                        connection.as_mut().graceful_shutdown();
                        outlet.drive(&mut connection).await
                    }
                }
            };
            // Its answers come one after the other: who does not take one has no use for the connection.
            builders.readers.watch(Arc::<Account>::default(), serving).await.unwrap_or(Ok(()))
        }
        Protocol::Http2 => {
            let mut connection = pin!(builders.http_2.serve_connection(io, doors));
            tokio::select! {
                ended = outlet.drive(&mut connection) => ended,
                () = last => {
                    connection.as_mut().graceful_shutdown();
                    outlet.drive(&mut connection).await
                }
            }
        }
    };
    if let Err(error) = ended {
        // A client that goes away is no fault of the server's.
        tracing::debug!(%error, "a connection ended");
    }
}

/// Reads as much as tells the protocol.
async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(PREFACE.len());
    let mut chunk = [0; PREFACE.len()];
    loop {
        let read = stream.read(&mut chunk[bytes.len()..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let filled = bytes.len() + read;
        bytes.extend_from_slice(&chunk[bytes.len()..filled]);
        if !PREFACE.starts_with(&bytes) {
            return Ok((Protocol::Http1, bytes));
        }
        if bytes.len() == PREFACE.len() {
            return Ok((Protocol::Http2, bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn told(pieces: &[&'static [u8]]) -> io::Result<(Protocol, Vec<u8>)> {
        let (mut client, mut server) = tokio::io::duplex(64);
        let sent: Vec<&'static [u8]> = pieces.to_vec();
        tokio::spawn(async move {
            for piece in sent {
                client.write_all(piece).await.expect("sent");
                tokio::task::yield_now().await;
            }
        });
        first_bytes(&mut server).await
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_protocol() {
        let http_2 = (Protocol::Http2, PREFACE.to_vec());
        assert_eq!(told(&[PREFACE]).await.expect("told"), http_2);
        assert_eq!(told(&[b"P", b"RI * HTTP", &PREFACE[10..]]).await.expect("told"), http_2);
        let (protocol, bytes) = told(&[b"GET / HTTP/1.1\r\n"]).await.expect("told");
        assert_eq!(protocol, Protocol::Http1);
        assert!(b"GET / HTTP/1.1\r\n".starts_with(&bytes[..]));
        assert_eq!(told(&[b"P", b"OST /"]).await.expect("told"), (Protocol::Http1, b"POST /".to_vec()));
        assert!(told(&[b"PRI"]).await.is_err(), "a client that leaves");
    }

    #[tokio::test(start_paused = true)]
    async fn g7_a_silent_client_is_let_go() {
        for said in [&b""[..], b"PRI * HTTP"] {
            let (mut client, mut server) = tokio::io::duplex(64);
            client.write_all(said).await.expect("sent");
            assert!(timeout(PREFACE_TIMEOUT, first_bytes(&mut server)).await.is_err());
        }
    }
}
