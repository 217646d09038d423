//! What the committer is asked to keep of a read.

use std::sync::Arc;

use airlane_model::{ReadId, TableName, Timestamp};

use super::Counts;

/// A step of a read that the catalog keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The ticket is used before the first row leaves.
    Burn,
    /// All rows were delivered.
    End,
}

/// A step that waits for its commit. One that is not committed can be taken again.
#[derive(Debug)]
pub(crate) struct CountRequest {
    pub(super) counts: Arc<Counts>,
    pub(crate) read: ReadId,
    pub(crate) step: Step,
    pub(crate) table: TableName,
    /// The end of the ticket, if it is a counted one.
    pub(crate) until: Timestamp,
}

impl Drop for CountRequest {
    fn drop(&mut self) {
        // Of a read that was committed nothing is left.
        self.counts.give_up(self.read);
    }
}
