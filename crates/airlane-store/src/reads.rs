//! When a table was last read. Kept in memory only: a start counts as a read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::uptime::{Uptime, UptimeClock};

/// The reads of one table.
#[derive(Debug)]
pub(crate) struct Reads {
    open: AtomicUsize,
    /// Reads that were begun since the start.
    begun: AtomicU64,
    /// When the last one ended, in microseconds of the uptime.
    last: AtomicU64,
}

impl Reads {
    pub(crate) fn new(last: Uptime) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), begun: AtomicU64::new(0), last: AtomicU64::new(last.as_micros()) })
    }

    /// Reads that run, and reads that were begun since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.open.load(Ordering::Relaxed) as u64, self.begun.load(Ordering::Relaxed))
    }

    /// When it was last read: now, while somebody reads it.
    pub(crate) fn last(&self, now: Uptime) -> Uptime {
        // A read that ends notes the time before it is no longer open.
        if self.open.load(Ordering::SeqCst) > 0 { now } else { Uptime::from_micros(self.last.load(Ordering::SeqCst)) }
    }
}

/// A read that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Reading {
    reads: Arc<Reads>,
    clock: UptimeClock,
}

impl Reading {
    pub(crate) fn begin(reads: Arc<Reads>, clock: UptimeClock) -> Self {
        reads.begun.fetch_add(1, Ordering::Relaxed);
        reads.open.fetch_add(1, Ordering::SeqCst);
        Self { reads, clock }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.reads.last.fetch_max(self.clock.now().as_micros(), Ordering::SeqCst);
        self.reads.open.fetch_sub(1, Ordering::SeqCst);
    }
}
