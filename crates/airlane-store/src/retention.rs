//! What callers ask of the retention of a table.

use std::future::Future;

use airlane_model::{Result, RetentionChange, TableInfo, TableName};
use tokio::sync::oneshot;

use crate::commit::Job;
use crate::expiry::{ExpiredRows, ExpiryReason};
use crate::index::table_not_found;
use crate::store::Store;

impl Store {
    /// Changes how long a table is kept; kept at its durability when this returns. A table that has expired by the new
    /// rules is gone at once.
    ///
    /// # Errors
    /// `table_not_found`, `data_damaged`, `storage_full`, `storage_failed`, `commit_unknown`, `shutting_down`.
    pub fn set_retention(
        &self,
        table: &TableName,
        change: RetentionChange,
    ) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        let shared = self.shared_handle();
        let table = table.clone();
        async move {
            shared.check_open()?;
            let found = shared.index.live(&table, shared.uptime.now()).ok_or_else(|| table_not_found(&table))?;
            let durability = found.content().durability;
            drop(found);
            let (reply, answer) = oneshot::channel();
            shared.submit(durability, Job::Retain(table.clone(), change, reply));
            let info = answer.await.unwrap_or_else(|_| Err(shared.closed()))?;
            let now = shared.uptime.moment();
            let live = shared.index.live(&table, now.uptime).map(|table| table.info(now));
            Ok(live.filter(|live| live.table_id == info.table_id).unwrap_or(info))
        }
    }

    /// What went since the start of tables that have a `window`.
    pub fn expired_rows(&self) -> ExpiredRows {
        self.shared().expired.rows()
    }

    /// How many tables went by themselves since the start.
    pub fn expired_tables(&self, reason: ExpiryReason) -> u64 {
        self.shared().expired.get(reason)
    }
}
