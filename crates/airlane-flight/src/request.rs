//! The body of a request, whose end is believed only when the client said that it is the end.
//!
//! A client that goes away by resetting its stream must never look like one that has sent everything: a put would
//! keep the part that arrived. HTTP/2 libraries answer some resets like an end, and tonic takes a status of
//! `CANCELLED` for one, so the difference is made here, under all of them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use airlane_model::{Error, Result, codes, limits};
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use crate::frame::PREFIX_BYTES;

/// A request's body.
#[derive(Debug)]
pub(crate) struct RequestBody<B>(B);

impl<B> RequestBody<B> {
    /// Wraps a body.
    pub(crate) fn new(body: B) -> Self {
        Self(body)
    }
}

/// The client went away in the midst of its request.
///
/// It hides the library's error behind it, so that nobody finds a `CANCELLED` there.
#[derive(Debug)]
pub struct Vanished(String);

impl fmt::Display for Vanished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client went away: {}", self.0)
    }
}

impl std::error::Error for Vanished {}

impl From<Vanished> for Error {
    fn from(vanished: Vanished) -> Self {
        Error::new(codes::CALL_CANCELLED, vanished.to_string())
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = Vanished;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Vanished>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(Vanished(error.to_string()))),
            None if self.0.is_end_stream() => None,
            None => Some(Err(Vanished("its stream was reset".into()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
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
/// `call_cancelled`.
pub(crate) async fn next_data<B>(body: &mut RequestBody<B>) -> Result<Option<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(vanished)) => return Err(vanished.into()),
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
        ));
    }
    let length = u32::from_be_bytes(length);
    let max = limits::COMMAND_BYTES_MAX.as_u64();
    if u64::from(length) > max {
        let message = format!("a request has {length} bytes, the most is {max} ({})", limits::COMMAND_BYTES_MAX);
        return Err(Error::new(codes::LIMIT_EXCEEDED, message));
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
        let frames = chunks.iter().map(|chunk| Ok::<_, Vanished>(Frame::data(Bytes::from_static(chunk))));
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
}
