//! The messages of a read, pulled one at a time.
//!
//! What may take long is done on a thread that may block, so that the connection's other calls go on. Messages that are
//! made for one read (compressed, in plain types) are made few at a time: each takes a processor and some memory. Until a
//! message is there the stream says something at intervals: proxies end streams that are quiet.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use airlane_exchange::{Pause, ReadStream, StreamMessage};
use airlane_model::Result;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Sleep, sleep};

use airlane_exchange::blocking;

/// What all reads of a door share.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    quiet_max: Duration,
    /// A permit for each message that may be made at a time.
    makers: Arc<Semaphore>,
}

impl Readers {
    /// No stream of a read is quiet for longer than `quiet_max`.
    pub(crate) fn new(quiet_max: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // One more than there are processors, since a message may wait for a disk before it is made.
        Self { quiet_max, makers: Arc::new(Semaphore::new(processors + 1)) }
    }

    /// Does work on a thread that may block; costly work when little other such work is done.
    fn work<T: Send + 'static>(&self, is_costly: bool, work: impl FnOnce() -> T + Send + 'static) -> Working<T> {
        let makers = is_costly.then(|| self.makers.clone());
        tokio::spawn(async move {
            let permit = match makers {
                // Nobody closes the semaphore.
                Some(makers) => makers.acquire_owned().await.ok(),
                None => None,
            };
            let work = move || {
                let done = work();
                drop(permit);
                done
            };
            tokio::task::spawn_blocking(work).await
        })
    }
}

/// Work that is to be waited for: a task that waits for its turn, and then for a thread.
type Working<T> = JoinHandle<std::result::Result<T, JoinError>>;

/// Pulls the messages of a read.
#[derive(Debug)]
pub(crate) struct Pull {
    state: State,
    /// What fills a pause and was not taken yet.
    filling: VecDeque<StreamMessage>,
    readers: Readers,
}

/// A message that was asked for, with the stream it comes from.
type Pulled = (Box<ReadStream>, Result<Option<StreamMessage>>);

#[derive(Debug)]
enum State {
    Reading(Box<ReadStream>),
    /// The next message takes long.
    Waiting {
        what: What,
        pause: Pause,
        quiet: Pin<Box<Sleep>>,
    },
    Done,
}

/// What is waited for.
#[derive(Debug)]
enum What {
    /// It is made on a thread that may block.
    Made(Working<Pulled>),
    /// It is computed, on threads of queries.
    Computed(Box<ReadStream>),
}

impl Pull {
    /// Over one of the reads.
    pub(crate) fn new(stream: ReadStream, readers: Readers) -> Self {
        Self { state: State::Reading(Box::new(stream)), filling: VecDeque::new(), readers }
    }

    /// Whether the next message is not there at once; else [`poll_next`](Self::poll_next) is ready.
    pub(crate) fn will_wait(&self) -> bool {
        self.filling.is_empty()
            && match &self.state {
                State::Reading(stream) => stream.may_block(),
                State::Waiting { .. } => true,
                State::Done => false,
            }
    }

    /// The next message, `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<StreamMessage>>> {
        loop {
            if let Some(message) = self.filling.pop_front() {
                return Poll::Ready(Ok(Some(message)));
            }
            match std::mem::replace(&mut self.state, State::Done) {
                State::Reading(mut stream) if stream.is_coming() => {
                    self.state = if stream.poll_ready(cx).is_ready() {
                        State::Reading(stream)
                    } else {
                        let pause = stream.pause();
                        self.waiting(What::Computed(stream), pause)
                    };
                }
                State::Reading(stream) if stream.may_block() => self.state = self.make(stream),
                State::Reading(mut stream) => {
                    let pulled = stream.next_message();
                    self.state = State::Reading(stream);
                    return Poll::Ready(pulled);
                }
                State::Waiting { mut what, mut pause, mut quiet } => {
                    match &mut what {
                        What::Made(pulling) => {
                            if let Poll::Ready(joined) = Pin::new(pulling).poll(cx) {
                                let (stream, pulled) = blocking::joined(joined.and_then(|pulled| pulled))?;
                                self.state = State::Reading(stream);
                                return Poll::Ready(pulled);
                            }
                        }
                        What::Computed(stream) => {
                            if stream.poll_ready(cx).is_ready() {
                                let What::Computed(stream) = what else { continue };
                                self.state = State::Reading(stream);
                                continue;
                            }
                        }
                    }
                    let is_quiet = quiet.as_mut().poll(cx).is_ready();
                    if is_quiet {
                        self.filling.extend(pause.fill());
                        quiet = Box::pin(sleep(self.readers.quiet_max));
                    }
                    self.state = State::Waiting { what, pause, quiet };
                    if !is_quiet {
                        return Poll::Pending;
                    }
                }
                State::Done => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Begins to make the next message elsewhere.
    fn make(&self, mut stream: Box<ReadStream>) -> State {
        let pause = stream.pause();
        let pulling = self.readers.work(stream.is_costly(), move || {
            let pulled = stream.next_message();
            (stream, pulled)
        });
        self.waiting(What::Made(pulling), pause)
    }

    fn waiting(&self, what: What, pause: Pause) -> State {
        State::Waiting { what, pause, quiet: Box::pin(sleep(self.readers.quiet_max)) }
    }
}

/// A message that nobody waits for is not begun any more.
impl Drop for Pull {
    fn drop(&mut self) {
        if let State::Waiting { what: What::Made(pulling), .. } = &self.state {
            pulling.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn costly_work_is_done_few_at_a_time_and_other_work_at_once() {
        let readers = Readers::new(Duration::from_secs(5));
        let most = readers.makers.available_permits();
        let (running, all_run) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(most + 1)));
        let costly = |_| {
            let (running, all_run) = (running.clone(), all_run.clone());
            readers.work(true, move || {
                let beside = running.fetch_add(1, Ordering::SeqCst);
                // As many as may run meet here, and then the test.
                all_run.wait();
                all_run.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                beside
            })
        };
        let works: Vec<_> = (0..2 * most).map(costly).collect();
        for _ in 0..2 {
            let meet = |all_run: &Arc<Barrier>| {
                let all_run = all_run.clone();
                tokio::task::spawn_blocking(move || all_run.wait())
            };
            meet(&all_run).await.expect("they meet");
            assert_eq!(readers.work(false, || "done").await.expect("a task").expect("a thread"), "done");
            meet(&all_run).await.expect("they go on");
        }
        for work in works {
            assert!(work.await.expect("a task").expect("a thread") < most, "more than {most} at a time");
        }
    }
}
