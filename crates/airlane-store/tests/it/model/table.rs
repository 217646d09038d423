//! A table of the model, and what may go of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use airlane_model::{Durability, TableId, TableInfo};

/// How old rows become, where they go.
pub(super) const WINDOW: &str = "16s";
const WINDOW_TIME: Duration = Duration::from_secs(16);

/// A table as it should be.
#[derive(Clone, Debug)]
pub(super) struct Modelled {
    pub(super) id: TableId,
    pub(super) durability: Durability,
    pub(super) keys: Vec<i64>,
    /// When each of them was put, by the steady clock.
    pub(super) puts: Vec<Duration>,
    /// Rows of each version that can be read, from the first one on.
    pub(super) versions: BTreeMap<u64, usize>,
    pub(super) has_window: bool,
    /// Nothing has happened that may make old rows go late: the window was there before the rows, and nothing failed.
    pub(super) is_prompt: bool,
}

impl Modelled {
    pub(super) fn new(id: TableId, durability: Durability) -> Self {
        let (keys, puts, versions) = Default::default();
        Self { id, durability, keys, puts, versions, has_window: false, is_prompt: true }
    }

    pub(super) fn add(&mut self, keys: Range<i64>, now: Duration) {
        self.puts.extend(keys.clone().map(|_| now));
        self.keys.extend(keys);
    }

    /// Compares which rows have gone with those that may have, and those that must have.
    pub(super) fn forget_old_rows(&mut self, info: &TableInfo, now: Duration) {
        let last = *self.versions.keys().last().expect("a version");
        let gone = self.keys.len() - usize::try_from(info.rows).expect("few rows");
        assert_eq!(info.version.get(), last + u64::from(gone > 0));
        assert!(gone == 0 || self.has_window);
        assert!(self.puts[..gone].iter().all(|put| now - *put >= WINDOW_TIME), "rows went early");
        if gone > 0 {
            self.keys.drain(..gone);
            self.puts.drain(..gone);
            self.versions = BTreeMap::from([(last + 1, self.keys.len())]);
        }
        if self.has_window && self.is_prompt {
            let oldest = self.puts.first().map(|put| now - *put).unwrap_or_default();
            assert!(oldest < WINDOW_TIME * 9 / 8, "a row is there after {oldest:?}");
        }
    }
}
