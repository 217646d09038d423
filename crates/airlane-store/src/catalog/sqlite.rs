//! The catalog of durable tables: one SQLite file, in write-ahead mode, synced at every commit.
//!
//! * `synchronous=FULL`: in write-ahead mode `NORMAL` may lose the last commits in a power cut.
//! * `locking_mode=EXCLUSIVE`: the folder has one owner anyway, and SQLite then needs no shared memory file.
//! * `secure_delete=ON`: what is dropped is overwritten; [`purge`](Catalog::purge) also empties the log.
//! * A reserve of a few MiB lies beside the file. A commit that drops a table may use it when the disk is full.
//! * The log is emptied when the catalog is opened. A log whose sync failed may be readable from the page cache though
//!   it is not on the disk; without this, commits after the restart would stand behind frames that a power cut loses.

mod reserve;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{Error, Result, SegmentId, TableId, TableName, Timestamp, Version, codes};
use bytes::Bytes;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};

use super::{
    Catalog, Change, CommitError, NewSegment, Place, StoredDictionary, StoredSegment, StoredTable, StoredVersion,
    body_missing, refused, unknown,
};

use crate::failpoint::failpoint;
use reserve::Reserve;

/// "ARLN": says in the file's header what it is.
const APPLICATION_ID: i32 = 0x4152_4c4e;
/// The layout of the tables below.
const SCHEMA_VERSION: i32 = 1;
/// Pages of the log (4 KiB each) from which on it is copied into the file before more is added. With the largest batch
/// of the committer on top it fits into the reserve, so that a drop can empty it on a full disk.
const LOG_PAGES_MAX: u64 = 1_024;

const SCHEMA: &str = "
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

/// A catalog in a file.
#[derive(Debug)]
pub struct SqliteCatalog {
    connection: Connection,
    reserve: Reserve,
    /// Pages in the log that are not in the file yet.
    log_pages: Arc<AtomicU64>,
}

impl SqliteCatalog {
    /// Opens the file, or lays out an empty or missing one.
    ///
    /// # Errors
    /// `format_unsupported` for a layout of later versions, `data_damaged`, `storage_failed`, `storage_full`.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let at = |error| error_of(error).at(path.display().to_string());
        let mut connection = Connection::open_with_flags(path, flags).map_err(at)?;
        connection.busy_timeout(Duration::ZERO).map_err(at)?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(at)?;
        check_layout(&connection).map_err(|error| error.at(path.display().to_string()))?;
        prepare(&connection).map_err(at)?;
        let log_pages = Arc::new(AtomicU64::new(0));
        watch_log(&mut connection, log_pages.clone()).map_err(at)?;
        let mut catalog = Self { connection, reserve: Reserve::new(path), log_pages };
        catalog.purge()?;
        Ok(catalog)
    }

    /// Commits to the log, once there is room in it.
    fn add_to_log(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        if self.log_pages.load(Ordering::Relaxed) > LOG_PAGES_MAX {
            self.checkpoint(CheckpointMode::PASSIVE).map_err(|error| match error.code() {
                codes::STORAGE_FULL => CommitError::RolledBack(error),
                // The file may not hold what it was told to sync. The log still does, and a start copies it anew.
                _ => CommitError::Unknown(error),
            })?;
        }
        self.try_commit(changes)
    }

    /// Copies the log into the file and syncs it.
    fn checkpoint(&self, mode: CheckpointMode) -> Result<()> {
        self.connection.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, mode).map_err(error_of)?;
        self.log_pages.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn apply_all(&mut self, changes: &[Change]) -> Result<()> {
        changes.iter().try_for_each(|change| self.apply(change))
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
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
            let mut statement = self.connection.prepare_cached(position).map_err(error_of)?;
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
        let mut statement = self.connection.prepare_cached("SELECT key FROM tables WHERE id = ?1").map_err(error_of)?;
        let key = statement.query_row([id.to_bytes()], |row| row.get(0)).optional().map_err(error_of)?;
        key.ok_or_else(|| unknown(id))
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str, key: impl rusqlite::ToSql) -> Result<T> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        statement.query_row([key], |row| row.get(0)).map_err(error_of)
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        statement.execute(values).map_err(error_of)
    }

    fn try_commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| self.roll_back(error_of(error)))?;
        failpoint!("p7.after");
        if let Err(error) = self.apply_all(changes) {
            return Err(self.roll_back(error));
        }
        failpoint!("p8.before");
        let Err(error) = self.connection.execute_batch("COMMIT") else {
            failpoint!("p8.after");
            return Ok(());
        };
        // A full disk shows as a failed write, which comes before the frame that makes a commit valid is complete. Any
        // other failure may be that of the sync after it.
        let certain = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        match self.roll_back(error_of(error)) {
            CommitError::RolledBack(error) if !certain => Err(CommitError::Unknown(error)),
            other => Err(other),
        }
    }

    /// Ends a transaction that failed. Whether nothing of it is left is certain only when SQLite says so.
    fn roll_back(&self, error: Error) -> CommitError {
        if !self.connection.is_autocommit() {
            // A failure shows in the state that is asked for next.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        if self.connection.is_autocommit() { CommitError::RolledBack(error) } else { CommitError::Unknown(error) }
    }

    fn rows<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare(sql).map_err(error_of)?;
        let rows = statement.query_map([], |row| read(row)).map_err(error_of)?;
        rows.collect::<rusqlite::Result<_>>().map_err(error_of)
    }
}

impl Catalog for SqliteCatalog {
    fn load(&mut self) -> Result<Vec<StoredTable>> {
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

    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        self.reserve.hold();
        let makes_room = changes.iter().any(|change| matches!(change, Change::DropTable { .. }));
        match self.add_to_log(changes) {
            Err(CommitError::RolledBack(error)) if error.code() == codes::STORAGE_FULL => {
                if makes_room && self.reserve.release() {
                    self.add_to_log(changes)
                } else {
                    Err(CommitError::RolledBack(error))
                }
            }
            outcome => outcome,
        }
    }

    fn body(&mut self, segment: SegmentId) -> Result<Bytes> {
        let sql = "SELECT body FROM segments WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        let body = statement.query_row([segment.to_bytes()], |row| row.get::<_, Option<Vec<u8>>>(0)).optional();
        body.map_err(error_of)?.flatten().map(Bytes::from).ok_or_else(|| body_missing(segment))
    }

    fn purge(&mut self) -> Result<()> {
        match self.checkpoint(CheckpointMode::TRUNCATE) {
            Err(error) if error.code() == codes::STORAGE_FULL && self.reserve.release() => {
                self.checkpoint(CheckpointMode::TRUNCATE)
            }
            outcome => outcome,
        }
    }
}

/// Judges what is there before anything is written.
fn check_layout(connection: &Connection) -> Result<()> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(error_of);
    let (application, version) = (number("application_id")?, number("user_version")?);
    match (application, version) {
        (APPLICATION_ID, SCHEMA_VERSION) => {
            let answer: String =
                connection.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(error_of)?;
            if answer == "ok" { Ok(()) } else { Err(damaged(answer)) }
        }
        (0, 0) => Ok(()),
        (APPLICATION_ID, later) => Err(unsupported(format!("the catalog has the layout {later}"))
            .hint(format!("this version reads layout {SCHEMA_VERSION}; start the version that wrote the folder"))),
        _ => Err(unsupported("the file is a database of another program")),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let layout = format!(
            "BEGIN IMMEDIATE; {SCHEMA}
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        );
        connection.execute_batch(&layout)?;
    }
    Ok(())
}

/// Counts the pages of the log. SQLite's own checkpoint, which this replaces, hides its failures: it would let the log
/// grow on a full disk, and sync a file again whose sync has failed.
fn watch_log(connection: &mut Connection, pages: Arc<AtomicU64>) -> rusqlite::Result<()> {
    connection.wal_hook(Some(move |_: &mut Wal, count| {
        pages.store(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))
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

fn damaged(reason: impl std::fmt::Display) -> Error {
    Error::new(codes::DATA_DAMAGED, format!("the catalog is damaged: {reason}"))
        .hint("restore the data folder from a backup")
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(codes::FORMAT_UNSUPPORTED, message)
}

fn error_of(error: rusqlite::Error) -> Error {
    let error = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::new(codes::STORAGE_FULL, "the catalog's disk is full").source(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(&error).source(error),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(codes::FOLDER_LOCKED, "another program uses the catalog").source(error)
        }
        _ => Error::new(codes::STORAGE_FAILED, format!("the catalog failed: {error}")).source(error),
    };
    error.at("catalog")
}

#[cfg(test)]
mod tests;
