//! How much there is, and how it is used: for whoever keeps the server.

use airlane_model::figures::TableFigures;
use airlane_model::{Durability, Result};
use airlane_segment::MemoryBudget;

use crate::frames::Frames;
use crate::index::Totals;
use crate::memory::MemoryState;
use crate::store::Store;

impl Store {
    /// All tables as [`list`](Self::list) has them, with their reads.
    pub fn usage(&self) -> Vec<TableFigures> {
        let now = self.shared().uptime.moment();
        let tables = self.shared().index.list("").into_iter();
        tables.filter(|table| !table.is_expired(now.uptime)).map(|table| table.figures(now)).collect()
    }

    /// How much there is of each durability.
    pub fn totals(&self) -> [(Durability, Totals); 2] {
        self.shared().index.totals()
    }

    /// How much memory is used, and for what.
    pub fn memory(&self) -> MemoryState {
        self.shared().memory.state()
    }

    /// Messages that were compressed for readers.
    pub fn frames(&self) -> &Frames {
        &self.shared().memory.frames
    }

    /// What memory for data is taken from.
    pub fn memory_budget(&self) -> &MemoryBudget {
        &self.shared().memory.budget
    }

    /// Waits while memory is short for so many bytes of a put that is yet to begin.
    ///
    /// # Errors
    /// `memory_full` when nothing can go to disk any more; `shutting_down`.
    pub async fn room(&self, bytes: u64) -> Result<()> {
        let shared = self.shared_handle();
        shared.memory.room(&shared, bytes).await
    }
}
