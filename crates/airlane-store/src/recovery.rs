//! What a start finds in a data folder, and makes of it.
//!
//! 1. The catalog is opened; its log brings it to the last commit.
//! 2. Its tables are taken over: these are exactly the versions that were acknowledged, and perhaps one commit that
//!    was not any more. A table whose rows are damaged is kept as such: it refuses all but being dropped.
//! 3. Segments that an earlier process could not read are compared with their checksums; all others by their length
//!    now, and by their checksum when they are first read.
//! 4. Files that the catalog does not name are removed: puts that were not committed, segments that were superseded.
//!    Where rows are damaged, they stay: such a row may have named them.
//!
//! Each step may be interrupted and is then done again by the next start.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use airlane_model::{Durability, Result, SegmentId, TableName, Version};
use airlane_segment::TableSchema;
use arrow_schema::Schema;

use crate::catalog::{Catalog, KeyFacts, Place, StoredTable, StoredVersion};
use crate::content::{Content, Table};
use crate::disk::Disk;
use crate::error::storage;
use crate::facts::OwnFacts;
use crate::failpoint::failpoint;
use crate::folder::{Paths, is_spill, segment_of};
use crate::index::Index;
use crate::slot::{Origin, SegmentRef};
use crate::uptime::Uptime;

/// What opening a data folder found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Tables found.
    pub tables: u64,
    /// Segments found.
    pub segments: u64,
    /// Files that no committed version names, now removed.
    pub orphans_removed: u64,
    /// Files that no committed version names, kept since a damaged table may be theirs.
    pub orphans_kept: u64,
    /// Tables with damaged segments or facts, with the reason. The names of the latter may be damaged too.
    pub damaged: Vec<(TableName, String)>,
}

/// Logs what a start found.
pub(crate) fn say(folder: Option<&Path>, recovery: &Recovery) {
    let Some(folder) = folder else { return };
    let Recovery { tables, segments, orphans_removed, orphans_kept, damaged } = recovery;
    tracing::info!(folder = %folder.display(), tables, segments, orphans_removed, orphans_kept, "opened the data folder");
    for (table, reason) in damaged {
        tracing::error!(%table, reason, "a table is damaged");
    }
    if *orphans_kept > 0 {
        tracing::warn!(
            orphans_kept,
            "files of no table are kept, since a damaged table may be theirs; the first start \
                        after it was dropped removes them"
        );
    }
}

/// Opens the catalog of a folder.
pub(crate) fn open_catalog(paths: &Paths, disk: &dyn Disk) -> Result<Box<dyn Catalog>> {
    let path = paths.catalog();
    // SQLite would make the file readable for everybody; it keeps the mode of one that is there.
    match disk.create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(storage("make the catalog", &path, error));
        }
        _ => {}
    }
    let catalog = disk.open_catalog(&path)?;
    failpoint!("start.catalog");
    Ok(catalog)
}

/// How long earlier processes had the store open, as far as the catalog knows: it was when the last commit was made.
pub(crate) fn uptime_before(catalog: &mut dyn Catalog, stored: &[StoredTable], keys: &[KeyFacts]) -> Result<Uptime> {
    // What damaged facts say does not count.
    let whole = stored.iter().filter(|table| table.damage.is_none());
    let committed = whole.filter_map(|table| table.versions.last()).map(|version| version.uptime);
    let committed = committed.chain(keys.iter().map(|key| key.uptime)).max();
    Ok(catalog.saved_uptime()?.max(committed.unwrap_or_default()))
}

/// Takes over what the catalog holds.
pub(crate) fn recover(
    origin: &Arc<Origin>,
    stored: Vec<StoredTable>,
    opened: Uptime,
    index: &Index,
) -> Result<Recovery> {
    failpoint!("start.loaded");
    let (disk, budget) = (origin.disk.as_ref(), &origin.memory.budget);
    let reported = read_damage_report(&origin.paths, disk)?;
    let mut recovery = Recovery::default();
    let mut named = HashSet::new();
    let mut has_damaged_facts = false;
    // Whole tables first: what they name is theirs, whatever a damaged one says.
    let (damaged, whole): (Vec<_>, Vec<_>) = stored.into_iter().partition(|table| table.damage.is_some());
    for table in whole.into_iter().chain(damaged) {
        let segments = table.segments.iter();
        let mut segments: Vec<SegmentRef> = segments
            .map(|facts| SegmentRef::stored(table.name.clone(), facts.clone(), Some(origin.clone()), budget))
            .collect();
        if table.damage.is_some() {
            segments.retain(|segment| !named.contains(&segment.id()));
        }
        named.extend(segments.iter().filter(|segment| segment.facts().place == Place::File).map(SegmentRef::id));
        recovery.tables += 1;
        recovery.segments += segments.len() as u64;
        let mut content = take_over(&table, segments)?;
        content.charge(budget);
        match &content.damage {
            Some(reason) => {
                has_damaged_facts = true;
                recovery.damaged.push((table.name, format!("its entry in the catalog: {reason}")));
            }
            None => {
                for segment in &content.segments {
                    if let Some(reason) = look_at(segment, &reported, &origin.paths, disk) {
                        recovery.damaged.push((table.name.clone(), format!("segment {}: {reason}", segment.id())));
                    }
                }
            }
        }
        index.insert(Table::new(Arc::new(content), table.versions, opened, budget));
    }
    failpoint!("start.checked");
    let orphans = orphans(&named, &origin.paths, disk)?;
    if has_damaged_facts {
        recovery.orphans_kept = orphans.len() as u64;
    } else {
        recovery.orphans_removed = remove(&orphans, &origin.paths, disk)?;
    }
    clear_damage_report(&origin.paths, disk)?;
    failpoint!("start.after");
    Ok(recovery)
}

/// The content of a table; with its damage when the catalog says so, or when its facts contradict one another.
fn take_over(stored: &StoredTable, segments: Vec<SegmentRef>) -> Result<Content> {
    let schema = TableSchema::from_message(&stored.schema);
    let last = stored.versions.last();
    let rows = segments.iter().map(SegmentRef::rows).fold(0, u64::saturating_add);
    let contradiction = match (&schema, last) {
        (Err(error), _) => Some(error.message().to_owned()),
        (_, None) => Some("it has no version".to_owned()),
        (_, Some(version)) if version.rows != rows => {
            Some(format!("its segments have {rows} rows, its version {}", version.rows))
        }
        _ => None,
    };
    let (version, committed) = (Version::FIRST, stored.created);
    let none = StoredVersion { version, rows: 0, bytes: 0, committed, uptime: Uptime::default(), put: version };
    let mut content = Content {
        table: stored.name.clone(),
        id: stored.id,
        created: stored.created,
        owner: stored.owner.clone(),
        durability: Durability::Durable,
        retention: stored.retention,
        schema: schema.or_else(|_| TableSchema::from_arrow(&Schema::empty()))?,
        version: last.copied().unwrap_or(none),
        segments,
        damage: stored.damage.clone().or(contradiction),
        facts: OwnFacts::default(),
    };
    if content.damage.is_none() {
        content.version.bytes = content.received_bytes();
    }
    Ok(content)
}

/// Whether a segment is damaged, as far as a start looks.
fn look_at(segment: &SegmentRef, reported: &HashSet<SegmentId>, paths: &Paths, disk: &dyn Disk) -> Option<String> {
    let facts = segment.facts();
    if facts.place != Place::File {
        return None;
    }
    if reported.contains(&facts.id) {
        return segment.open().err().map(|error| error.message().to_owned());
    }
    let reason = match disk.len(&paths.segment(facts.id)) {
        Ok(length) if length == facts.file_bytes => return None,
        Ok(length) => format!("its file has {length} bytes, {} were written", facts.file_bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "its file is missing".to_owned(),
        // The first reader will know more.
        Err(_) => return None,
    };
    segment.mark_damaged(&reason);
    Some(reason)
}

/// The segments whose files nobody names.
fn orphans(named: &HashSet<SegmentId>, paths: &Paths, disk: &dyn Disk) -> Result<Vec<SegmentId>> {
    let folder = paths.segments();
    let names = disk.list(&folder).map_err(|error| storage("list the folder of segments", &folder, error))?;
    let mut orphans = Vec::new();
    for name in names {
        if name.to_str().is_some_and(is_spill) {
            // Ephemeral tables went with their process.
            let path = folder.join(&name);
            disk.unlink(&path).map_err(|error| storage("remove what was moved out of memory", &path, error))?;
            continue;
        }
        let Some(id) = name.to_str().and_then(segment_of) else {
            tracing::warn!(folder = %folder.display(), ?name, "a file that is no segment was left alone");
            continue;
        };
        if !named.contains(&id) {
            orphans.push(id);
        }
    }
    Ok(orphans)
}

fn remove(orphans: &[SegmentId], paths: &Paths, disk: &dyn Disk) -> Result<u64> {
    for id in orphans {
        let path = paths.segment(*id);
        disk.unlink(&path).map_err(|error| storage("remove an orphan", &path, error))?;
    }
    Ok(orphans.len() as u64)
}

fn read_damage_report(paths: &Paths, disk: &dyn Disk) -> Result<HashSet<SegmentId>> {
    let path = paths.damage_report();
    let failed = |error| storage("read the report of damage", &path, error);
    let length = match disk.len(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        length => length.map_err(failed)?,
    };
    // One line for each fault that ended a process; nobody has millions.
    let mut text = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20)];
    disk.open(&path).and_then(|file| file.read_exact_at(&mut text, 0)).map_err(failed)?;
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    Ok(lines.filter_map(|line| line.parse().ok()).collect())
}

/// Only when the start is through with it, so that an interrupted one looks again.
fn clear_damage_report(paths: &Paths, disk: &dyn Disk) -> Result<()> {
    let path = paths.damage_report();
    match disk.unlink(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(storage("clear the report of damage", &path, error))
        }
        _ => Ok(()),
    }
}
