//! Which keys there are, in memory, so that a new one asks no catalog; and which are to be forgotten.

use std::collections::{HashMap, VecDeque};

use airlane_model::Durability;
use parking_lot::Mutex;

use super::KeyLimits;
use crate::catalog::KeyFacts;
use crate::uptime::Uptime;

/// Keys that are forgotten in one commit, at most: forgetting is never what a put waits for.
const FORGOTTEN_MAX: u64 = 256;

/// The keys of both catalogs, about 50 bytes each.
#[derive(Debug)]
pub(crate) struct KeyBook {
    limits: KeyLimits,
    /// Keys by their hash.
    known: Mutex<HashMap<u64, u32>>,
    durable: Mutex<Ledger>,
    ephemeral: Mutex<Ledger>,
}

/// The keys of one catalog, in its order.
#[derive(Debug, Default)]
struct Ledger {
    order: VecDeque<Entry>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    uptime: Uptime,
    bytes: u32,
}

impl KeyBook {
    pub(crate) fn new(limits: KeyLimits) -> Self {
        Self { limits, known: Mutex::default(), durable: Mutex::default(), ephemeral: Mutex::default() }
    }

    /// `false` when no key has this hash.
    pub(crate) fn may_know(&self, hash: u64) -> bool {
        self.known.lock().contains_key(&hash)
    }

    /// How many keys are remembered.
    pub(crate) fn count(&self) -> u64 {
        [&self.durable, &self.ephemeral].iter().map(|ledger| ledger.lock().order.len() as u64).sum()
    }

    /// How many of the oldest keys of a catalog go when these come.
    pub(crate) fn due(&self, durability: Durability, coming: &[KeyFacts], now: Uptime) -> u64 {
        let ledger = self.ledger(durability).lock();
        let mut count = (ledger.order.len() + coming.len()) as u64;
        let mut bytes = ledger.bytes + coming.iter().map(|key| u64::from(key.bytes)).sum::<u64>();
        let mut due = 0;
        for oldest in &ledger.order {
            let is_old = now.saturating_since(oldest.uptime) > self.limits.time && count > self.limits.count;
            if due == FORGOTTEN_MAX || !is_old && bytes <= self.limits.bytes(durability) {
                break;
            }
            count -= 1;
            bytes -= u64::from(oldest.bytes);
            due += 1;
        }
        due
    }

    /// Takes note of keys that were committed.
    pub(crate) fn keep(&self, durability: Durability, keys: &[KeyFacts]) {
        let mut known = self.known.lock();
        let mut ledger = self.ledger(durability).lock();
        for KeyFacts { hash, also, bytes, uptime, .. } in keys.iter().copied() {
            *known.entry(hash).or_default() += 1;
            // Not forgotten before the next start: there is one for a damaged row.
            also.into_iter().for_each(|hash| *known.entry(hash).or_default() += 1);
            // A damaged one is as old as the one before.
            let uptime = ledger.order.back().map_or(uptime, |before| before.uptime.max(uptime));
            ledger.order.push_back(Entry { hash, uptime, bytes });
            ledger.bytes += u64::from(bytes);
        }
    }

    /// Takes note of keys that were forgotten.
    pub(crate) fn forget(&self, durability: Durability, count: u64) {
        let mut known = self.known.lock();
        let mut ledger = self.ledger(durability).lock();
        for _ in 0..count {
            let Some(Entry { hash, bytes, .. }) = ledger.order.pop_front() else { return };
            ledger.bytes -= u64::from(bytes);
            if let Some(others) = known.get_mut(&hash) {
                *others -= 1;
                if *others == 0 {
                    known.remove(&hash);
                }
            }
        }
    }

    fn ledger(&self, durability: Durability) -> &Mutex<Ledger> {
        match durability {
            Durability::Durable => &self.durable,
            Durability::Ephemeral => &self.ephemeral,
        }
    }
}

#[cfg(test)]
mod tests;
