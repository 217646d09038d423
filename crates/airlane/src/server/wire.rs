//! The bytes of a connection: read again from where its protocol was told, written to the socket, and closed so that
//! what was written arrives.

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::connections::Place;
use super::stop::Stop;

/// How long a closed connection waits for its client to close too.
const LINGER_MAX: Duration = Duration::from_secs(10);

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(super) struct Wire<T: AsyncRead + Unpin + Send + 'static> {
    head: Vec<u8>,
    head_passed: usize,
    /// Taken when this is dropped.
    stream: Option<T>,
    ending: Ending,
    stop: Stop,
    /// Kept until the socket is closed.
    place: Option<Place>,
}

/// How far a connection is towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    /// The server has said that it writes no more.
    Shut,
    /// The client has gone, or said that it sends no more.
    Ended,
}

impl<T: AsyncRead + Unpin + Send + 'static> Wire<T> {
    /// Reads `head` and then the stream. Its end is waited for by `stop`.
    pub(super) fn new(head: Vec<u8>, stream: T, stop: Stop, place: Option<Place>) -> Self {
        Self { head, head_passed: 0, stream: Some(stream), ending: Ending::Open, stop, place }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut T>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// A socket that is closed while it holds bytes from the client, such as credit for data that it has taken, makes the
/// kernel throw away what was not sent yet. So a connection that the server ends is read until the client ends it too.
impl<T: AsyncRead + Unpin + Send + 'static> Drop for Wire<T> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|_| self.ending == Ending::Shut)
            && tokio::runtime::Handle::try_current().is_ok()
        {
            self.stop.spawn(linger(stream, self.place.take()));
        }
    }
}

async fn linger(mut stream: impl AsyncRead + Unpin, _place: Option<Place>) {
    let mut ignored = [0; 4096];
    let ended = async { while matches!(stream.read(&mut ignored).await, Ok(1..)) {} };
    // A client that neither reads nor closes has had its time.
    let _ = timeout(LINGER_MAX, ended).await;
}

impl<T: AsyncRead + Unpin + Send + 'static> AsyncRead for Wire<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.head[this.head_passed..];
        if !rest.is_empty() {
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            this.head_passed += count;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = ready!(this.stream()?.poll_read(cx, buffer));
        if read.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0) {
            this.ending = Ending::Ended;
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> AsyncWrite for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write(cx, bytes));
        Poll::Ready(written.inspect_err(|error| meet_fault(error, &[IoSlice::new(bytes)])))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream()?.poll_write_vectored(cx, slices));
        Poll::Ready(written.inspect_err(|error| meet_fault(error, slices)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream()?.poll_shutdown(cx))?;
        if self.ending == Ending::Open {
            self.ending = Ending::Shut;
        }
        Poll::Ready(Ok(()))
    }
}

/// When the kernel cannot read the mapped file that it is to send, it answers EFAULT and raises no signal: every
/// reader of that segment would lose its connection and nobody would know why. Reading the bytes here lets the signal
/// come, whose handler notes the segment and ends the process.
fn meet_fault(error: &io::Error, slices: &[IoSlice<'_>]) {
    const PAGE_BYTES: usize = 4096;
    if error.raw_os_error() != Some(rustix::io::Errno::FAULT.raw_os_error()) {
        return;
    }
    for slice in slices {
        slice.iter().step_by(PAGE_BYTES).chain(slice.last()).for_each(|byte| _ = black_box(*byte));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn the_head_is_read_before_the_stream() {
        for size in [1, 3, 100] {
            let mut wire = Wire::new(b"head and ".to_vec(), &b"stream"[..], Stop::default(), None);
            let (mut read, mut chunk) = (Vec::new(), vec![0; size]);
            loop {
                let count = wire.read(&mut chunk).await.expect("read");
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&chunk[..count]);
            }
            assert_eq!(read, b"head and stream", "in chunks of {size}");
        }
    }

    #[tokio::test]
    async fn what_was_written_arrives_although_the_client_was_not_read_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        client.write_all(b"never read").await.expect("sent");
        server.readable().await.expect("arrived");

        // As much as the sockets take: a part of it is still to be sent when the server is done.
        let (stop, chunk) = (Stop::default(), vec![7; 64 << 10]);
        let mut wire = Wire::new(Vec::new(), server, stop.clone(), None);
        let mut sent = 0;
        while let Some(count) = wire.write(&chunk).now_or_never() {
            sent += count.expect("written");
        }
        wire.shutdown().await.expect("shut");
        drop(wire);

        let (mut received, mut chunk) = (0, vec![0; 64 << 10]);
        loop {
            match client.read(&mut chunk).await.expect("no reset") {
                0 => break,
                count => received += count,
            }
        }
        assert_eq!(received, sent);
        drop(client);
        assert_eq!(stop.stop(LINGER_MAX).await, 0, "the rest ends with the client");
    }
}
