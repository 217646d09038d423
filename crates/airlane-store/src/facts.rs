//! What the facts of tables take in memory: all that is not their rows.
//!
//! Each part is counted by whoever holds it, for as long as that is there:
//!
//! | part | with | held by |
//! | --- | --- | --- |
//! | name, place in the index and in the catalog of memory, history | the table | the index |
//! | this version's own facts, the list of its segments | the content | the index, readers |
//! | facts of a segment, where it begins and ends | the segment | contents that have it |
//! | the schema | [`TableSchema`](airlane_segment::TableSchema) | contents, segments; many tables may share one |
//!
//! They are taken whether there is room or not, since by then the rows are there; but a put begins no commit while memory is short,
//! and facts cannot go to disk. So they never take much more than the budget.
//!
//! The numbers are what the process grows by, measured by `examples/facts.rs`: allocators round, and maps have room to spare.

use airlane_model::{Durability, TableName};
use airlane_segment::{Charge, MemoryBudget, MemoryUse};

use crate::catalog::StoredVersion;
use crate::slot::SegmentRef;

/// A table, beside its name and versions.
const TABLE_BYTES: u64 = 300;
/// The same in the catalog of memory.
const TABLE_CATALOG_BYTES: u64 = 450;
/// A content, beside its segments.
const CONTENT_BYTES: u64 = 330;
/// A segment with one batch.
const SEGMENT_BYTES: u64 = 1_000;
/// The same in the catalog of memory.
const SEGMENT_CATALOG_BYTES: u64 = 150;
/// A dictionary of a segment, and what it takes to find it there.
const DICTIONARY_BYTES: u64 = 450;

/// What a table takes as long as it has its name.
pub(crate) fn table(budget: &MemoryBudget) -> Charge {
    budget.begin(MemoryUse::Facts)
}

/// How much that is.
pub(crate) fn table_bytes(name: &TableName, durability: Durability, versions: usize) -> u64 {
    let history = (versions * size_of::<StoredVersion>()) as u64;
    let (lists, catalog) = match durability {
        Durability::Durable => (1, 0),
        Durability::Ephemeral => (2, TABLE_CATALOG_BYTES),
    };
    TABLE_BYTES + catalog + name.as_str().len() as u64 + lists * history
}

/// What a content takes on its own.
#[derive(Debug, Default)]
pub(crate) struct OwnFacts(#[expect(dead_code, reason = "dropping it gives it back")] Option<Charge>);

impl OwnFacts {
    pub(crate) fn charge(budget: &MemoryBudget, segments: usize) -> Self {
        let list = (segments * size_of::<SegmentRef>()) as u64;
        Self(Some(budget.overdraw(MemoryUse::Facts, CONTENT_BYTES + list)))
    }
}

/// A copy becomes another content, which is charged when it is complete.
impl Clone for OwnFacts {
    fn clone(&self) -> Self {
        Self(None)
    }
}

/// What a segment takes, beside its bytes.
pub(crate) fn segment(budget: &MemoryBudget, durability: Durability, dictionaries: usize) -> Charge {
    let catalog = if durability == Durability::Ephemeral { SEGMENT_CATALOG_BYTES } else { 0 };
    budget.overdraw(MemoryUse::Facts, SEGMENT_BYTES + catalog + dictionaries as u64 * DICTIONARY_BYTES)
}
