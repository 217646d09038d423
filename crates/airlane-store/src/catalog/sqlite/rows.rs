//! The rows of the catalog: what a change does to them, and how they are read.

use airlane_model::{Error, Result, SegmentId, TableId, TableName, Timestamp, Version, codes};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{damaged, error_of};
use crate::catalog::{
    Change, NewSegment, Place, StoredDictionary, StoredSegment, StoredTable, StoredVersion, body_missing, refused,
    unknown,
};

pub(super) const SCHEMA: &str = "
    CREATE TABLE tables (
        key     INTEGER PRIMARY KEY,
        id      BLOB    NOT NULL UNIQUE,    -- 16 bytes
        name    TEXT    NOT NULL UNIQUE,
        created INTEGER NOT NULL,           -- microseconds since 1970-01-01 UTC
        schema  BLOB    NOT NULL            -- the flatbuffer of an IPC schema message
    ) STRICT;
    CREATE TABLE versions (
        table_key INTEGER NOT NULL,
        version   INTEGER NOT NULL,
        rows      INTEGER NOT NULL,         -- from the beginning of the table
        bytes     INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        PRIMARY KEY (table_key, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE segments (
        table_key     INTEGER NOT NULL,
        position      INTEGER NOT NULL,     -- ascending, with gaps after merges
        id            BLOB    NOT NULL UNIQUE,
        rows          INTEGER NOT NULL,
        payload_bytes INTEGER NOT NULL,
        file_bytes    INTEGER NOT NULL,
        checksum      INTEGER NOT NULL,     -- xxh3-64, its 64 bits as they are
        dictionaries  BLOB    NOT NULL,     -- for each id from 0 on: hash and bytes, 8 bytes each, little-endian
        body          BLOB,                 -- the IPC file of a small segment; else segments/<id>.arrow has it
        PRIMARY KEY (table_key, position)
    ) STRICT;
";

/// Reads and changes rows over a connection; its owner begins and ends the transactions.
pub(super) struct Rows<'a>(pub(super) &'a Connection);

impl Rows<'_> {
    pub(super) fn apply(&self, change: &Change) -> Result<()> {
        match change {
            Change::CreateTable { id, name, created } => self.create_table(*id, name, *created),
            Change::ReplaceContent { table, schema, version, segments } => {
                let key = self.key(*table)?;
                self.execute("DELETE FROM versions WHERE table_key = ?1", params![key])?;
                self.execute("DELETE FROM segments WHERE table_key = ?1", params![key])?;
                self.execute("UPDATE tables SET schema = ?2 WHERE key = ?1", params![key, schema.as_ref()])?;
                self.insert_version(key, version)?;
                (0..).zip(segments).try_for_each(|(position, segment)| self.insert_segment(key, position, segment))
            }
            Change::AppendContent { table, version, segments, keep_from } => {
                let key = self.key(*table)?;
                self.append_version(key, version, *keep_from)?;
                let last = "SELECT max(position) FROM segments WHERE table_key = ?1";
                let last: Option<i64> = self.query(last, key)?;
                let positions = last.map_or(0, |last| last + 1)..;
                positions.zip(segments).try_for_each(|(position, segment)| self.insert_segment(key, position, segment))
            }
            Change::ReplaceSegments { table, old, new } => {
                let key = self.key(*table)?;
                self.replace_segments(key, old, new)
            }
            Change::DropTable { table } => {
                let key = self.key(*table)?;
                self.execute("DELETE FROM versions WHERE table_key = ?1", params![key])?;
                self.execute("DELETE FROM segments WHERE table_key = ?1", params![key])?;
                self.execute("DELETE FROM tables WHERE key = ?1", params![key])?;
                Ok(())
            }
        }
    }

    fn create_table(&self, id: TableId, name: &TableName, created: Timestamp) -> Result<()> {
        let taken = "SELECT count(*) FROM tables WHERE name = ?1";
        if self.query::<i64>(taken, name.as_str())? > 0 {
            return Err(refused(format!("table `{name}` exists")));
        }
        self.execute(
            "INSERT INTO tables (id, name, created, schema) VALUES (?1, ?2, ?3, x'')",
            params![id.to_bytes(), name.as_str(), created.as_micros()],
        )?;
        Ok(())
    }

    fn append_version(&self, key: i64, version: &StoredVersion, keep_from: Version) -> Result<()> {
        let last: Option<i64> = self.query("SELECT max(version) FROM versions WHERE table_key = ?1", key)?;
        let number = integer(version.version.get())?;
        if last.is_none_or(|last| last >= number) {
            return Err(refused(format!("version {number} does not follow the last one")));
        }
        self.execute(
            "DELETE FROM versions WHERE table_key = ?1 AND version < ?2",
            params![key, integer(keep_from.get())?],
        )?;
        self.insert_version(key, version)
    }

    fn replace_segments(&self, key: i64, old: &[SegmentId], new: &[NewSegment]) -> Result<()> {
        let mut positions = Vec::with_capacity(old.len());
        for id in old {
            let position = "SELECT position FROM segments WHERE table_key = ?1 AND id = ?2";
            let mut statement = self.0.prepare_cached(position).map_err(error_of)?;
            let position = statement.query_row(params![key, id.to_bytes()], |row| row.get::<_, i64>(0)).optional();
            positions.extend(position.map_err(error_of)?);
        }
        let (first, last) = (positions.first().copied().unwrap_or(0), positions.last().copied().unwrap_or(-1));
        let removed = self.execute(
            "DELETE FROM segments WHERE table_key = ?1 AND position BETWEEN ?2 AND ?3",
            params![key, first, last],
        )?;
        let stands = positions.len() == old.len() && positions.is_sorted_by(|a, b| a < b) && removed == old.len();
        if !stands || new.is_empty() || new.len() > old.len() {
            return Err(refused(format!("{} segments are no run of the table", old.len())));
        }
        positions.into_iter().zip(new).try_for_each(|(position, segment)| self.insert_segment(key, position, segment))
    }

    fn insert_version(&self, key: i64, version: &StoredVersion) -> Result<()> {
        let StoredVersion { version, rows, bytes, committed } = version;
        self.execute(
            "INSERT INTO versions (table_key, version, rows, bytes, committed) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key, integer(version.get())?, integer(*rows)?, integer(*bytes)?, committed.as_micros()],
        )?;
        Ok(())
    }

    fn insert_segment(&self, key: i64, position: i64, segment: &NewSegment) -> Result<()> {
        let facts = &segment.facts;
        let body = segment.body.as_deref();
        if body.is_some() != (facts.place == Place::Catalog) {
            return Err(refused(format!("segment {} and its place do not agree", facts.id)));
        }
        self.execute(
            "INSERT INTO segments
                 (table_key, position, id, rows, payload_bytes, file_bytes, checksum, dictionaries, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                key,
                position,
                facts.id.to_bytes(),
                integer(facts.rows)?,
                integer(facts.payload_bytes)?,
                integer(facts.file_bytes)?,
                facts.checksum.cast_signed(),
                write_dictionaries(&facts.dictionaries),
                body,
            ],
        )?;
        Ok(())
    }

    fn key(&self, id: TableId) -> Result<i64> {
        let mut statement = self.0.prepare_cached("SELECT key FROM tables WHERE id = ?1").map_err(error_of)?;
        let key = statement.query_row([id.to_bytes()], |row| row.get(0)).optional().map_err(error_of)?;
        key.ok_or_else(|| unknown(id))
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str, key: impl rusqlite::ToSql) -> Result<T> {
        let mut statement = self.0.prepare_cached(sql).map_err(error_of)?;
        statement.query_row([key], |row| row.get(0)).map_err(error_of)
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        let mut statement = self.0.prepare_cached(sql).map_err(error_of)?;
        statement.execute(values).map_err(error_of)
    }

    pub(super) fn load(&self) -> Result<Vec<StoredTable>> {
        let tables = self.rows("SELECT key, id, name, created, schema FROM tables ORDER BY name", |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get::<_, Vec<u8>>(4)?))
        })?;
        let versions = "SELECT table_key, version, rows, bytes, committed FROM versions ORDER BY table_key, version";
        let versions = self.rows(versions, |row| Ok((row.get::<_, i64>(0)?, read_version(row)?)))?;
        let segments = "SELECT table_key, id, rows, payload_bytes, file_bytes, checksum, dictionaries, body IS NULL
                        FROM segments ORDER BY table_key, position";
        let segments = self.rows(segments, |row| Ok((row.get::<_, i64>(0)?, read_segment(row)?)))?;
        let mut stored = Vec::with_capacity(tables.len());
        for (key, id, name, created, schema) in tables {
            stored.push(StoredTable {
                id: TableId::from_bytes(id),
                name: TableName::parse(&name)
                    .map_err(|error| damaged(format!("it names a table `{name}`")).source(error))?,
                created: Timestamp::from_micros(created),
                schema: schema.into(),
                versions: of_table(&versions, key),
                segments: of_table(&segments, key),
            });
        }
        Ok(stored)
    }

    pub(super) fn body(&self, segment: SegmentId) -> Result<Bytes> {
        let sql = "SELECT body FROM segments WHERE id = ?1";
        let mut statement = self.0.prepare_cached(sql).map_err(error_of)?;
        let body = statement.query_row([segment.to_bytes()], |row| row.get::<_, Option<Vec<u8>>>(0)).optional();
        body.map_err(error_of)?.flatten().map(Bytes::from).ok_or_else(|| body_missing(segment))
    }

    fn rows<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let mut statement = self.0.prepare(sql).map_err(error_of)?;
        let rows = statement.query_map([], |row| read(row)).map_err(error_of)?;
        rows.collect::<rusqlite::Result<_>>().map_err(error_of)
    }
}

fn read_version(row: &Row<'_>) -> rusqlite::Result<StoredVersion> {
    let number = unsigned(row, 1)?;
    Ok(StoredVersion {
        version: Version::new(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, 0))?,
        rows: unsigned(row, 2)?,
        bytes: unsigned(row, 3)?,
        committed: Timestamp::from_micros(row.get(4)?),
    })
}

fn read_segment(row: &Row<'_>) -> rusqlite::Result<StoredSegment> {
    Ok(StoredSegment {
        id: SegmentId::from_bytes(row.get(1)?),
        rows: unsigned(row, 2)?,
        payload_bytes: unsigned(row, 3)?,
        file_bytes: unsigned(row, 4)?,
        checksum: row.get::<_, i64>(5)?.cast_unsigned(),
        dictionaries: read_dictionaries(row.get_ref(6)?.as_blob()?),
        place: if row.get(7)? { Place::File } else { Place::Catalog },
    })
}

fn write_dictionaries(dictionaries: &[StoredDictionary]) -> Vec<u8> {
    let fields = dictionaries.iter().flat_map(|dictionary| [dictionary.hash, dictionary.bytes]);
    fields.flat_map(u64::to_le_bytes).collect()
}

fn read_dictionaries(bytes: &[u8]) -> Vec<StoredDictionary> {
    let (fields, _) = bytes.as_chunks::<8>();
    let (pairs, _) = fields.as_chunks::<2>();
    let field = |bytes: [u8; 8]| u64::from_le_bytes(bytes);
    pairs.iter().map(|[hash, bytes]| StoredDictionary { hash: field(*hash), bytes: field(*bytes) }).collect()
}

fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// The part of rows, sorted by key, that belongs to one table.
fn of_table<T: Clone>(rows: &[(i64, T)], key: i64) -> Vec<T> {
    let start = rows.partition_point(|(other, _)| *other < key);
    rows[start..].iter().take_while(|(other, _)| *other == key).map(|(_, value)| value.clone()).collect()
}

fn integer(value: u64) -> Result<i64> {
    i64::try_from(value)
        .map_err(|_| Error::new(codes::LIMIT_EXCEEDED, format!("{value} is more than the catalog can count")))
}
