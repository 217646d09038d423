//! Which keys there are, in memory, so that a new one asks no catalog; and which are to be forgotten.

use std::collections::{HashMap, VecDeque};

use airlane_model::{ByteSize, Durability};
use airlane_segment::{Charge, MemoryBudget, MemoryUse};
use parking_lot::Mutex;

use super::KeyLimits;
use crate::catalog::{EPHEMERAL_KEY_BYTES, KeyFacts, ROW_BYTES};
use crate::uptime::Uptime;

/// Keys that are forgotten in one commit, at most: forgetting is never what a put waits for.
const FORGOTTEN_MAX: u64 = 256;

/// What a key of a durable table takes in memory, in bytes: see `examples/remembered.rs`.
const KEY_BYTES: u64 = 96;

/// The keys of both catalogs.
#[derive(Debug)]
pub(crate) struct KeyBook {
    limits: KeyLimits,
    /// Keys by their hash.
    known: Mutex<HashMap<u64, u32>>,
    durable: Mutex<Ledger>,
    ephemeral: Mutex<Ledger>,
}

/// The keys of one catalog, in its order.
#[derive(Debug)]
struct Ledger {
    order: VecDeque<Entry>,
    bytes: u64,
    charge: Charge,
    charge_each: u64,
}

impl Ledger {
    fn new(budget: &MemoryBudget, charge_each: u64) -> Mutex<Self> {
        let charge = budget.begin(MemoryUse::Remembered);
        Mutex::new(Self { order: VecDeque::new(), bytes: 0, charge, charge_each })
    }

    fn charge_all(&mut self) {
        self.charge.overdraw_to(self.order.len() as u64 * self.charge_each);
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    uptime: Uptime,
    bytes: u32,
}

impl KeyLimits {
    /// The same for a server that has so much memory.
    fn within(self, memory: ByteSize) -> Self {
        let part = memory.as_u64() / 8;
        // A key on disk has some hundred bytes for each of those here.
        let durable = (part / KEY_BYTES).saturating_mul(ROW_BYTES);
        Self {
            durable_bytes: self.durable_bytes.min(ByteSize::bytes(durable)),
            ephemeral_bytes: self.ephemeral_bytes.min(ByteSize::bytes(part)),
            ..self
        }
    }
}

impl KeyBook {
    /// Its keys take no more than an eighth of the memory in each of the two catalogs.
    pub(crate) fn new(limits: KeyLimits, budget: &MemoryBudget) -> Self {
        let limits = limits.within(budget.limit());
        let (durable, ephemeral) = (Ledger::new(budget, KEY_BYTES), Ledger::new(budget, EPHEMERAL_KEY_BYTES));
        Self { limits, known: Mutex::default(), durable, ephemeral }
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
        ledger.charge_all();
    }

    /// Takes note of keys that were forgotten.
    pub(crate) fn forget(&self, durability: Durability, count: u64) {
        let mut known = self.known.lock();
        let mut ledger = self.ledger(durability).lock();
        for _ in 0..count {
            let Some(Entry { hash, bytes, .. }) = ledger.order.pop_front() else { break };
            ledger.bytes -= u64::from(bytes);
            if let Some(others) = known.get_mut(&hash) {
                *others -= 1;
                if *others == 0 {
                    known.remove(&hash);
                }
            }
        }
        ledger.charge_all();
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
