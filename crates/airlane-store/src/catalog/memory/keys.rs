//! The keys of puts in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use airlane_model::{PutKey, Result, TableName};

use crate::catalog::{KeyFacts, Outcome, StoredKey, refused};
use crate::uptime::Uptime;

/// The keys, oldest first.
#[derive(Debug, Default)]
pub(super) struct MemoryKeys {
    by_scope: HashMap<Scope, Kept>,
    order: VecDeque<Scope>,
}

type Scope = Arc<(PutKey, TableName)>;

#[derive(Clone, Copy, Debug)]
struct Kept {
    content: u128,
    outcome: Outcome,
    uptime: Uptime,
}

impl MemoryKeys {
    pub(super) fn find(&self, key: &PutKey, table: &TableName) -> Option<StoredKey> {
        // Asked for puts that have a key and come again; it may cost a copy.
        let scope = (key.clone(), table.clone());
        self.by_scope.get(&scope).map(|kept| kept.stored(scope))
    }

    pub(super) fn all(&self) -> Vec<KeyFacts> {
        let stored = |scope: &Scope| Some(self.by_scope.get(scope)?.stored(scope.as_ref().clone()).facts());
        self.order.iter().filter_map(stored).collect()
    }

    pub(super) fn keep(&mut self, key: &StoredKey) -> Result<()> {
        let scope = Arc::new((key.key.clone(), key.table.clone()));
        if self.by_scope.contains_key(&scope) {
            return Err(refused("the key is known"));
        }
        let kept = Kept { content: key.content, outcome: key.outcome, uptime: key.uptime };
        self.by_scope.insert(scope.clone(), kept);
        self.order.push_back(scope);
        Ok(())
    }

    /// Takes the newest back.
    pub(super) fn take_back(&mut self) {
        if let Some(scope) = self.order.pop_back() {
            self.by_scope.remove(&scope);
        }
    }

    /// Forgets the oldest; gives them back, oldest first.
    pub(super) fn forget(&mut self, count: usize) -> Vec<StoredKey> {
        let forgotten = self.order.drain(..count.min(self.order.len()));
        let stored = |scope: Scope| {
            let kept = self.by_scope.remove(&scope)?;
            Some(kept.stored(Arc::unwrap_or_clone(scope)))
        };
        forgotten.filter_map(stored).collect()
    }

    pub(super) fn remember(&mut self, forgotten: Vec<StoredKey>) {
        for StoredKey { key, table, content, outcome, uptime } in forgotten.into_iter().rev() {
            let scope = Arc::new((key, table));
            self.by_scope.insert(scope.clone(), Kept { content, outcome, uptime });
            self.order.push_front(scope);
        }
    }
}

impl Kept {
    fn stored(&self, (key, table): (PutKey, TableName)) -> StoredKey {
        let Self { content, outcome, uptime } = *self;
        StoredKey { key, table, content, outcome, uptime }
    }
}
