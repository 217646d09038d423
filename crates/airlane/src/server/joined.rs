//! Many frames in one write.
//!
//! HTTP/2, as hyper speaks it, writes frame by frame, and most clients take frames of 16 KiB: each would be a system
//! call, a packet and a waking of the client. So what a connection writes while it is polled once waits here and
//! leaves together.
//!
//! ```text
//! frame, up to 32 KiB ──copied──▶ outbox ──full, or the poll is over──▶ one write
//! larger              ──────────────▶ written at once, behind what waits
//! ```
//!
//! The copy stays in the processor's cache, where the kernel finds it. A large frame, which clients in C++ take, is
//! never copied.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is written together, at most. Held by a connection while its client does not read.
const OUTBOX_BYTES_MAX: usize = 128 << 10;
/// What a quiet connection keeps of that.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Larger writes are not copied.
const COPIED_BYTES_MAX: usize = 32 << 10;
/// Pieces of a large write that are passed on; further ones follow with the next write.
const PIECES_MAX: usize = 24;

/// A stream whose small writes wait for their [`Outlet`].
#[derive(Debug)]
pub(super) struct Joined<T>(Arc<Mutex<Outbox<T>>>);

/// Lets out what a [`Joined`] stream holds back.
#[derive(Debug)]
pub(super) struct Outlet<T>(Arc<Mutex<Outbox<T>>>);

#[derive(Debug)]
struct Outbox<T> {
    stream: T,
    waiting: Vec<u8>,
    written: usize,
}

/// Joins the small writes to a stream. They leave when the outlet [drives](Outlet::drive) whoever writes.
pub(super) fn join<T>(stream: T) -> (Joined<T>, Outlet<T>) {
    let outbox = Arc::new(Mutex::new(Outbox { stream, waiting: Vec::new(), written: 0 }));
    (Joined(outbox.clone()), Outlet(outbox))
}

impl<T: AsyncWrite + Unpin> Outlet<T> {
    /// Polls a future that writes to the stream, and after each poll lets out what it has written.
    pub(super) async fn drive<F: Future + Unpin>(&self, writer: &mut F) -> F::Output {
        poll_fn(|cx| {
            let polled = Pin::new(&mut *writer).poll(cx);
            // A failure shows again at the next write or read. A stream that is not ready wakes the writer's task,
            // whose next poll comes here.
            let _ = self.0.lock().poll_drain(cx);
            polled
        })
        .await
    }
}

impl<T: AsyncWrite + Unpin> Outbox<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting[self.written..]))?;
            self.pass(count)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Counts bytes of the outbox as written.
    fn pass(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += count;
        if self.written >= self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
            if self.waiting.capacity() > KEPT_BYTES_MAX {
                self.waiting = Vec::new();
            }
        }
        Ok(())
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], bytes: usize) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes > OUTBOX_BYTES_MAX {
            ready!(self.poll_drain(cx))?;
        }
        if self.waiting.len() + bytes > self.waiting.capacity().max(KEPT_BYTES_MAX) {
            // In one step, so that little is moved.
            self.waiting.reserve_exact(OUTBOX_BYTES_MAX - self.waiting.len());
        }
        slices.iter().for_each(|slice| self.waiting.extend_from_slice(slice));
        Poll::Ready(Ok(bytes))
    }

    fn poll_pass_on(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.waiting.len() - self.written;
            if waiting == 0 {
                return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
            }
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            pieces[0] = IoSlice::new(&self.waiting[self.written..]);
            let count = slices.len().min(PIECES_MAX - 1);
            pieces[1..=count].copy_from_slice(&slices[..count]);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &pieces[..=count]))?;
            self.pass(written.min(waiting))?;
            if written > waiting {
                return Poll::Ready(Ok(written - waiting));
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Joined<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Joined<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        let mut outbox = self.0.lock();
        if bytes <= COPIED_BYTES_MAX { outbox.poll_copy(cx, slices, bytes) } else { outbox.poll_pass_on(cx, slices) }
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().stream.is_write_vectored()
    }

    /// What waits leaves when the poll is over, or before when there is too much of it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.0.lock();
        ready!(outbox.poll_drain(cx))?;
        Pin::new(&mut outbox.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
