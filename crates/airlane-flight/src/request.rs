//! The body of a request, whose end is believed only when the client said that it is the end.
//!
//! A client that goes away by resetting its stream must never look like one that has sent everything: a put would
//! keep the part that arrived. HTTP/2 libraries answer some resets like an end, and tonic takes a status of
//! `CANCELLED` for one, so the difference is made here, under all of them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use airlane_frames::PREFIX_BYTES;
use airlane_model::{Error, Result, codes, limits};
use bytes::{Buf, Bytes, BytesMut};
use http::Version;
use http_body::{Body, Frame, SizeHint};

use crate::status;

/// A request's body.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    body: B,
    origin: Origin,
}

/// Where a body comes from, and so what its end and its errors mean.
#[derive(Debug)]
enum Origin {
    /// From HTTP/2, where a reset may look like an end.
    Http2,
    /// From HTTP/1.1, where nothing looks like an end that is none.
    Http1,
    /// Out of another body, which tells whether the client went away.
    Translated(Arc<AtomicBool>),
}

impl<B> RequestBody<B> {
    /// A body from HTTP/2.
    pub(crate) fn new(body: B) -> Self {
        Self { body, origin: Origin::Http2 }
    }

    /// A body that is to be translated; `has_vanished` will tell whether the client went away.
    pub(crate) fn watched(body: B, version: Version, has_vanished: Arc<AtomicBool>) -> Watched<B> {
        let origin = if version < Version::HTTP_2 { Origin::Http1 } else { Origin::Http2 };
        Watched { body: Self { body, origin }, has_vanished }
    }

    /// What a watched body was translated to.
    pub(crate) fn translated(body: B, has_vanished: Arc<AtomicBool>) -> Self {
        Self { body, origin: Origin::Translated(has_vanished) }
    }

    fn broken(&self, text: String) -> Broken {
        match &self.origin {
            Origin::Translated(has_vanished) if !has_vanished.load(Ordering::Relaxed) => Broken::garbled(text),
            Origin::Translated(_) | Origin::Http1 | Origin::Http2 => Broken::Vanished(text),
        }
    }
}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum Broken {
    /// The client went away in the midst of its request. The library's error is hidden behind this, so that nobody
    /// finds a `CANCELLED` there.
    Vanished(String),
    /// What came is not what its content type says; with the status that tonic finds behind it.
    Garbled(Box<Error>, Box<tonic::Status>),
}

impl Broken {
    fn garbled(text: String) -> Self {
        let error = Error::new(codes::MESSAGE_INVALID, format!("a body is not what its content type says: {text}"))
            .hint("`application/grpc-web-text` is base64, `application/grpc-web` is not");
        let status = status::from_error(&error);
        Self::Garbled(Box::new(error), Box::new(status))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished(text) => write!(f, "the client went away: {text}"),
            Self::Garbled(error, _) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Vanished(_) => None,
            Self::Garbled(_, status) => Some(status.as_ref()),
        }
    }
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Vanished(_) => Error::new(codes::CALL_CANCELLED, broken.to_string()),
            Broken::Garbled(error, _) => *error,
        }
    }
}

/// A body that notes when its client goes away, since what translates it hides why it ended.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: RequestBody<B>,
    has_vanished: Arc<AtomicBool>,
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if matches!(frame, Some(Err(_))) {
            self.has_vanished.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(self.broken(error.to_string()))),
            None if !matches!(self.origin, Origin::Http2) || self.body.is_end_stream() => None,
            None => Some(Err(self.broken("its stream was reset".into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads the one message of a request that is not a stream.
///
/// # Errors
/// `message_invalid`, `limit_exceeded`, `call_cancelled`.
pub(crate) async fn read_message<B>(body: &mut RequestBody<B>) -> Result<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let mut bytes = Bytes::new();
    loop {
        if let Some(message) = split_message(&mut bytes)? {
            return Ok(message);
        }
        match next_data(body).await? {
            Some(data) if bytes.is_empty() => bytes = data,
            Some(data) => bytes = BytesMut::from_iter(bytes.into_iter().chain(data)).freeze(),
            None => return Err(Error::new(codes::MESSAGE_INVALID, "a request ends before its message does")),
        }
    }
}

/// The next data of a body; `None` at its end.
///
/// # Errors
/// `call_cancelled`, `message_invalid`.
pub(crate) async fn next_data<B>(body: &mut RequestBody<B>) -> Result<Option<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(broken)) => return Err(broken.into()),
            // Trailers of a request mean nothing in gRPC.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn split_message(bytes: &mut Bytes) -> Result<Option<Bytes>> {
    let Some((prefix, _)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let [flag, length @ ..] = *prefix;
    if flag != 0 {
        return Err(Error::new(
            codes::MESSAGE_INVALID,
            "a message is compressed, but the request has no `grpc-encoding`",
        )
        .hint("name the encoding (gzip or zstd), or send it uncompressed"));
    }
    let length = u32::from_be_bytes(length);
    let max = limits::COMMAND_BYTES_MAX.as_u64();
    if u64::from(length) > max {
        let message = format!("a request has {length} bytes, the most is {max} ({})", limits::COMMAND_BYTES_MAX);
        return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("rows are put with DoPut; other calls are short"));
    }
    if bytes.len() - PREFIX_BYTES < length as usize {
        return Ok(None);
    }
    bytes.advance(PREFIX_BYTES);
    Ok(Some(bytes.split_to(length as usize)))
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};

    use super::*;

    async fn read(chunks: &[&'static [u8]]) -> Result<Bytes> {
        let whole: Vec<u8> = chunks.concat();
        // `Full` knows its end; a stream of frames is a body that stops without one.
        if chunks.len() == 1 {
            return read_message(&mut RequestBody::new(Full::new(Bytes::from(whole)))).await;
        }
        let frames = chunks.iter().map(|chunk| Ok::<_, Broken>(Frame::data(Bytes::from_static(chunk))));
        let mut body = RequestBody::new(StreamBody::new(futures::stream::iter(frames.collect::<Vec<_>>())));
        read_message(&mut body).await
    }

    #[tokio::test]
    async fn reads_a_message_in_any_pieces() {
        assert_eq!(read(&[b"\0\0\0\0\x03abc"]).await.expect("whole"), "abc");
        assert_eq!(read(&[b"\0\0", b"\0\0\x03", b"a", b"bc"]).await.expect("pieces"), "abc");
        assert_eq!(read(&[b"\0\0\0\0\0"]).await.expect("empty"), "");
    }

    #[tokio::test]
    async fn refuses_what_is_no_message() {
        for (chunks, code) in [
            (&[&b""[..]][..], codes::MESSAGE_INVALID),
            (&[b"\0\0\0\0\x03ab"], codes::MESSAGE_INVALID),
            (&[b"\x01\0\0\0\x03abc"], codes::MESSAGE_INVALID),
            (&[b"\0\xFF\xFF\xFF\xFF"], codes::LIMIT_EXCEEDED),
            (&[b"\0\0\0\0\x03a", b"b"], codes::CALL_CANCELLED),
            (&[b"\0", b"\0"], codes::CALL_CANCELLED),
        ] {
            assert_eq!(read(chunks).await.expect_err("no message").code(), code, "{chunks:?}");
        }
    }

    /// What a body reads as when it fails in the midst, and when it ends without saying so.
    async fn read_broken(origin: fn() -> Origin) -> [airlane_model::error::Code; 2] {
        let failing = |ends: bool| {
            let failure = (!ends).then(|| Err(Broken::Vanished("as told".into())));
            StreamBody::new(futures::stream::iter(
                [Ok(Frame::data(Bytes::from_static(b"\0\0")))].into_iter().chain(failure),
            ))
        };
        let code = async |ends| {
            let mut body = RequestBody { body: failing(ends), origin: origin() };
            read_message(&mut body).await.expect_err("broken").code()
        };
        [code(false).await, code(true).await]
    }

    #[tokio::test]
    async fn an_end_means_what_the_transport_means_by_it() {
        let (cancelled, invalid) = (codes::CALL_CANCELLED, codes::MESSAGE_INVALID);
        assert_eq!(read_broken(|| Origin::Http2).await, [cancelled, cancelled], "a reset may look like an end");
        assert_eq!(read_broken(|| Origin::Http1).await, [cancelled, invalid]);
        assert_eq!(read_broken(|| Origin::Translated(Arc::new(true.into()))).await, [cancelled, invalid]);
        assert_eq!(read_broken(|| Origin::Translated(Arc::default())).await, [invalid, invalid]);
    }
}
