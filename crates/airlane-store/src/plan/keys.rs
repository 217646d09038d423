//! The keys of the puts of a plan.

use airlane_model::{Receipt, Result, TableName};

use super::Plan;
use crate::catalog::{Change, KeyFacts, Outcome, StoredKey};
use crate::keys::{KeyBook, RequestKey, find};

/// What a planned put is.
pub(crate) enum PlannedPut {
    /// A new version.
    New(Receipt),
    /// The repetition of a put of this plan: it is done when that is.
    Again(Receipt),
    /// The repetition of a put that is done.
    Done(Receipt),
}

impl Plan<'_> {
    /// What became of the first put with a key, if this is not the first.
    pub(super) fn repeated(&self, key: &RequestKey, table: &TableName) -> Result<Option<PlannedPut>> {
        let planned = self.changes.iter().find_map(|change| match change {
            Change::KeepKey { key: kept } if kept.key == key.key && kept.table == *table => Some(kept),
            _ => None,
        });
        if let Some(first) = planned {
            return key.repeats(first).map(|receipt| Some(PlannedPut::Again(receipt)));
        }
        let first = find(self.context.shared, &key.key, table)?;
        first.map(|first| key.repeats(&first).map(PlannedPut::Done)).transpose()
    }

    /// Plans to remember a key.
    pub(super) fn keep_key(&mut self, key: RequestKey, receipt: &Receipt) {
        let stored = StoredKey {
            key: key.key,
            table: receipt.table.clone(),
            content: key.content,
            outcome: Outcome::of(receipt),
            uptime: self.context.now.uptime,
        };
        self.changes.push(Change::KeepKey { key: Box::new(stored) });
    }

    /// Plans to forget the keys that are due, where others come.
    pub(crate) fn forget_keys(&mut self) {
        let coming = self.kept_keys();
        if coming.is_empty() {
            return;
        }
        let count = self.context.shared.keys.due(self.context.durability, &coming, self.context.now.uptime);
        if count > 0 {
            self.changes.push(Change::ForgetKeys { count });
        }
    }

    /// Has the book know what was committed, before anybody is answered.
    pub(super) fn note_keys(&self, book: &KeyBook) {
        let durability = self.context.durability;
        book.keep(durability, &self.kept_keys());
        for change in &self.changes {
            if let Change::ForgetKeys { count } = change {
                book.forget(durability, *count);
            }
        }
    }

    fn kept_keys(&self) -> Vec<KeyFacts> {
        let kept = self.changes.iter().filter_map(|change| match change {
            Change::KeepKey { key } => Some(key.facts()),
            _ => None,
        });
        kept.collect()
    }
}
