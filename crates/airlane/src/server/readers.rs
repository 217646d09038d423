//! Readers that stop: how long the bytes of an answer wait for a client that does not take them.
//!
//! ```text
//! door ── frame ──▶ Delivered: given += n ── Parcel ──▶ HTTP ── taken += n ──▶ socket
//!                                  │                               │
//!                                  └── watch: given > taken, and taken does not grow ──▶ the request is dropped
//! ```
//!
//! What is dropped takes with it the version that it pins, the read that it counts, and the bytes that wait in the
//! connection. HTTP/2 has no room for a status behind bytes that nobody takes, so the client sees its stream reset.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use airlane_flight::Rope;
use airlane_model::{Outcome, Trail, codes};
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// The end of an answer waits until no more than this is to be taken: what was handed over whole is watched by nobody.
const UNWATCHED_BYTES_MAX: u64 = 64 << 10;

/// How long clients may take to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderPatience {
    /// How long a client may take nothing: a notebook that is paused is no attack.
    pub calm: Duration,
    /// The same while memory is short, or nearly as many streams are open as may be.
    pub pressed: Duration,
    /// What counts as something, so that a byte now and then does not.
    pub progress_bytes_min: u64,
}

impl Default for ReaderPatience {
    fn default() -> Self {
        Self { calm: Duration::from_secs(10 * 60), pressed: Duration::from_secs(30), progress_bytes_min: 16 << 10 }
    }
}

/// Watches over the readers of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    patience: ReaderPatience,
    is_pressed: Arc<AtomicBool>,
}

impl Readers {
    pub(super) fn new(patience: ReaderPatience) -> Self {
        Self { patience, is_pressed: Arc::default() }
    }

    /// Tells whether memory or streams are short.
    pub(super) fn press(&self, is_pressed: bool) {
        self.is_pressed.store(is_pressed, Ordering::Relaxed);
    }

    fn limit(&self) -> Duration {
        let ReaderPatience { calm, pressed, .. } = self.patience;
        if self.is_pressed.load(Ordering::Relaxed) { pressed.min(calm) } else { calm }
    }

    /// How often a reader is looked at.
    fn interval(&self) -> Duration {
        (self.patience.pressed.min(self.patience.calm) / 6).max(Duration::from_millis(1))
    }

    /// Runs what answers requests, until it ends or a client does not take what it is given: then it is to be dropped.
    pub(super) async fn watch<F: Future>(&self, account: Arc<Account>, answering: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = ACCOUNT.scope(account.clone(), answering) => Some(output),
            () = self.give_up(&account) => None,
        }
    }

    /// Completes when nothing was taken for too long, and has noted it: the end of the request looks there.
    async fn give_up(&self, account: &Account) {
        self.stalled(account).await;
        account.note_stalled();
    }

    /// Completes when nothing was taken for too long.
    async fn stalled(&self, account: &Account) {
        let (mut taken, mut since) = (account.taken(), Instant::now());
        loop {
            sleep(self.interval()).await;
            let (is_owed, now) = (account.owed() > 0, account.taken());
            if !is_owed || now - taken >= self.patience.progress_bytes_min {
                (taken, since) = (now, Instant::now());
            } else if since.elapsed() >= self.limit() {
                return;
            }
        }
    }
}

tokio::task_local! {
    /// The account of the stream, or of the connection of HTTP/1, whose task this is.
    static ACCOUNT: Arc<Account>;
}

/// Polls what answers a request, whose bytes are counted in an account.
pub(super) fn poll_once<F: Future + Unpin>(
    account: &Arc<Account>,
    answering: &mut F,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    ACCOUNT.sync_scope(account.clone(), || Pin::new(answering).poll(cx))
}

/// What a client was given and what it has taken.
#[derive(Debug, Default)]
pub(super) struct Account {
    given: AtomicU64,
    taken: AtomicU64,
    /// Whether somebody waits until all is taken.
    is_awaited: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    waker: Option<Waker>,
    /// The request that is answered now.
    trail: Option<Arc<Trail>>,
}

impl Account {
    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    fn owed(&self) -> u64 {
        self.given.load(Ordering::Acquire).saturating_sub(self.taken())
    }

    fn give(&self, bytes: u64) {
        self.given.fetch_add(bytes, Ordering::AcqRel);
    }

    fn take(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Ordering::AcqRel);
        if self.is_awaited.load(Ordering::SeqCst) && self.owed() <= UNWATCHED_BYTES_MAX {
            self.is_awaited.store(false, Ordering::SeqCst);
            if let Some(waker) = self.waiting.lock().waker.take() {
                waker.wake();
            }
        }
    }

    /// Waits until so little is owed that nobody has to look after it.
    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.owed() <= UNWATCHED_BYTES_MAX {
            return Poll::Ready(());
        }
        self.waiting.lock().waker = Some(cx.waker().clone());
        self.is_awaited.store(true, Ordering::SeqCst);
        // It may have been taken meanwhile.
        if self.owed() <= UNWATCHED_BYTES_MAX { Poll::Ready(()) } else { Poll::Pending }
    }

    fn note_stalled(&self) {
        metrics::counter!("airlane_readers_stalled_total").increment(1);
        if let Some(trail) = &self.waiting.lock().trail {
            trail.end(Outcome::Code(codes::READER_STALLED));
        }
    }
}

/// The body of an answer, whose bytes are counted until the client has taken them.
#[derive(Debug)]
pub(super) struct Delivered<B> {
    body: B,
    account: Arc<Account>,
    /// The end, which waits.
    trailers: Option<http::HeaderMap>,
}

impl<B> Delivered<B> {
    /// Counts a body in the account of the task that answers.
    pub(super) fn new(body: B, trail: Option<Arc<Trail>>) -> Self {
        let account = ACCOUNT.try_with(Arc::clone).unwrap_or_default();
        account.waiting.lock().trail = trail;
        Self { body, account, trailers: None }
    }
}

impl<B: Body<Data = Rope> + Unpin> Body for Delivered<B> {
    type Data = Parcel;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Parcel>, B::Error>>> {
        let this = &mut *self;
        if this.trailers.is_none() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(rope) => {
                        this.account.give(rope.remaining() as u64);
                        return Poll::Ready(Some(Ok(Frame::data(Parcel { rope, account: this.account.clone() }))));
                    }
                    Err(frame) => this.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        std::task::ready!(this.account.poll_settled(cx));
        Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes on their way to a client.
#[derive(Debug)]
pub(super) struct Parcel {
    rope: Rope,
    account: Arc<Account>,
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.rope.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.rope.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.rope.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.rope.advance(count);
        self.account.take(count as u64);
    }

    fn copy_to_bytes(&mut self, len: usize) -> bytes::Bytes {
        self.account.take(len as u64);
        self.rope.copy_to_bytes(len)
    }
}

#[cfg(test)]
mod tests;
