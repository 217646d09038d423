//! How many streams of data a server carries at once, whoever asks for them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use airlane_model::{Error, Result, codes};

/// What whoever comes too many is told to wait: nobody knows when one ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counts the streams of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Streams {
    max: NonZeroU32,
    open: Arc<AtomicU32>,
}

/// A stream that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stream(Arc<AtomicU32>);

impl Streams {
    /// So many at once.
    pub fn new(max: NonZeroU32) -> Self {
        Self { max, open: Arc::default() }
    }

    /// Whether nearly as many are open as may be: nine of ten.
    pub fn are_short(&self) -> bool {
        u64::from(self.open.load(Ordering::Relaxed)) * 10 >= u64::from(self.max.get()) * 9
    }

    /// Begins a stream.
    ///
    /// # Errors
    /// `streams_full`.
    pub(crate) fn begin(&self) -> Result<Stream> {
        let stream = Stream(self.open.clone());
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max.get() {
            // Dropped here, it is counted no more.
            let message =
                format!("{} streams of data are open, which is as many as the server carries at once", self.max);
            return Err(Error::new(codes::STREAMS_FULL, message)
                .hint("repeat the request later, or have the server's setting `streams_max` raised")
                .retry_after(RETRY_AFTER));
        }
        Ok(stream)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g6_one_too_many_is_refused_and_one_that_ends_makes_room() {
        let streams = Streams::new(NonZeroU32::new(10).expect("not zero"));
        let mut open: Vec<_> = (0..8).map(|_| streams.begin().expect("room")).collect();
        assert!(!streams.are_short());
        open.push(streams.begin().expect("room"));
        assert!(streams.are_short(), "nine of ten");
        open.push(streams.begin().expect("room"));
        for _ in 0..100 {
            assert_eq!(streams.begin().expect_err("too many").code(), codes::STREAMS_FULL);
        }
        open.pop();
        let again = streams.begin().expect("refusals are not counted");
        drop((open, again));
        assert_eq!(streams.open.load(Ordering::Relaxed), 0);
    }
}
