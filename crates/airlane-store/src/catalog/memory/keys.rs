//! The keys of puts in memory, without their texts: what finds them is a hash of 128 bits that nobody outside can work out.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use airlane_model::{PutKey, Result, TableName};

use crate::catalog::{KeyFacts, Outcome, StoredKey, refused};
use crate::uptime::Uptime;

/// Stands for caller, table and key. That two of a million have the same is as likely as a fault of the memory; and since it
/// depends on chance, nobody can look for a key that stands for another's.
type KeyId = [u64; 2];

/// The keys, oldest first.
#[derive(Debug, Default)]
pub(super) struct MemoryKeys {
    /// Numbers in the order of commits.
    numbers: HashMap<KeyId, u64>,
    kept: VecDeque<Kept>,
    /// The number of the oldest.
    first: u64,
    hashers: [RandomState; 2],
}

/// A key that was kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    id: KeyId,
    hash: u64,
    content: [u8; 16],
    outcome: Outcome,
    uptime: Uptime,
    bytes: u32,
}

impl MemoryKeys {
    pub(super) fn find(&self, key: &PutKey, table: &TableName) -> Option<StoredKey> {
        let number = self.numbers.get(&self.id(key, table))?;
        let Kept { content, outcome, uptime, .. } = *self.kept.get(usize::try_from(number - self.first).ok()?)?;
        let (key, table, content) = (key.clone(), table.clone(), u128::from_le_bytes(content));
        Some(StoredKey { key, table, content, outcome, uptime })
    }

    pub(super) fn all(&self) -> Vec<KeyFacts> {
        self.kept.iter().map(Kept::facts).collect()
    }

    pub(super) fn keep(&mut self, key: &StoredKey) -> Result<()> {
        let id = self.id(&key.key, &key.table);
        if self.numbers.contains_key(&id) {
            return Err(refused("the key is known"));
        }
        let KeyFacts { hash, bytes, uptime, .. } = key.facts();
        self.numbers.insert(id, self.first + self.kept.len() as u64);
        let content = key.content.to_le_bytes();
        self.kept.push_back(Kept { id, hash, content, outcome: key.outcome, uptime, bytes });
        Ok(())
    }

    /// Takes the newest back.
    pub(super) fn take_back(&mut self) {
        if let Some(newest) = self.kept.pop_back() {
            self.numbers.remove(&newest.id);
        }
    }

    /// Forgets the oldest; gives them back, oldest first.
    pub(super) fn forget(&mut self, count: usize) -> Vec<Kept> {
        let forgotten: Vec<Kept> = self.kept.drain(..count.min(self.kept.len())).collect();
        self.first += forgotten.len() as u64;
        forgotten.iter().for_each(|kept| _ = self.numbers.remove(&kept.id));
        forgotten
    }

    pub(super) fn remember(&mut self, forgotten: Vec<Kept>) {
        for kept in forgotten.into_iter().rev() {
            self.first -= 1;
            self.numbers.insert(kept.id, self.first);
            self.kept.push_front(kept);
        }
    }

    fn id(&self, key: &PutKey, table: &TableName) -> KeyId {
        let texts = (&*key.caller, table.as_str(), key.key.as_str());
        self.hashers.each_ref().map(|hasher| hasher.hash_one(texts))
    }
}

impl Kept {
    fn facts(&self) -> KeyFacts {
        let Self { hash, bytes, uptime, .. } = *self;
        KeyFacts { hash, also: None, bytes, uptime, is_damaged: false }
    }
}
