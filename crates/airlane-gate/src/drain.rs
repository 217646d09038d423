//! The end of a server: requests that run may end, new ones are refused.
//!
//! ```text
//! begin ─┬─ requests that run        → to their end
//!        ├─ probes, and who watches  → answered
//!        └─ every other new request  → `shutting_down`, with the time after which to repeat it
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use airlane_model::{Error, codes};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What a refused client is told to wait: by then a balancer has taken note, or another server listens here.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Knows the requests that run, and whether new ones are taken. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    is_begun: Arc<AtomicBool>,
    running: TaskTracker,
    /// For those who wait for it.
    begun: CancellationToken,
}

impl Drain {
    /// From now on new requests are refused.
    pub fn begin(&self) {
        self.is_begun.store(true, Ordering::SeqCst);
        self.running.close();
        self.begun.cancel();
    }

    /// Waits until it has begun.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until no request runs any more. Never ends before [`begin`](Self::begin).
    pub async fn ended(&self) {
        self.running.wait().await;
    }

    /// How many requests run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Counts a request as running until the answer is dropped.
    ///
    /// # Errors
    /// `shutting_down`.
    pub(crate) fn enter(&self) -> Result<Running, Error> {
        // Counted first: whoever begins to drain waits for it, or it sees that the drain has begun.
        let running = Running(self.running.token());
        if self.is_begun.load(Ordering::SeqCst) {
            let error = Error::new(codes::SHUTTING_DOWN, "the server is stopping and takes no new requests");
            return Err(error.hint("repeat the request when it is back").retry_after(RETRY_AFTER));
        }
        Ok(running)
    }
}

/// A request that runs.
#[derive(Debug)]
pub(crate) struct Running(#[expect(dead_code, reason = "counts while it is there")] TaskTrackerToken);

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_runs_may_end_and_what_comes_is_refused() {
        let drain = Drain::default();
        let first = drain.enter().expect("let in");
        assert!(drain.ended().now_or_never().is_none(), "nobody has asked for the end");
        drain.begin();
        let error = drain.enter().expect_err("refused");
        assert_eq!((error.code(), error.retry_after_time()), (codes::SHUTTING_DOWN, Some(RETRY_AFTER)));
        assert!(drain.ended().now_or_never().is_none() && drain.running() == 1);
        drop(first);
        assert!(drain.ended().now_or_never().is_some(), "what was refused does not run");
    }
}
