//! What happened to tables lately, in order, for whoever watches. The catalog is the truth; this is memory, bounded, and gone with the
//! process.

use std::collections::VecDeque;
use std::sync::Arc;

use airlane_model::TableChange;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Changes that are kept for those who come late.
const KEPT_MAX: usize = 4096;

/// The changes of a store. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<VecDeque<Arc<TableChange>>>,
    /// How many there were so far.
    count: watch::Sender<u64>,
}

/// Some changes, and where they stand.
#[derive(Clone, Debug)]
pub struct SomeChanges {
    /// The number of the first.
    pub first: u64,
    /// In order.
    pub changes: Vec<Arc<TableChange>>,
    /// How many were asked for that are not kept any more.
    pub missed: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(Inner { kept: Mutex::default(), count: watch::Sender::new(0) }))
    }
}

impl Changes {
    /// Tells of changes, in order.
    pub fn note(&self, changes: impl IntoIterator<Item = TableChange>) {
        let mut kept = self.0.kept.lock();
        let mut count = 0;
        for change in changes {
            if kept.len() == KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(Arc::new(change));
            count += 1;
        }
        if count > 0 {
            // Under the lock, so that the count and what is kept fit.
            self.0.count.send_modify(|all| *all += count);
        }
    }

    /// How many there were so far: what is asked for to see only what comes.
    pub fn count(&self) -> u64 {
        *self.0.count.borrow()
    }

    /// The changes from number `first` on, as far as they are kept; it waits until there is one.
    pub async fn from(&self, first: u64) -> SomeChanges {
        let mut counted = self.0.count.subscribe();
        // The sender is in `self`, so this does not end before there is one.
        let _ = counted.wait_for(|count| *count > first).await;
        let kept = self.0.kept.lock();
        let oldest = self.count() - kept.len() as u64;
        let begin = first.max(oldest);
        let changes = kept.iter().skip((begin - oldest) as usize).cloned().collect();
        SomeChanges { first: begin, changes, missed: begin - first }
    }
}

#[cfg(test)]
mod tests {
    use airlane_model::{Happening, Timestamp};

    use super::*;

    fn dropped(number: usize) -> TableChange {
        let table = format!("t{number}").parse().expect("a name");
        TableChange { time: Timestamp::default(), table, table_id: None, what: Happening::Dropped }
    }

    #[tokio::test]
    async fn changes_come_in_order_and_what_is_forgotten_is_counted() {
        let changes = Changes::default();
        changes.note((0..3).map(dropped));
        let seen = changes.from(1).await;
        assert_eq!((seen.first, seen.changes.len(), seen.missed), (1, 2, 0));
        changes.note((3..KEPT_MAX + 10).map(dropped));
        let seen = changes.from(1).await;
        assert_eq!((seen.first, seen.changes.len(), seen.missed), (10, KEPT_MAX, 9));
        assert_eq!(seen.changes[0].table.as_str(), "t10");
        let (later, count) = (changes.clone(), changes.count());
        let waiting = tokio::spawn(async move { later.from(count).await });
        tokio::task::yield_now().await;
        changes.note([dropped(7)]);
        assert_eq!(waiting.await.expect("it ends").changes.len(), 1);
    }
}
