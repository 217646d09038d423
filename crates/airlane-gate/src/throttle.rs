//! What a wrong password costs the one who sends it: time.
//!
//! Failures are counted for each user at each address, and for each address alone, so that neither many passwords of
//! one user nor one password of many users goes on fast. After some free ones each failure doubles the wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Clock, Error, Result, Timestamp, codes};
use parking_lot::Mutex;

use crate::peer::Peer;

/// Failures of a user at an address that cost nothing.
const USER_FREE: u32 = 5;
/// Failures of an address that cost nothing; many users may share one.
const ADDRESS_FREE: u32 = 50;
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten when none was added for so long.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// The failures that are remembered. Each was a hash, so they do not come fast enough to push one another out.
const ENTRIES_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(Box<str>, Peer),
    Address(Peer),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: Timestamp,
}

impl Entry {
    /// How long the next attempt has to wait yet.
    fn wait(self, free: u32, now: Timestamp) -> Duration {
        let Some(doublings) = self.failures.checked_sub(free) else { return Duration::ZERO };
        let wait = WAIT_MIN.saturating_mul(1 << doublings.min(16)).min(WAIT_MAX);
        match since(self.last, now) {
            Some(passed) => wait.saturating_sub(passed),
            // The clock was set back: what it said then means nothing now.
            None => Duration::ZERO,
        }
    }

    fn is_old(self, now: Timestamp) -> bool {
        since(self.last, now).is_none_or(|passed| passed >= MEMORY)
    }
}

/// The time since a moment; none when the clock was set back before it.
fn since(then: Timestamp, now: Timestamp) -> Option<Duration> {
    (now >= then).then(|| now.saturating_since(then))
}

/// Counts failures.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Key, Entry>>,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    /// Refuses an attempt that comes too early, without counting it.
    ///
    /// # Errors
    /// `logins_throttled`, with the time to wait.
    pub(crate) fn check(&self, user: &str, peer: Peer) -> Result<()> {
        let (entries, now) = (self.entries.lock(), self.clock.now());
        let wait = |key: &Key, free| entries.get(key).map_or(Duration::ZERO, |entry| entry.wait(free, now));
        let [of_user, of_address] = keys(user, peer);
        let wait = wait(&of_user, USER_FREE).max(wait(&of_address, ADDRESS_FREE));
        if wait.is_zero() {
            return Ok(());
        }
        let seconds = wait.as_millis().div_ceil(1_000);
        Err(Error::new(codes::LOGINS_THROTTLED, "passwords were wrong too often")
            .hint(format!("try again in {seconds} s; a token is never throttled")))
    }

    /// As [`check`](Self::check), and counts the attempt as a failure until it [`succeeds`](Self::succeeded), so that
    /// attempts at the same time are no way around the count.
    ///
    /// # Errors
    /// `logins_throttled`.
    pub(crate) fn begin(&self, user: &str, peer: Peer) -> Result<()> {
        self.check(user, peer)?;
        let (mut entries, now) = (self.entries.lock(), self.clock.now());
        for key in keys(user, peer) {
            make_room(&mut entries, now);
            let entry = entries.entry(key).or_insert(Entry { failures: 0, last: now });
            if entry.is_old(now) {
                entry.failures = 0;
            }
            *entry = Entry { failures: entry.failures.saturating_add(1), last: now };
        }
        Ok(())
    }

    /// The attempt that was begun has given the right password.
    pub(crate) fn succeeded(&self, user: &str, peer: Peer) {
        let mut entries = self.entries.lock();
        let [of_user, of_address] = keys(user, peer);
        entries.remove(&of_user);
        if let Some(entry) = entries.get_mut(&of_address) {
            entry.failures = entry.failures.saturating_sub(1);
        }
    }
}

fn keys(user: &str, peer: Peer) -> [Key; 2] {
    let peer = peer.network();
    [Key::User(user.into(), peer), Key::Address(peer)]
}

/// Forgets what is old when there is no room, and when nothing is, what is oldest.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Timestamp) {
    if entries.len() < ENTRIES_MAX {
        return;
    }
    entries.retain(|_, entry| !entry.is_old(now));
    if entries.len() >= ENTRIES_MAX {
        let oldest = entries.iter().min_by_key(|(_, entry)| entry.last).map(|(key, _)| key.clone());
        oldest.and_then(|key| entries.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::tests::ManualClock;

    fn peer(number: u8) -> Peer {
        Peer::ip([10, 0, 0, number].into())
    }

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        (Throttle::new(clock.clone()), clock)
    }

    /// How many of the attempts at even distances were let through.
    fn let_through(throttle: &Throttle, clock: &ManualClock, attempts: u32, time: Duration, user: &str) -> u32 {
        let attempt = |_| {
            clock.advance(time / attempts);
            u32::from(throttle.begin(user, peer(1)).is_ok())
        };
        (0..attempts).map(attempt).sum()
    }

    #[test]
    fn s2_each_failure_after_the_fifth_doubles_the_wait() {
        let (throttle, clock) = throttle();
        for _ in 0..USER_FREE {
            throttle.begin("ada", peer(1)).expect("free");
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            clock.advance(Duration::from_millis(seconds * 1_000 - 1));
            let error = throttle.begin("ada", peer(1)).expect_err("too early");
            assert_eq!(error.code(), codes::LOGINS_THROTTLED);
            assert!(error.hint_text().is_some_and(|hint| hint.contains("in 1 s")), "{error}");
            clock.advance(Duration::from_millis(1));
            throttle.begin("ada", peer(1)).unwrap_or_else(|error| panic!("after {seconds} s: {error}"));
        }
        throttle.begin("ada", peer(2)).expect("another address");
        throttle.begin("bob", peer(1)).expect("another user");
    }

    #[test]
    fn s2_a_thousand_logins_in_ten_seconds_are_sixty_hashes_at_most() {
        let (throttle, clock) = throttle();
        assert!(let_through(&throttle, &clock, 1_000, Duration::from_secs(10), "ada") <= 9);
        let (throttle, clock) = self::throttle();
        let through: u32 = (0..1_000)
            .map(|user| let_through(&throttle, &clock, 1, Duration::from_millis(10), &format!("user{user}")))
            .sum();
        assert!((ADDRESS_FREE..=60).contains(&through), "{through}");
        throttle.begin("ada", peer(2)).expect("others go on");
    }

    #[test]
    fn success_forgives_the_user_and_the_address_that_attempt() {
        let (throttle, clock) = throttle();
        for round in 0..100 {
            for attempt in 0..USER_FREE {
                throttle.begin("ada", peer(1)).unwrap_or_else(|error| panic!("{round} {attempt}: {error}"));
                if attempt == 0 {
                    throttle.succeeded("ada", peer(1));
                }
            }
            clock.advance(MEMORY);
        }
    }

    #[test]
    fn d10_a_clock_that_is_set_back_locks_nobody_out() {
        let (throttle, clock) = throttle();
        for _ in 0..USER_FREE {
            throttle.begin("ada", peer(1)).expect("free");
        }
        throttle.begin("ada", peer(1)).expect_err("too early");
        clock.set_back(Duration::from_secs(86_400));
        throttle.begin("ada", peer(1)).expect("no wait of a day");
    }

    #[test]
    fn s2_memory_is_bounded() {
        let (throttle, clock) = throttle();
        for number in 0..ENTRIES_MAX as u32 / 2 + 200 {
            clock.advance(Duration::from_micros(1));
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            throttle.begin("ada", Peer::ip(address.into())).expect("a first attempt");
        }
        assert!(throttle.entries.lock().len() <= ENTRIES_MAX);
    }
}
