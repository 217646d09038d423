//! Verified passwords, remembered for minutes, so that a client that sends its password with each call costs one
//! Argon2 now and then. What is kept is a keyed hash: without the key of this process it is nothing to guess from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Caller, Chance, Clock, Secret, Timestamp};
use parking_lot::Mutex;

use crate::keyed::{Hash, Key};

const LIFETIME: Duration = Duration::from_secs(5 * 60);
const ENTRIES_MAX: usize = 4_096;

struct Entry {
    caller: Caller,
    /// The reading of the rights file that it was verified by.
    reading: u64,
    since: Timestamp,
}

impl Entry {
    fn is_valid(&self, reading: u64, now: Timestamp) -> bool {
        // A clock that was set back ends it too: nobody can tell how long it was.
        self.reading == reading && now >= self.since && now.saturating_since(self.since) < LIFETIME
    }
}

/// The passwords that were verified.
pub(crate) struct Remembered {
    key: Key,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Hash, Entry>>,
}

impl Remembered {
    pub(crate) fn new(clock: Arc<dyn Clock>, chance: &dyn Chance) -> Self {
        Self { key: Key::random(chance), clock, entries: Mutex::default() }
    }

    /// Whose password this is, if it was verified lately and by this reading of the rights file.
    pub(crate) fn find(&self, user: &str, password: &Secret, reading: u64) -> Option<Caller> {
        let hash = self.hash(user, password);
        let (entries, now) = (self.entries.lock(), self.clock.now());
        entries.get(&hash).filter(|entry| entry.is_valid(reading, now)).map(|entry| entry.caller.clone())
    }

    /// Remembers that a password was verified.
    pub(crate) fn add(&self, user: &str, password: &Secret, reading: u64, caller: Caller) {
        let hash = self.hash(user, password);
        let (mut entries, since) = (self.entries.lock(), self.clock.now());
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, entry| entry.is_valid(reading, since));
        }
        // Still full: to forget all of them costs a hash each, once.
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(hash, Entry { caller, reading, since });
    }

    fn hash(&self, user: &str, password: &Secret) -> Hash {
        self.key.hash(&[user.as_bytes(), password.expose().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;
    use crate::gate::tests::ManualClock;

    #[test]
    fn a_password_is_remembered_for_its_user_its_reading_and_a_while() {
        let clock = Arc::new(ManualClock::default());
        let remembered = Remembered::new(clock.clone(), &SystemChance);
        let password = Secret::new("p");
        let add = || remembered.add("ada", &password, 1, Caller::new("ada", Vec::new()));
        add();
        assert_eq!(remembered.find("ada", &password, 1).expect("remembered").name(), "ada");
        assert!(remembered.find("bob", &password, 1).is_none());
        assert!(remembered.find("ada", &Secret::new("q"), 1).is_none());
        assert!(remembered.find("ada", &password, 2).is_none(), "the file was read again");
        clock.advance(LIFETIME);
        assert!(remembered.find("ada", &password, 1).is_none(), "long ago");
        add();
        clock.set_back(Duration::from_secs(1));
        assert!(remembered.find("ada", &password, 1).is_none(), "d10: the clock was set back");
    }

    #[test]
    fn memory_is_bounded() {
        let remembered = Remembered::new(Arc::new(ManualClock::default()), &SystemChance);
        for number in 0..ENTRIES_MAX + 10 {
            remembered.add(&number.to_string(), &Secret::new("p"), 1, Caller::nobody());
        }
        assert!(remembered.entries.lock().len() <= ENTRIES_MAX);
        assert!(remembered.find(&(ENTRIES_MAX + 9).to_string(), &Secret::new("p"), 1).is_some(), "the last one");
    }
}
