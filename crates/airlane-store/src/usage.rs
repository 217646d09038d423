//! How much there is, and how it is used: for whoever keeps the server.

use airlane_model::Durability;
use airlane_model::figures::TableFigures;

use crate::index::Totals;
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
}
