//! The catalog of durable tables: one SQLite file, in write-ahead mode, synced at every commit.
//!
//! * `synchronous=FULL`: in write-ahead mode `NORMAL` may lose the last commits in a power cut.
//! * `locking_mode=EXCLUSIVE`: the folder has one owner anyway, and SQLite then needs no shared memory file.
//! * `secure_delete=ON`: what is dropped is overwritten; [`purge`](Catalog::purge) also empties the log.
//! * A reserve of a few MiB lies beside the file. A commit that drops a table may use it when the disk is full.
//! * The log is copied into the file by us and never by SQLite behind our back, which hides failures: it would let the
//!   log grow on a full disk, and sync a file again whose sync has failed. After such a failure nothing is copied any
//!   more, and the store ends.
//! * Each row has a checksum, and the row of a table says how many others there are: see [`checksums`] and [`load`].
//!   What does not match damages its table and no other. Indexes have no checksums; one that does not agree with the
//!   rows is made anew. Damage to the structure of the file is found by SQLite, and then the file is not opened.
//! * The log is emptied when the catalog is opened. A log whose sync failed may be readable from the page cache though
//!   it is not on the disk; without this, commits after the restart would stand behind frames that a power cut loses.

mod checksums;
mod counts;
mod keys;
mod load;
mod migrate;
mod reserve;
mod retention;
mod rows;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{Error, PutKey, Result, SegmentId, TableName, codes};
use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::counts::StoredCounts;
use super::{Catalog, Change, CommitError, KeyFacts, StoredKey, StoredTable};
use crate::failpoint::failpoint;
use crate::uptime::Uptime;
use load::DamagedKeys;
use reserve::Reserve;
use rows::{Rows, SCHEMA, UPGRADED_SCHEMA};

/// "ARLN": says in the file's header what it is.
const APPLICATION_ID: i32 = 0x4152_4c4e;
/// The layout of the tables; see [`rows`]. One bit that flips in the file's header makes no layout of another, so there are
/// no layouts 3, 5, 6, 9 and 10.
const SCHEMA_VERSION: i32 = 11;
/// The layouts before; see [`migrate`].
const SCHEMA_VERSION_1: i32 = 1;
const SCHEMA_VERSION_2: i32 = 2;
const SCHEMA_VERSION_4: i32 = 4;
const SCHEMA_VERSION_7: i32 = 7;
const SCHEMA_VERSION_8: i32 = 8;
/// Pages of the log (4 KiB each) from which on it is copied into the file before more is added. With the largest batch
/// of the committer on top it fits into the reserve, so that a drop can empty it on a full disk.
const LOG_PAGES_MAX: u64 = 1_024;

/// A catalog in a file.
#[derive(Debug)]
pub struct SqliteCatalog {
    connection: Connection,
    reserve: Reserve,
    /// What the last [`load`](Catalog::load) found.
    damaged: DamagedKeys,
    /// Pages in the log that are not in the file yet.
    log_pages: Arc<AtomicU64>,
    /// A sync failed, so that nothing may be taken for synced any more.
    is_suspect: bool,
}

impl SqliteCatalog {
    /// Opens the file, or lays out an empty or missing one. Migrates one of a layout before.
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
        let placed = |error: Error| error.at(path.display().to_string());
        // The log of a catalog that is refused stays as it is, too.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(at)?;
        let indexes = check_layout(&connection).map_err(placed)?;
        prepare(&connection).map_err(at)?;
        lay_out(&connection).map_err(placed)?;
        if indexes == Indexes::Damaged {
            tracing::warn!(path = %path.display(), "indexes of the catalog do not agree with its rows; making them anew");
            connection.execute_batch("REINDEX").map_err(at)?;
        }
        let log_pages = Arc::new(AtomicU64::new(0));
        watch_log(&mut connection, log_pages.clone()).map_err(at)?;
        let (reserve, damaged) = (Reserve::new(path), DamagedKeys::new());
        let mut catalog = Self { connection, reserve, damaged, log_pages, is_suspect: false };
        catalog.purge()?;
        Ok(catalog)
    }

    fn rows(&self) -> Rows<'_> {
        Rows { connection: &self.connection, damaged: &self.damaged }
    }

    /// Commits to the log, once there is room in it.
    fn add_to_log(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        self.copy_long_log().map_err(|error| match error.code() {
            codes::STORAGE_FULL => CommitError::RolledBack(error),
            _ => CommitError::Unknown(error),
        })?;
        let outcome = self.try_commit(changes);
        self.is_suspect |= matches!(outcome, Err(CommitError::Unknown(_)));
        outcome
    }

    /// Copies the log into the file when there is much of it.
    fn copy_long_log(&mut self) -> Result<()> {
        match self.log_pages.load(Ordering::Relaxed) {
            0..=LOG_PAGES_MAX => Ok(()),
            _ => self.checkpoint(CheckpointMode::PASSIVE),
        }
    }

    /// Copies the log into the file and syncs it.
    fn checkpoint(&mut self, mode: CheckpointMode) -> Result<()> {
        if self.is_suspect {
            return Err(Error::new(codes::STORAGE_FAILED, "the catalog failed before"));
        }
        let outcome = self.connection.wal_checkpoint_v2(rusqlite::DEFAULT_NAME, mode).map_err(error_of);
        match &outcome {
            Ok(_) => self.log_pages.store(0, Ordering::Relaxed),
            // Without room nothing was synced that had not to be. The log still holds all of it.
            Err(error) if error.code() == codes::STORAGE_FULL => {}
            Err(_) => self.is_suspect = true,
        }
        outcome.map(drop)
    }

    fn try_commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        self.run("BEGIN IMMEDIATE").map_err(|error| self.roll_back(error_of(error)))?;
        failpoint!("p7.after");
        let rows = self.rows();
        if let Err(error) = changes.iter().try_for_each(|change| rows.apply(change)) {
            return Err(self.roll_back(error));
        }
        failpoint!("p8.before");
        let Err(error) = self.run("COMMIT") else {
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

    fn run(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    /// Ends a transaction that failed. Whether nothing of it is left is certain only when SQLite says so.
    fn roll_back(&self, error: Error) -> CommitError {
        if !self.connection.is_autocommit() {
            // A failure shows in the state that is asked for next.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        if self.connection.is_autocommit() { CommitError::RolledBack(error) } else { CommitError::Unknown(error) }
    }
}

impl Catalog for SqliteCatalog {
    fn load(&mut self) -> Result<Vec<StoredTable>> {
        let (stored, damaged) = load::load(&self.connection)?;
        self.damaged = damaged;
        Ok(stored)
    }

    fn saved_uptime(&mut self) -> Result<Uptime> {
        load::saved_uptime(&self.connection)
    }

    fn find_key(&mut self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        self.rows().find_key(key, table)
    }

    fn keys(&mut self) -> Result<Vec<KeyFacts>> {
        keys::all(&self.connection)
    }

    fn counts(&mut self) -> Result<StoredCounts> {
        counts::counts(&self.connection)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        self.reserve.hold();
        let makes_room = changes.iter().any(Change::erases);
        let outcome = match self.add_to_log(changes) {
            Err(CommitError::RolledBack(error)) if error.code() == codes::STORAGE_FULL => {
                if makes_room && self.reserve.release() {
                    self.add_to_log(changes)
                } else {
                    Err(CommitError::RolledBack(error))
                }
            }
            outcome => outcome,
        };
        if outcome.is_ok() && !self.damaged.is_empty() {
            self.damaged.retain(|id, _| !changes.iter().any(|change| change.drops(*id)));
        }
        outcome
    }

    fn body(&mut self, segment: SegmentId) -> Result<Bytes> {
        self.rows().body(segment)
    }

    fn tidy(&mut self) -> Result<()> {
        if self.is_suspect {
            return Ok(());
        }
        match self.copy_long_log() {
            // The next commit tries again, and says so to whoever it is for.
            Err(error) if error.code() == codes::STORAGE_FULL => Ok(()),
            outcome => outcome,
        }
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

impl Drop for SqliteCatalog {
    fn drop(&mut self) {
        // What is not copied now is copied by the next start.
        let _ = self.checkpoint(CheckpointMode::TRUNCATE);
    }
}

/// Whether the indexes say what the rows say.
#[derive(PartialEq, Eq)]
enum Indexes {
    Whole,
    Damaged,
}

/// Judges what is there before anything is written.
fn check_layout(connection: &Connection) -> Result<Indexes> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(error_of);
    let text = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0)).map_err(error_of);
    let (application, version) = (number("application_id")?, number("user_version")?);
    match (application, version) {
        (
            APPLICATION_ID,
            SCHEMA_VERSION_1 | SCHEMA_VERSION_2 | SCHEMA_VERSION_4 | SCHEMA_VERSION_7 | SCHEMA_VERSION_8
            | SCHEMA_VERSION,
        ) => {
            if text("integrity_check")? == "ok" {
                return Ok(Indexes::Whole);
            }
            // The same without the indexes.
            let answer = text("quick_check")?;
            if answer == "ok" { Ok(Indexes::Damaged) } else { Err(damaged(answer)) }
        }
        (0, 0) => Ok(Indexes::Whole),
        (APPLICATION_ID, later) => Err(unsupported(format!("the catalog has the layout {later}")).hint(format!(
            "this version reads layouts up to {SCHEMA_VERSION}; start the version that wrote the folder"
        ))),
        _ => Err(unsupported("the file is a database of another program")),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// Brings a new file, or one of a layout before, to this layout, in one transaction.
fn lay_out(connection: &Connection) -> Result<()> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(error_of);
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(error_of)?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    run("BEGIN IMMEDIATE")?;
    let new_in_7 = || run(keys::SCHEMA).and_then(|()| run(counts::COUNTS_SCHEMA));
    let new_in_8 = || run(UPGRADED_SCHEMA);
    let from_8 = || migrate::from_8(connection);
    // From 7 on the tables are read, with all the columns that they have now.
    let from_7 = || from_8().and_then(|()| new_in_8()).and_then(|()| migrate::from_7(connection));
    let outcome = match version {
        SCHEMA_VERSION_1 => migrate::from_1(connection).and_then(|()| new_in_7()).and_then(|()| new_in_8()),
        SCHEMA_VERSION_2 => migrate::from_2(connection).and_then(|()| new_in_7()).and_then(|()| from_7()),
        SCHEMA_VERSION_4 => new_in_7().and_then(|()| from_7()),
        SCHEMA_VERSION_7 => from_7(),
        SCHEMA_VERSION_8 => from_8(),
        _ => run(SCHEMA).and_then(|()| new_in_7()).and_then(|()| new_in_8()),
    };
    outcome.and_then(|()| {
        run(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))
    })
    // A transaction that failed ends with the connection.
}

/// Counts the pages of the log. This takes the place of SQLite's own checkpoint.
fn watch_log(connection: &mut Connection, pages: Arc<AtomicU64>) -> rusqlite::Result<()> {
    connection.wal_hook(Some(move |_: &mut Wal, count| {
        pages.store(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }))
}

fn damaged(reason: impl std::fmt::Display) -> Error {
    Error::new(codes::DATA_DAMAGED, format!("the catalog is damaged: {reason}"))
        .hint("restore the data folder from a backup")
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(codes::FORMAT_UNSUPPORTED, message)
}

fn error_of(error: rusqlite::Error) -> Error {
    // All statements are our own: one that does not fit tells that the layout in the file is damaged.
    if matches!(error, rusqlite::Error::SqlInputError { .. }) {
        return damaged(&error).source(error).at("catalog");
    }
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
