//! Rows of a table that go by themselves.

use airlane_model::{SegmentId, TableId, TableName, Version};

use super::Plan;
use crate::catalog::{Change, StoredVersion};
use crate::content::{Content, HistoryStep};
use crate::slot::SegmentRef;

/// What went of a table.
#[derive(Clone, Debug)]
pub(crate) struct RowsGone {
    pub(crate) table: TableName,
    pub(crate) id: TableId,
    /// The one without them.
    pub(crate) version: Version,
    pub(crate) rows: u64,
    /// Of record batches and dictionaries.
    pub(crate) bytes: u64,
}

impl Plan<'_> {
    /// Plans that rows go which are older than the window of their table; tells whether there are any. A new version has the
    /// others. All versions before have rows that go, and go with them.
    pub(super) fn forget_old_rows(&mut self, current: &Content) -> bool {
        let count = current.old_segments(self.context.now.uptime);
        if count == 0 {
            return false;
        }
        let mut content = current.clone();
        let gone: Vec<SegmentRef> = content.segments.drain(..count).collect();
        let rows = gone.iter().map(SegmentRef::rows).sum();
        // Nobody has put anything: what counts from a put goes on.
        content.version = StoredVersion {
            version: current.version.version.next(),
            rows: current.version.rows.saturating_sub(rows),
            committed: self.context.now.wall,
            ..current.version
        };
        content.version.bytes = content.received_bytes();
        self.context.shared.ledger.plan_always(content.durability, current, Some(&content));
        let segments: Vec<SegmentId> = gone.iter().map(SegmentRef::id).collect();
        self.changes.push(Change::ForgetRows { table: content.id, version: content.version, segments });
        self.rows_gone.push(RowsGone {
            table: content.table.clone(),
            id: content.id,
            version: content.version.version,
            rows,
            bytes: gone.iter().map(SegmentRef::payload_bytes).sum(),
        });
        self.superseded.extend(gone);
        let step = HistoryStep { restart: true, versions: vec![content.version], keep_from: None };
        self.keep(content, Some(step));
        true
    }

    /// The rows that go since they are old.
    pub(crate) fn take_rows_gone(&mut self) -> Vec<RowsGone> {
        std::mem::take(&mut self.rows_gone)
    }
}
