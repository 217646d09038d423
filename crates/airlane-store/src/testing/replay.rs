//! Time that a test sets and chance that a test replays: with the same seed, the same requests take the same ids and
//! do the same to the disk.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{Chance, Clock, Timestamp};

/// Stands still until it is told to go on.
#[derive(Debug)]
pub struct ManualClock {
    micros: AtomicI64,
    steady_micros: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { micros: AtomicI64::new(now.as_micros()), steady_micros: AtomicU64::new(0) }
    }

    /// Goes on by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
        self.steady_micros.fetch_add(micros.unsigned_abs(), Ordering::SeqCst);
    }

    /// Sets the wall clock, as somebody may; no time passes by it.
    pub fn set(&self, now: Timestamp) {
        self.micros.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_micros(self.steady_micros.load(Ordering::SeqCst))
    }
}

/// Gives what looks random and is the same for the same seed. Anybody can guess it: for tests only.
#[derive(Debug)]
pub struct SeededChance {
    state: AtomicU64,
}

impl SeededChance {
    /// The chance of this seed, from its beginning.
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next number of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Chance for SeededChance {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let bytes = |seed| {
            let chance = SeededChance::new(seed);
            let mut bytes = [0; 20];
            chance.fill(&mut bytes);
            bytes
        };
        // The first number of SplitMix64 for 0.
        assert_eq!(bytes(0)[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        assert_ne!(bytes(7)[..8], bytes(7)[8..16]);
    }

    #[test]
    fn time_passes_when_it_is_told_to() {
        let clock = ManualClock::new(Timestamp::from_micros(5));
        assert_eq!((clock.now(), clock.now()), (Timestamp::from_micros(5), Timestamp::from_micros(5)));
        clock.advance(Duration::from_millis(1));
        assert_eq!((clock.now(), clock.steady()), (Timestamp::from_micros(1_005), Duration::from_millis(1)));
        clock.set(Timestamp::from_micros(-7));
        assert_eq!((clock.now(), clock.steady()), (Timestamp::from_micros(-7), Duration::from_millis(1)));
    }
}
