//! Chunks parsed by several threads, handed out in their order.
//!
//! ```text
//! thread 1 ─┐ one at a time: cut the next chunk, and queue where its batches will be ─▶ [ 5 | 6 | 7 ] ─▶ reader
//! thread 2 ─┘ then each for itself: parse it ──────────────────────────────────────────────▲
//! ```
//!
//! The queue is short. When nobody takes from it, the thread that would queue waits, the others wait for it, and nothing is read.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use airlane_model::{Error, codes};

use super::chunks::Chunks;
use super::fault::Fault;
use super::parse::{Layout, Parsed, Parser};

/// More threads than these wait for the one that cuts.
const THREADS_MAX: usize = 8;

type Outcome = Result<Parsed, Fault>;

/// Threads that parse the rest of an input.
pub(super) struct Pool {
    queue: Receiver<Receiver<Outcome>>,
    stop: Arc<AtomicBool>,
}

/// What the threads share.
struct Shared {
    chunks: Chunks,
    queue: SyncSender<Receiver<Outcome>>,
    has_ended: bool,
}

impl Pool {
    /// Starts the threads: as many as the machine has processors, unless that is said.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn begin(chunks: Chunks, layout: &Arc<Layout>, threads: Option<NonZeroUsize>) -> io::Result<Self> {
        let threads = threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let threads = threads.min(THREADS_MAX);
        let stop = chunks.stop();
        let (sender, queue) = sync_channel(threads);
        let shared = Arc::new(Mutex::new(Shared { chunks, queue: sender, has_ended: false }));
        for started in 0..threads {
            let (shared, layout) = (shared.clone(), layout.clone());
            let spawned = thread::Builder::new().name("airlane-csv".into()).spawn(move || work(&shared, &layout));
            if let Err(error) = spawned {
                match started {
                    0 => return Err(error),
                    _ => break,
                }
            }
        }
        Ok(Self { queue, stop })
    }

    /// What comes next of the input.
    pub(super) fn next(&mut self) -> Option<Outcome> {
        let outcome = self.queue.recv().ok()?;
        // A thread whose panic nobody caught leaves nothing.
        Some(
            outcome
                .recv()
                .unwrap_or_else(|_| Err(Error::new(codes::INTERNAL, "a thread that parses CSV has ended").into())),
        )
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn work(shared: &Mutex<Shared>, layout: &Arc<Layout>) {
    let mut parser = Parser::new(layout);
    while let Some(Turn { cut, answer }) = take(shared) {
        let parsed = cut.and_then(|chunk| parser.parse(&chunk, 0));
        // Whoever does not wait any more has gone.
        let _ = answer.send(parsed);
    }
}

/// What a thread has to parse, and who waits for it.
struct Turn {
    cut: Result<Vec<u8>, Fault>,
    answer: SyncSender<Outcome>,
}

/// Cuts the next chunk, in turn.
fn take(shared: &Mutex<Shared>) -> Option<Turn> {
    let mut shared = shared.lock().ok()?;
    if shared.has_ended {
        return None;
    }
    let cut = match shared.chunks.next() {
        Ok(Some(chunk)) => Ok(chunk),
        Ok(None) => {
            shared.has_ended = true;
            return None;
        }
        Err(fault) => {
            shared.has_ended = true;
            Err(fault)
        }
    };
    let (answer, outcome) = sync_channel(1);
    if shared.queue.send(outcome).is_err() {
        shared.has_ended = true;
        return None;
    }
    Some(Turn { cut, answer })
}
