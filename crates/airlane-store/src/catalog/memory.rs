//! The catalog of ephemeral tables: gone with the process, and never waiting for a disk.

mod counts;
mod keys;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use airlane_model::{PutKey, Result, Retention, SegmentId, TableId, TableName, Timestamp, Version};
use bytes::Bytes;

use super::counts::{Counted, StoredCount, StoredCounts};
use super::{
    Catalog, Change, CommitError, KeyFacts, NewSegment, StoredKey, StoredSegment, StoredTable, StoredVersion,
    body_missing, refused, unknown,
};
use crate::uptime::Uptime;
use counts::MemoryCounts;
use keys::{Kept as KeptKey, MemoryKeys};

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    names: BTreeMap<TableName, TableId>,
    tables: HashMap<TableId, Kept>,
    bodies: HashMap<SegmentId, Bytes>,
    uptime: Uptime,
    keys: MemoryKeys,
    counts: MemoryCounts,
}

#[derive(Debug)]
struct Kept {
    name: TableName,
    created: Timestamp,
    owner: Option<Arc<str>>,
    retention: Retention,
    schema: Bytes,
    versions: VecDeque<StoredVersion>,
    segments: Vec<StoredSegment>,
}

/// How to take a change back; it holds what the change took out.
enum Undo {
    Create(TableId),
    Replace(TableId, Option<Arc<str>>, Bytes, VecDeque<StoredVersion>, Vec<StoredSegment>),
    Append(TableId, Vec<StoredVersion>, usize),
    Merge(TableId, Range<usize>, Vec<StoredSegment>),
    Forget(TableId, VecDeque<StoredVersion>, Vec<StoredSegment>),
    Retain(TableId, Retention, Vec<StoredVersion>),
    Drop(TableId, Kept, Option<StoredCount>),
    Uptime(Uptime),
    KeepKey,
    ForgetKeys(Vec<KeptKey>),
    Count(Counted, Option<StoredCount>),
}

impl Catalog for MemoryCatalog {
    fn load(&mut self) -> Result<Vec<StoredTable>> {
        let tables = self.names.values().filter_map(|id| self.tables.get(id).map(|kept| (*id, kept)));
        Ok(tables.map(|(id, kept)| kept.stored(id)).collect())
    }

    fn saved_uptime(&mut self) -> Result<Uptime> {
        Ok(self.uptime)
    }

    fn find_key(&mut self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        Ok(self.keys.find(key, table))
    }

    fn keys(&mut self) -> Result<Vec<KeyFacts>> {
        Ok(self.keys.all())
    }

    fn counts(&mut self) -> Result<StoredCounts> {
        Ok(StoredCounts { counts: self.counts.all(), damaged: Vec::new() })
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        let mut undo = Vec::with_capacity(changes.len());
        for change in changes {
            match self.apply(change) {
                Ok(step) => undo.push(step),
                Err(error) => {
                    undo.into_iter().rev().for_each(|step| self.take_back(step));
                    return Err(CommitError::RolledBack(error));
                }
            }
        }
        for segment in changes.iter().flat_map(Change::segments) {
            if let Some(body) = &segment.body {
                self.bodies.insert(segment.facts.id, body.clone());
            }
        }
        for segment in undo.iter().flat_map(Undo::segments) {
            self.bodies.remove(&segment.id);
        }
        Ok(())
    }

    fn body(&mut self, segment: SegmentId) -> Result<Bytes> {
        self.bodies.get(&segment).cloned().ok_or_else(|| body_missing(segment))
    }

    fn purge(&mut self) -> Result<()> {
        Ok(())
    }
}

impl MemoryCatalog {
    fn apply(&mut self, change: &Change) -> Result<Undo> {
        match change {
            Change::CreateTable { id, name, created } => {
                if self.names.contains_key(name) || self.tables.contains_key(id) {
                    return Err(refused(format!("table `{name}` exists")));
                }
                self.names.insert(name.clone(), *id);
                self.tables.insert(*id, Kept::new(name.clone(), *created));
                Ok(Undo::Create(*id))
            }
            Change::ReplaceContent { table, owner, schema, version, segments } => {
                let kept = self.table(*table)?;
                let owner = std::mem::replace(&mut kept.owner, owner.clone());
                let schema = std::mem::replace(&mut kept.schema, schema.clone());
                let versions = std::mem::replace(&mut kept.versions, VecDeque::from([*version]));
                let segments = std::mem::replace(&mut kept.segments, facts(segments));
                Ok(Undo::Replace(*table, owner, schema, versions, segments))
            }
            Change::AppendContent { table, version, segments, keep_from } => {
                let kept = self.table(*table)?;
                if kept.versions.back().is_none_or(|last| last.version >= version.version) {
                    return Err(refused(format!("version {} does not follow the last one", version.version)));
                }
                let forgotten = kept.forget(*keep_from);
                kept.versions.push_back(*version);
                kept.segments.extend(facts(segments));
                Ok(Undo::Append(*table, forgotten, segments.len()))
            }
            Change::ReplaceSegments { table, old, new } => {
                let kept = self.table(*table)?;
                let range = kept.run(old).filter(|_| !new.is_empty() && new.len() <= old.len());
                let range = range.ok_or_else(|| refused(format!("{} segments are no run of the table", old.len())))?;
                let before = kept.segments.splice(range.clone(), facts(new)).collect();
                Ok(Undo::Merge(*table, range.start..range.start + new.len(), before))
            }
            Change::ForgetRows { table, version, segments } => {
                let kept = self.table(*table)?;
                if kept.versions.back().is_none_or(|last| last.version >= version.version) {
                    return Err(refused(format!("version {} does not follow the last one", version.version)));
                }
                let range = kept.run(segments).filter(|range| range.start == 0);
                let range = range.ok_or_else(|| refused("what is to go are not the first segments of the table"))?;
                let versions = std::mem::replace(&mut kept.versions, VecDeque::from([*version]));
                Ok(Undo::Forget(*table, versions, kept.segments.drain(range).collect()))
            }
            Change::SetRetention { table, retention, keep_from } => {
                let kept = self.table(*table)?;
                if kept.versions.back().is_some_and(|last| last.version < *keep_from) {
                    return Err(refused(format!("version {keep_from} is none of the table")));
                }
                let before = std::mem::replace(&mut kept.retention, *retention);
                Ok(Undo::Retain(*table, before, kept.forget(*keep_from)))
            }
            Change::DropTable { table } => {
                let dropped = self.tables.remove(table).ok_or_else(|| unknown(*table))?;
                self.names.remove(&dropped.name);
                let count = self.counts.remove(Counted::Table(*table, Version::FIRST));
                Ok(Undo::Drop(*table, dropped, count))
            }
            Change::SaveUptime { uptime } => Ok(Undo::Uptime(std::mem::replace(&mut self.uptime, *uptime))),
            Change::KeepKey { key } => self.keys.keep(key).map(|()| Undo::KeepKey),
            Change::ForgetKeys { count } => {
                Ok(Undo::ForgetKeys(self.keys.forget(usize::try_from(*count).unwrap_or(usize::MAX))))
            }
            Change::SetCount { count } => Ok(Undo::Count(count.of, self.counts.set(count))),
            Change::ForgetCount { of } => Ok(Undo::Count(*of, self.counts.remove(*of))),
        }
    }

    fn take_back(&mut self, step: Undo) {
        match step {
            Undo::Create(id) => {
                if let Some(kept) = self.tables.remove(&id) {
                    self.names.remove(&kept.name);
                }
            }
            Undo::Replace(id, owner, schema, versions, segments) => {
                if let Some(kept) = self.tables.get_mut(&id) {
                    kept.owner = owner;
                    kept.schema = schema;
                    kept.versions = versions;
                    kept.segments = segments;
                }
            }
            Undo::Append(id, forgotten, segments) => {
                if let Some(kept) = self.tables.get_mut(&id) {
                    kept.versions.pop_back();
                    kept.remember(forgotten);
                    kept.segments.truncate(kept.segments.len() - segments);
                }
            }
            Undo::Merge(id, range, before) => {
                if let Some(kept) = self.tables.get_mut(&id) {
                    kept.segments.splice(range, before);
                }
            }
            Undo::Forget(id, versions, segments) => {
                if let Some(kept) = self.tables.get_mut(&id) {
                    kept.versions = versions;
                    kept.segments.splice(0..0, segments);
                }
            }
            Undo::Retain(id, retention, forgotten) => {
                if let Some(kept) = self.tables.get_mut(&id) {
                    kept.retention = retention;
                    kept.remember(forgotten);
                }
            }
            Undo::Uptime(uptime) => self.uptime = uptime,
            Undo::KeepKey => self.keys.take_back(),
            Undo::ForgetKeys(forgotten) => self.keys.remember(forgotten),
            Undo::Drop(id, kept, count) => {
                self.names.insert(kept.name.clone(), id);
                self.tables.insert(id, kept);
                count.iter().for_each(|count| _ = self.counts.set(count));
            }
            Undo::Count(_, Some(before)) => _ = self.counts.set(&before),
            Undo::Count(of, None) => _ = self.counts.remove(of),
        }
    }

    fn table(&mut self, id: TableId) -> Result<&mut Kept> {
        self.tables.get_mut(&id).ok_or_else(|| unknown(id))
    }
}

impl Kept {
    fn new(name: TableName, created: Timestamp) -> Self {
        let (owner, schema, versions, segments) = Default::default();
        Self { name, created, owner, retention: Retention::default(), schema, versions, segments }
    }

    /// Forgets the versions before one; gives them back, oldest first.
    fn forget(&mut self, before: Version) -> Vec<StoredVersion> {
        let forgotten = self.versions.partition_point(|version| version.version < before);
        self.versions.drain(..forgotten).collect()
    }

    fn remember(&mut self, forgotten: Vec<StoredVersion>) {
        forgotten.into_iter().rev().for_each(|version| self.versions.push_front(version));
    }

    fn stored(&self, id: TableId) -> StoredTable {
        StoredTable {
            id,
            name: self.name.clone(),
            created: self.created,
            owner: self.owner.clone(),
            retention: self.retention,
            schema: self.schema.clone(),
            versions: self.versions.iter().copied().collect(),
            segments: self.segments.clone(),
            damage: None,
        }
    }

    /// Where these segments stand one after another.
    fn run(&self, ids: &[SegmentId]) -> Option<Range<usize>> {
        let first = ids.first()?;
        let start = self.segments.iter().position(|segment| segment.id == *first)?;
        let run = self.segments.get(start..start + ids.len())?;
        run.iter().map(|segment| segment.id).eq(ids.iter().copied()).then_some(start..start + ids.len())
    }
}

impl Undo {
    fn segments(&self) -> &[StoredSegment] {
        match self {
            Undo::Replace(_, _, _, _, segments) | Undo::Merge(_, _, segments) | Undo::Forget(_, _, segments) => {
                segments
            }
            Undo::Drop(_, kept, _) => &kept.segments,
            Undo::Create(_)
            | Undo::Append(..)
            | Undo::Retain(..)
            | Undo::Uptime(_)
            | Undo::KeepKey
            | Undo::ForgetKeys(_)
            | Undo::Count(..) => &[],
        }
    }
}

fn facts(segments: &[NewSegment]) -> Vec<StoredSegment> {
    segments.iter().map(|segment| segment.facts.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::catalog::conformance;

    /// The same catalog opened again: what a restart is to one that lives in memory.
    #[derive(Clone, Debug, Default)]
    struct Shared(Arc<Mutex<MemoryCatalog>>);

    impl Catalog for Shared {
        fn load(&mut self) -> Result<Vec<StoredTable>> {
            self.0.lock().load()
        }
        fn saved_uptime(&mut self) -> Result<Uptime> {
            self.0.lock().saved_uptime()
        }
        fn find_key(&mut self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
            self.0.lock().find_key(key, table)
        }
        fn keys(&mut self) -> Result<Vec<KeyFacts>> {
            self.0.lock().keys()
        }
        fn counts(&mut self) -> Result<StoredCounts> {
            self.0.lock().counts()
        }
        fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
            self.0.lock().commit(changes)
        }
        fn body(&mut self, segment: SegmentId) -> Result<Bytes> {
            self.0.lock().body(segment)
        }
        fn purge(&mut self) -> Result<()> {
            self.0.lock().purge()
        }
    }

    #[test]
    fn conforms() {
        conformance::run(|| {
            let shared = Shared::default();
            Box::new(move || Box::new(shared.clone()))
        });
    }
}
