//! Reads all rows, and judges them: what does not match its checksum, or is not there, damages its table.
//!
//! Tables are read from end to end and not over indexes, which have no checksums: a damaged one could leave a row out
//! or show another twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use airlane_model::{Result, Retention, SegmentId, TableId, TableName, Timestamp, Version};
use rusqlite::{Connection, Row};

use super::checksums::{SegmentRow, TableRow, VersionRow, upgraded_checksum, uptime_checksum};
use super::error_of;
use super::retention::read_retention;
use crate::catalog::{Place, StoredDictionary, StoredSegment, StoredTable, StoredVersion};
use crate::uptime::Uptime;

/// The tables whose rows are damaged, by the id that the store knows them by: their keys.
pub(super) type DamagedKeys = HashMap<TableId, i64>;

/// A row, and whether it matches its checksum.
struct Judged<T> {
    row: T,
    checksum: i64,
}

/// The rows of one table.
#[derive(Default)]
struct Parts {
    table: Option<Judged<TableRow>>,
    versions: Vec<Judged<VersionRow>>,
    segments: Vec<Judged<SegmentRow>>,
}

/// The owners of tables, each once: they are few.
#[derive(Default)]
struct Owners(HashSet<Arc<str>>);

impl Owners {
    /// `None` when it is no text.
    fn get(&mut self, column: &[u8]) -> Option<Option<Arc<str>>> {
        let owner = std::str::from_utf8(column).ok()?;
        if owner.is_empty() {
            return Some(None);
        }
        if let Some(known) = self.0.get(owner) {
            return Some(Some(known.clone()));
        }
        let owner: Arc<str> = owner.into();
        self.0.insert(owner.clone());
        Some(Some(owner))
    }
}

/// Everything in the catalog, in the order of the tables' names. Damaged tables come under the name that is in their
/// row, if it is one and no other table has it, and else under `damaged/` and their id.
pub(super) fn load(connection: &Connection) -> Result<(Vec<StoredTable>, DamagedKeys)> {
    let mut parts: BTreeMap<i64, Parts> = BTreeMap::new();
    for row in rows(connection, TABLES, |row| Ok(Judged { row: read_table(row)?, checksum: integer(row, 7)? }))? {
        let key = row.row.key;
        parts.entry(key).or_default().table = Some(row);
    }
    for (key, row) in rows(connection, VERSIONS, |row| {
        Ok((integer(row, 0)?, Judged { row: read_version(row)?, checksum: integer(row, 5)? }))
    })? {
        parts.entry(key).or_default().versions.push(row);
    }
    for (key, row) in rows(connection, SEGMENTS, |row| {
        Ok((integer(row, 0)?, Judged { row: read_segment(row)?, checksum: integer(row, 8)? }))
    })? {
        parts.entry(key).or_default().segments.push(row);
    }
    let upgraded = upgraded(connection)?;
    let (mut stored, mut broken, mut owners) = (Vec::with_capacity(parts.len()), Vec::new(), Owners::default());
    for (key, mut parts) in parts {
        parts.versions.sort_by_key(|version| version.row.version);
        parts.segments.sort_by_key(|segment| segment.row.position);
        match parts.judge(upgraded, &mut owners) {
            Ok(table) => stored.push(table),
            Err(reason) => broken.push((key, parts, reason)),
        }
    }
    let mut names: HashSet<TableName> = stored.iter().map(|table| table.name.clone()).collect();
    let mut ids: HashSet<TableId> = stored.iter().map(|table| table.id).collect();
    let mut keys = DamagedKeys::new();
    for (key, parts, reason) in broken {
        let table = parts.claimed(key, reason, &mut names, &mut ids)?;
        keys.insert(table.id, key);
        stored.push(table);
    }
    stored.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((stored, keys))
}

impl Parts {
    /// The table, or why it cannot be trusted.
    fn judge(&self, upgraded: Option<Uptime>, owners: &mut Owners) -> Result<StoredTable, String> {
        let Some(Judged { row: table, checksum }) = &self.table else {
            return Err("there are rows of its versions or segments, but not its own".into());
        };
        if table.checksum() != *checksum {
            return Err("its row does not match its checksum; its name may be another one too".into());
        }
        if let Some(Judged { row, .. }) = self.versions.iter().find(|row| row.row.checksum(&table.id) != row.checksum) {
            return Err(format!("the row of version {} does not match its checksum", row.version));
        }
        let segment = self.segments.iter().find(|row| row.row.row_checksum(&table.id) != row.checksum);
        if let Some(Judged { row, .. }) = segment {
            return Err(format!("the row of the segment at position {} does not match its checksum", row.position));
        }
        let last = self.versions.last().map_or(0, |version| version.row.version);
        let there = (last, self.versions.len() as u64, self.segments.len() as u64);
        if there != (table.version, table.versions.cast_unsigned(), table.segments.cast_unsigned()) {
            return Err(format!(
                "{} versions up to {} and {} segments were written, {} up to {} and {} are there",
                table.versions, table.version, table.segments, there.1, there.0, there.2
            ));
        }
        let name = std::str::from_utf8(&table.name).ok().and_then(|name| TableName::parse(name).ok());
        let name =
            name.ok_or_else(|| format!("`{}` is no name", String::from_utf8_lossy(&table.name).escape_debug()))?;
        let id = id_of(&table.id).ok_or("its id has not 16 bytes")?;
        let versions: Option<Vec<_>> = self.versions.iter().map(|version| stored_version(&version.row)).collect();
        let put = versions.as_ref().and_then(|versions| versions.last()).map(|version| version.uptime);
        // Its rows are no newer than its last put, whenever that layout was left.
        let upgraded = upgraded.or(put).unwrap_or_default();
        let segments = self.segments.iter().map(|segment| stored_segment(&segment.row, upgraded));
        let segments: Option<Vec<_>> = segments.collect();
        Ok(StoredTable {
            id: TableId::from_bytes(id),
            name,
            created: Timestamp::from_micros(table.created),
            owner: owners.get(&table.owner).ok_or("its owner is no text")?,
            retention: read_retention(&table.retention)
                .ok_or("it has a rule of retention that this version does not know")?,
            schema: table.schema.clone().into(),
            versions: versions.ok_or("a version has a number below 0")?,
            segments: segments.ok_or("a segment has a number below 0")?,
            damage: None,
        })
    }

    /// What the rows of a damaged table say, as far as it can be told.
    fn claimed(
        &self,
        key: i64,
        reason: String,
        names: &mut HashSet<TableName>,
        ids: &mut HashSet<TableId>,
    ) -> Result<StoredTable> {
        let table = self.table.as_ref().map(|table| &table.row);
        let id = table.and_then(|table| id_of(&table.id)).map(TableId::from_bytes).filter(|id| !ids.contains(id));
        let id = id.unwrap_or_else(|| TableId::from_bytes(u128::from(key.cast_unsigned()).to_be_bytes()));
        let name = table.and_then(|table| std::str::from_utf8(&table.name).ok());
        let name = name.and_then(|name| TableName::parse(name).ok()).filter(|name| !names.contains(name));
        let name = name.map_or_else(|| TableName::parse(&format!("damaged/{id}")), Ok)?;
        names.insert(name.clone());
        ids.insert(id);
        Ok(StoredTable {
            id,
            name,
            created: Timestamp::from_micros(table.map_or(0, |table| table.created)),
            owner: None,
            retention: Retention::default(),
            schema: table.map(|table| table.schema.clone()).unwrap_or_default().into(),
            versions: self.versions.iter().filter_map(|version| stored_version(&version.row)).collect(),
            segments: self
                .segments
                .iter()
                .filter_map(|segment| stored_segment(&segment.row, Uptime::default()))
                .collect(),
            damage: Some(reason),
        })
    }
}

/// The uptime that was saved; none where its row is damaged.
pub(super) fn saved_uptime(connection: &Connection) -> Result<Uptime> {
    let saved =
        rows(connection, "SELECT micros, row_checksum FROM uptime", |row| Ok((integer(row, 0)?, integer(row, 1)?)))?;
    let whole = saved.into_iter().filter(|(micros, checksum)| uptime_checksum(*micros) == *checksum);
    Ok(whole.filter_map(|(micros, _)| u64::try_from(micros).ok()).max().map(Uptime::from_micros).unwrap_or_default())
}

/// When the segments of earlier layouts count as put; `None` where that is damaged.
fn upgraded(connection: &Connection) -> Result<Option<Uptime>> {
    let found =
        rows(connection, "SELECT micros, row_checksum FROM upgraded", |row| Ok((integer(row, 0)?, integer(row, 1)?)))?;
    let judged = found.into_iter().map(|(micros, checksum)| {
        let micros = u64::try_from(micros).ok().filter(|_| upgraded_checksum(micros) == checksum);
        micros.map(Uptime::from_micros)
    });
    Ok(judged.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).unwrap_or(Some(Uptime::default())))
}

const TABLES: &str =
    "SELECT key, id, name, created, version, versions, segments, row_checksum, schema, retention, owner
                      FROM tables NOT INDEXED";
const VERSIONS: &str = "SELECT table_key, version, rows, bytes, committed, row_checksum, uptime, put FROM versions";
const SEGMENTS: &str = "SELECT table_key, position, id, rows, payload_bytes, file_bytes, checksum, dictionaries,
                               row_checksum, body IS NOT NULL, uptime
                        FROM segments NOT INDEXED";

/// The row of one table, by its id, with its checksum.
pub(super) const TABLE_OF_ID: &str = "SELECT key, id, name, created, version, versions, segments, row_checksum, schema,
                                             retention, owner
                                      FROM tables WHERE id = ?1";

/// The columns of [`TABLE_OF_ID`]. Gives the checksum too.
pub(super) fn read_table_of_id(row: &Row<'_>) -> rusqlite::Result<(TableRow, i64)> {
    Ok((read_table(row)?, integer(row, 7)?))
}

fn read_table(row: &Row<'_>) -> rusqlite::Result<TableRow> {
    Ok(TableRow {
        key: integer(row, 0)?,
        id: blob(row, 1)?,
        name: blob(row, 2)?,
        created: integer(row, 3)?,
        version: integer(row, 4)?,
        versions: integer(row, 5)?,
        segments: integer(row, 6)?,
        schema: blob(row, 8)?,
        retention: blob(row, 9)?,
        owner: blob(row, 10)?,
    })
}

fn read_version(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        version: integer(row, 1)?,
        rows: integer(row, 2)?,
        bytes: integer(row, 3)?,
        committed: integer(row, 4)?,
        uptime: integer(row, 6)?,
        put: integer(row, 7)?,
    })
}

fn read_segment(row: &Row<'_>) -> rusqlite::Result<SegmentRow> {
    Ok(SegmentRow {
        position: integer(row, 1)?,
        id: blob(row, 2)?,
        rows: integer(row, 3)?,
        payload_bytes: integer(row, 4)?,
        file_bytes: integer(row, 5)?,
        checksum: integer(row, 6)?,
        dictionaries: blob(row, 7)?,
        has_body: integer(row, 9)? != 0,
        uptime: integer(row, 10)?,
    })
}

/// A number. Another type is damage, which the checksum tells of; it must not end the reading.
pub(super) fn integer(row: &Row<'_>, index: usize) -> rusqlite::Result<i64> {
    Ok(row.get_ref(index)?.as_i64().unwrap_or_default())
}

/// A blob, or the bytes of a text.
pub(super) fn blob(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(index)?.as_bytes().unwrap_or_default().to_vec())
}

pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(sql).map_err(error_of)?;
    let rows = statement.query_map([], |row| read(row)).map_err(error_of)?;
    rows.collect::<rusqlite::Result<_>>().map_err(error_of)
}

pub(super) fn id_of(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

fn stored_version(row: &VersionRow) -> Option<StoredVersion> {
    let version = Version::new(row.version.try_into().ok()?)?;
    let put = if row.put == 0 { version } else { Version::new(row.put.try_into().ok()?)? };
    Some(StoredVersion {
        version,
        rows: row.rows.try_into().ok()?,
        bytes: row.bytes.try_into().ok()?,
        committed: Timestamp::from_micros(row.committed),
        uptime: Uptime::from_micros(row.uptime.try_into().ok()?),
        put,
    })
}

/// A segment. One of a layout before 8 counts as put when that was left.
fn stored_segment(row: &SegmentRow, upgraded: Uptime) -> Option<StoredSegment> {
    Some(StoredSegment {
        id: SegmentId::from_bytes(id_of(&row.id)?),
        rows: row.rows.try_into().ok()?,
        payload_bytes: row.payload_bytes.try_into().ok()?,
        file_bytes: row.file_bytes.try_into().ok()?,
        checksum: row.checksum.cast_unsigned(),
        dictionaries: read_dictionaries(&row.dictionaries),
        place: if row.has_body { Place::Catalog } else { Place::File },
        uptime: if row.uptime == 0 { upgraded } else { Uptime::from_micros(row.uptime.try_into().ok()?) },
    })
}

pub(super) fn write_dictionaries(dictionaries: &[StoredDictionary]) -> Vec<u8> {
    let fields = dictionaries.iter().flat_map(|dictionary| [dictionary.hash, dictionary.bytes]);
    fields.flat_map(u64::to_le_bytes).collect()
}

fn read_dictionaries(bytes: &[u8]) -> Vec<StoredDictionary> {
    let (fields, _) = bytes.as_chunks::<8>();
    let (pairs, _) = fields.as_chunks::<2>();
    let field = |bytes: [u8; 8]| u64::from_le_bytes(bytes);
    pairs.iter().map(|[hash, bytes]| StoredDictionary { hash: field(*hash), bytes: field(*bytes) }).collect()
}
