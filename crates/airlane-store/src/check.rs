//! Whether catalog, folder and memory tell the same story.

use std::collections::BTreeMap;

use airlane_model::{Durability, SegmentId, TableName};
use airlane_segment::MemoryUse;

use crate::catalog::{Place, StoredTable};
use crate::folder::segment_of;
use crate::shared::Shared;
use crate::slot::{SegmentRef, SharedCatalog};
use crate::store::Store;

impl Store {
    /// Compares what is in memory with the catalog, and the catalog with the files: one line for each contradiction,
    /// none when all is well. Commits wait meanwhile, and files of puts in progress count as unknown, so this is for
    /// a store at rest. Blocking.
    pub fn check(&self) -> Vec<String> {
        let shared = self.shared();
        let mut found = Vec::new();
        let mut files = BTreeMap::new();
        check_lane(shared, Durability::Ephemeral, &shared.ephemeral.catalog, &mut found);
        if let Some(origin) = &shared.origin {
            for table in check_lane(shared, Durability::Durable, &origin.catalog, &mut found) {
                let of_files = table.segments.into_iter().filter(|segment| segment.place == Place::File);
                files.extend(of_files.map(|segment| (segment.id, segment.file_bytes)));
            }
            check_files(shared, files, &mut found);
        }
        check_memory(shared, &mut found);
        check_counts(shared, &mut found);
        crate::quota::check(shared, &mut found);
        found
    }
}

/// Both catalogs together hold the counts that memory does.
fn check_counts(shared: &Shared, found: &mut Vec<String>) {
    let catalogs = shared.origin.iter().map(|origin| &origin.catalog).chain([&shared.ephemeral.catalog]);
    let mut kept = Vec::new();
    for catalog in catalogs {
        match catalog.lock().as_mut().map(|catalog| catalog.counts()) {
            Some(Ok(stored)) => kept.extend(stored.counts),
            Some(Err(error)) => found.push(format!("the counts of a catalog cannot be read: {error}")),
            None => {}
        }
    }
    kept.sort_by_key(|count| count.of);
    let memory = shared.counts.all();
    if memory != kept {
        found.push(format!("the counts differ: memory has {memory:?}, the catalogs {kept:?}"));
    }
}

fn check_lane(
    shared: &Shared,
    durability: Durability,
    catalog: &SharedCatalog,
    found: &mut Vec<String>,
) -> Vec<StoredTable> {
    let loaded = match catalog.lock().as_mut().map(|catalog| catalog.load()) {
        Some(Ok(loaded)) => loaded,
        Some(Err(error)) => {
            found.push(format!("the {durability} catalog cannot be read: {error}"));
            return Vec::new();
        }
        None => return Vec::new(),
    };
    // Of damaged tables there is nothing to compare; memory does not show them.
    let whole = loaded.iter().filter(|table| table.damage.is_none());
    let mut kept: BTreeMap<&TableName, &StoredTable> = whole.map(|table| (&table.name, table)).collect();
    let tables = shared.index.list("").into_iter().map(|table| table.content());
    for content in tables.filter(|content| content.durability == durability) {
        let name = &content.table;
        let Some(table) = kept.remove(name) else {
            found.push(format!("table `{name}` is in memory and not in the {durability} catalog"));
            continue;
        };
        let versions = shared.index.get(name).map(|table| table.history()).unwrap_or_default();
        let segments = content.segments.iter().map(|segment| segment.facts().clone()).collect();
        let schema = content.schema.message().clone();
        let (id, created, retention) = (content.id, content.created, content.retention);
        let owner = content.owner.clone();
        let memory =
            StoredTable { id, name: name.clone(), created, owner, retention, schema, versions, segments, damage: None };
        if memory != *table {
            found.push(format!("table `{name}` differs: memory has {memory:?}, the catalog {table:?}"));
        }
        let rows: u64 = table.segments.iter().map(|segment| segment.rows).sum();
        if rows != content.version.rows {
            found.push(format!("table `{name}` has {} rows, its segments {rows}", content.version.rows));
        }
    }
    found.extend(kept.keys().map(|name| format!("table `{name}` is in the {durability} catalog and not in memory")));
    loaded
}

/// What tables have in memory was taken from the budget. Readers may hold more of them.
fn check_memory(shared: &Shared, found: &mut Vec<String>) {
    let tables = shared.index.list("").into_iter().map(|table| table.content());
    let resident: u64 =
        tables.map(|content| content.segments.iter().map(SegmentRef::resident_bytes).sum::<u64>()).sum();
    let used = shared.memory.budget.used_for(MemoryUse::Tables).as_u64();
    if used < resident {
        found.push(format!("tables have {resident} bytes in memory, of which {used} are counted"));
    }
}

fn check_files(shared: &Shared, mut named: BTreeMap<SegmentId, u64>, found: &mut Vec<String>) {
    let Some(paths) = &shared.paths else { return };
    let names = match shared.disk.list(&paths.segments()) {
        Ok(names) => names,
        Err(error) => return found.push(format!("the folder of segments cannot be listed: {error}")),
    };
    for id in names.iter().filter_map(|name| name.to_str().and_then(segment_of)) {
        match (named.remove(&id), shared.disk.len(&paths.segment(id))) {
            (None, _) => found.push(format!("the file of segment {id} belongs to no table")),
            (Some(expected), Ok(length)) if length == expected => {}
            (Some(expected), length) => {
                found.push(format!("the file of segment {id} should have {expected} bytes: {length:?}"));
            }
        }
    }
    found.extend(named.keys().map(|id| format!("the file of segment {id} is missing")));
}
