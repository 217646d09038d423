use futures::FutureExt;
use tokio::io::AsyncWriteExt;

use super::*;

/// A socket that takes so many bytes at once, and no more than its room.
#[derive(Debug, Default)]
struct Socket {
    bytes: Vec<u8>,
    writes: Vec<usize>,
    bytes_at_once: usize,
    room: usize,
}

fn socket(bytes_at_once: usize, room: usize) -> Socket {
    Socket { bytes_at_once, room, ..Socket::default() }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut left = self.bytes_at_once.min(self.room);
        if left == 0 {
            return Poll::Pending;
        }
        for slice in slices {
            let taken = left.min(slice.len());
            self.bytes.extend_from_slice(&slice[..taken]);
            left -= taken;
        }
        let written = self.bytes_at_once.min(self.room) - left;
        self.room -= written;
        self.writes.push(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|index| (index as u8).wrapping_mul(7).wrapping_add(seed)).collect()
}

#[tokio::test]
async fn what_one_poll_writes_leaves_in_one_write() {
    let (mut stream, outlet) = join(socket(usize::MAX, usize::MAX));
    let mut writer = Box::pin(async {
        for _ in 0..4 {
            stream.write_all(&[1; 9]).await.expect("written");
            stream.flush().await.expect("flushed");
            stream.write_all(&[2; 16 << 10]).await.expect("written");
            stream.flush().await.expect("flushed");
        }
        tokio::task::yield_now().await;
        stream.write_all(&[3; 5]).await.expect("written");
    });
    outlet.drive(&mut writer).await;
    let outbox = outlet.0.lock();
    assert_eq!(outbox.stream.writes, [4 * (9 + (16 << 10)), 5]);
    assert!(outbox.waiting.capacity() <= KEPT_BYTES_MAX, "a quiet connection keeps little");
}

#[tokio::test]
async fn a_large_write_is_passed_on_behind_what_waits() {
    let (mut stream, outlet) = join(socket(usize::MAX, usize::MAX));
    let large = pattern(COPIED_BYTES_MAX + 1, 0);
    let mut writer = Box::pin(async {
        stream.write_all(b"before").await.expect("written");
        let pieces = [IoSlice::new(b"head"), IoSlice::new(&large)];
        let written = stream.write_vectored(&pieces).await.expect("written");
        assert_eq!(written, 4 + large.len(), "nothing of it waits");
        stream.write_all(b"after").await.expect("written");
    });
    outlet.drive(&mut writer).await;
    let outbox = outlet.0.lock();
    assert_eq!(outbox.stream.writes, [6 + 4 + large.len(), 5]);
    assert_eq!(outbox.stream.bytes, [&b"before"[..], b"head", &large, b"after"].concat());
}

#[tokio::test]
async fn bytes_keep_their_order_however_little_the_socket_takes() {
    for bytes_at_once in [1, 7, 1_000, 40_000, usize::MAX] {
        let (mut stream, outlet) = join(socket(bytes_at_once, usize::MAX));
        let writes: Vec<Vec<u8>> = [3, 40_000, 16_384, 1, 33_000, 100, 16_384, 16_384, 90_000, 20_000, 30_000]
            .into_iter()
            .zip(1..)
            .map(|(len, seed)| pattern(len, seed))
            .collect();
        let mut writer = Box::pin(async {
            for bytes in &writes {
                stream.write_all(bytes).await.expect("written");
            }
            stream.shutdown().await.expect("what waits leaves before the end");
        });
        outlet.drive(&mut writer).await;
        assert!(outlet.0.lock().stream.bytes == writes.concat(), "{bytes_at_once} bytes at once");
    }
}

#[tokio::test]
async fn a_socket_that_takes_nothing_stops_the_writer() {
    let (mut stream, outlet) = join(socket(usize::MAX, 0));
    let chunk = [5; 16 << 10];
    let mut written = 0;
    let mut writer: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
        loop {
            written += stream.write(&chunk).await.expect("written");
        }
    });
    // Nobody wakes this task; it is polled by hand.
    for _ in 0..3 {
        assert!(outlet.drive(&mut writer).now_or_never().is_none());
    }
    drop(writer);
    assert_eq!(written, OUTBOX_BYTES_MAX, "and holds no more than it should");
}
