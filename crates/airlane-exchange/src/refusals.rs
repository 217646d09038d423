//! What trying tickets gets: one answer, and after some of them one that asks to wait.
//!
//! The signature of a ticket is looked at first, which costs less than the request that brings it, so whoever has a ticket
//! that was signed here is never kept out, whatever others try from the same address. Refusals are counted for each caller
//! at each address. The counts lie in a table of a fixed size: who guesses from many addresses takes no memory, at most the
//! answer to a refused ticket of somebody else asks to wait, too.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{Caller, Error, Timestamp, codes};
use parking_lot::Mutex;

use crate::keys;

/// Refusals in a window that are told as such.
const FREE: u32 = 30;
/// How long refusals are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// The counts: 64 KiB.
const SLOTS: usize = 4096;

/// Counts the tickets that are refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    slots: Mutex<Box<[Slot]>>,
    hasher: RandomState,
    refused: AtomicU64,
    throttled: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    begun: Timestamp,
    count: u32,
}

/// Signed tickets that were refused, by what was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedTickets {
    /// `ticket_refused`.
    pub refused: u64,
    /// `tickets_throttled`.
    pub throttled: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        let slot = Slot { begun: Timestamp::from_micros(0), count: 0 };
        Self {
            slots: Mutex::new(vec![slot; SLOTS].into_boxed_slice()),
            hasher: RandomState::new(),
            refused: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }
}

impl Refusals {
    /// The answer to a ticket that this server did not sign, or not for this caller.
    pub(crate) fn answer(&self, caller: &Caller, now: Timestamp) -> Error {
        let address = caller.trail().and_then(|trail| trail.address());
        let (count, wait) = self.count(caller.name(), address, now);
        if count <= FREE {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return keys::refused();
        }
        self.throttled.fetch_add(1, Ordering::Relaxed);
        if count == FREE + 1 {
            let (caller, from) = (caller.name(), address.map_or_else(|| "this machine".into(), |it| it.to_string()));
            tracing::warn!(caller, from, "more than {FREE} signed tickets were refused within a minute");
        }
        let seconds = wait.as_millis().div_ceil(1_000);
        Error::new(codes::TICKETS_THROTTLED, "too many signed tickets were refused")
            .hint(format!("try again in {seconds} s, with a ticket as it was given; a good one is never throttled"))
    }

    /// The refusals of the present window with this one, and how long it lasts yet.
    fn count(&self, caller: &str, address: Option<IpAddr>, now: Timestamp) -> (u32, Duration) {
        let hash = self.hasher.hash_one((caller, address));
        let index = usize::try_from(hash % SLOTS as u64).unwrap_or_default();
        let mut slots = self.slots.lock();
        let slot = &mut slots[index];
        // A clock that was set back begins anew, too: it must not lengthen a window by a day.
        let passed = (now >= slot.begun).then(|| now.saturating_since(slot.begun)).filter(|passed| *passed < WINDOW);
        if passed.is_none() {
            *slot = Slot { begun: now, count: 0 };
        }
        slot.count = slot.count.saturating_add(1);
        (slot.count, WINDOW.saturating_sub(passed.unwrap_or_default()))
    }

    pub(crate) fn so_far(&self) -> RefusedTickets {
        RefusedTickets {
            refused: self.refused.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
