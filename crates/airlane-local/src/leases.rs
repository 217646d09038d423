//! What readers have mapped.
//!
//! The kernel owns the memory and frees it when nobody has it mapped, so nothing here can be used after it was freed. A
//! lease is accounting: it says who holds how much, and keeps that counted in the server's memory for as long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::{HandOut, ReadEnd};
use airlane_model::{ByteSize, Caller, Error, Result, codes};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Leases of one connection at once. Each takes a KiB or two, also where its table is a file and counts nothing.
const LEASES_MAX: usize = 4096;

/// How much the leases of each caller hold, over all connections.
#[derive(Debug)]
pub(crate) struct LeaseBook {
    bytes_max: u64,
    callers: Mutex<HashMap<Box<str>, u64>>,
}

/// Memory that a lease holds, until it is dropped.
#[derive(Debug)]
struct Held {
    book: Arc<LeaseBook>,
    caller: Box<str>,
    bytes: u64,
}

impl LeaseBook {
    pub(crate) fn new(bytes_max: ByteSize) -> Self {
        Self { bytes_max: bytes_max.as_u64(), callers: Mutex::default() }
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub(crate) fn bytes_of(&self, caller: &Caller) -> u64 {
        self.callers.lock().get(caller.name()).copied().unwrap_or_default()
    }

    fn hold(self: &Arc<Self>, caller: &Caller, bytes: u64) -> Result<Held> {
        let mut callers = self.callers.lock();
        let before = callers.get(caller.name()).copied().unwrap_or_default();
        let all = before.saturating_add(bytes);
        if all > self.bytes_max {
            drop(callers);
            let sizes = [before, bytes, self.bytes_max].map(ByteSize::bytes);
            let message =
                format!("the tables that `{}` holds take {}, with {} more", caller.name(), sizes[0], sizes[1]);
            return Err(Error::new(codes::QUOTA_EXCEEDED, format!("{message} it is over its {}", sizes[2]))
                .hint("let go of tables that are not needed any more, or read this one as a stream"));
        }
        callers.insert(caller.name().into(), all);
        drop(callers);
        // It is for people to look at; the sum above decides.
        metrics::gauge!("airlane_leased_bytes").increment(bytes as f64);
        Ok(Held { book: self.clone(), caller: caller.name().into(), bytes })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut callers = self.book.callers.lock();
        if let Some(bytes) = callers.get_mut(&self.caller) {
            *bytes = bytes.saturating_sub(self.bytes);
            if *bytes == 0 {
                callers.remove(&self.caller);
            }
        }
        drop(callers);
        metrics::gauge!("airlane_leased_bytes").decrement(self.bytes as f64);
    }
}

/// The leases of a connection. Those that it leaves are given back.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    leases: HashMap<u64, Lease>,
    last: u64,
}

#[derive(Debug)]
struct Lease {
    out: HandOut,
    /// When it lapses; it has when there is none.
    until: Option<Instant>,
    _held: Held,
}

impl Leases {
    /// A lease for what a caller is handed, and its number.
    ///
    /// # Errors
    /// `quota_exceeded`, `limit_exceeded`.
    pub(crate) fn add(
        &mut self,
        book: &Arc<LeaseBook>,
        caller: &Caller,
        out: HandOut,
        lasts: Duration,
    ) -> Result<(u64, &mut HandOut)> {
        if self.leases.len() >= LEASES_MAX {
            let message = format!("the connection holds {LEASES_MAX} tables, which is the most");
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("let go of some, or use another connection"));
        }
        let held = book.hold(caller, out.memory_bytes())?;
        self.last += 1;
        let lease = Lease { out, until: Instant::now().checked_add(lasts), _held: held };
        Ok((self.last, &mut self.leases.entry(self.last).insert_entry(lease).into_mut().out))
    }

    /// The number that the next one gets.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    /// What a reader is through with. Numbers that are not known are those that it has let go of before.
    pub(crate) fn release(&mut self, leases: &[u64]) -> Vec<HandOut> {
        leases.iter().filter_map(|lease| self.leases.remove(lease)).map(|lease| lease.out).collect()
    }

    /// The ends of counted reads whose readers have all rows.
    pub(crate) fn end_reads(&mut self, leases: &[u64]) -> Vec<ReadEnd> {
        leases.iter().filter_map(|lease| self.leases.get_mut(lease)?.out.take_read()).collect()
    }

    /// Has leases last anew from now on.
    pub(crate) fn renew(&mut self, leases: &[u64], lasts: Duration) {
        for number in leases {
            if let Some(lease) = self.leases.get_mut(number)
                && lease.until.is_some()
            {
                lease.until = Instant::now().checked_add(lasts);
            }
        }
    }

    /// When the next one lapses.
    pub(crate) fn next_lapse(&self) -> Option<Instant> {
        self.leases.values().filter_map(|lease| lease.until).min()
    }

    /// Ends what has lapsed: the read is given back, the memory counts on.
    pub(crate) fn lapse(&mut self, now: Instant) {
        for lease in self.leases.values_mut() {
            if lease.until.is_some_and(|until| until <= now) {
                lease.until = None;
                lease.out.lapse();
            }
        }
    }
}
