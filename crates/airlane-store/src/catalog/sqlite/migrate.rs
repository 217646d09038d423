//! Catalogs of earlier layouts, brought to this one in one transaction. What is there is taken as it is: a table that
//! contradicts itself does so afterwards too.
//!
//! * Layout 1 had no checksums of rows. Its rows are copied, with as many as there are. Rows of no table, which layout 1 did
//!   not show, come along and are then shown as damage.
//! * Layout 2 had no retention. It gets the columns, whose defaults change no [checksum](super::checksums), so that a
//!   damaged row stays one.
//! * Layout 7 did not say when the rows of a segment were put. The segments that it had count as put when they were brought to
//!   this layout, which one row of `upgraded` says for all of them: to write theirs again would write their bodies again.
//! * Layout 8 did not say whose a table is. It gets the column, which for nobody changes no checksum either.
//! * Layout 4 had no [keys](super::keys) of puts and no [counts](super::counts) of reads. All layouts before get the tables of
//!   their own that these are in.

use std::collections::BTreeMap;

use airlane_model::Result;
use rusqlite::{Connection, Row, params};

use super::checksums::upgraded_checksum;
use super::checksums::{SegmentRow, TableRow, VersionRow};
use super::error_of;
use super::load::{self, DamagedKeys};
use super::rows::{Rows, SCHEMA, integer};

/// Tables by their keys.
type Tables = BTreeMap<i64, TableRow>;

/// Adds to layout 2 what it lacks. The caller begins and ends the transaction, and sets the number of the layout.
pub(super) fn from_2(connection: &Connection) -> Result<()> {
    let sql = "ALTER TABLE tables ADD COLUMN retention BLOB NOT NULL DEFAULT x'';
               ALTER TABLE versions ADD COLUMN uptime INTEGER NOT NULL DEFAULT 0;
               CREATE TABLE uptime (micros INTEGER NOT NULL, row_checksum INTEGER NOT NULL) STRICT;";
    connection.execute_batch(sql).map_err(error_of)
}

/// Adds to the tables of layout 8, and of 2 to 7, whose they are, as [`from_2`] begins and ends.
pub(super) fn from_8(connection: &Connection) -> Result<()> {
    connection.execute_batch("ALTER TABLE tables ADD COLUMN owner TEXT NOT NULL DEFAULT ''").map_err(error_of)
}

/// Adds to the tables of layout 7 what those of layout 8 have more, as [`from_2`] begins and ends. `upgraded` and the owners are there.
pub(super) fn from_7(connection: &Connection) -> Result<()> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(error_of);
    run("ALTER TABLE segments ADD COLUMN uptime INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE versions ADD COLUMN put INTEGER NOT NULL DEFAULT 0;")?;
    let (stored, _) = load::load(connection)?;
    // What damaged facts say does not count.
    let whole = stored.iter().filter(|table| table.damage.is_none());
    let committed = whole.filter_map(|table| table.versions.last()).map(|version| version.uptime).max();
    let micros = integer(load::saved_uptime(connection)?.max(committed.unwrap_or_default()).as_micros())?;
    let insert = "INSERT INTO upgraded (micros, row_checksum) VALUES (?1, ?2)";
    connection.execute(insert, params![micros, upgraded_checksum(micros)]).map(drop).map_err(error_of)
}

/// Copies the rows of layout 1, as [`from_2`] begins and ends.
pub(super) fn from_1(connection: &Connection) -> Result<()> {
    let run = |sql: &str| connection.execute_batch(sql).map_err(error_of);
    run("ALTER TABLE tables RENAME TO tables_1;
         ALTER TABLE versions RENAME TO versions_1;
         ALTER TABLE segments RENAME TO segments_1;")?;
    run(SCHEMA)?;
    let damaged = DamagedKeys::new();
    let rows = Rows { connection, damaged: &damaged };
    let mut tables = read_tables(connection).map_err(error_of)?;
    each(connection, "SELECT table_key, version, rows, bytes, committed FROM versions_1", |row| {
        let version = VersionRow {
            version: row.get(1)?,
            rows: row.get(2)?,
            bytes: row.get(3)?,
            committed: row.get(4)?,
            uptime: 0,
            put: 0,
        };
        Ok(copy_version(&rows, &mut tables, row.get(0)?, &version))
    })?;
    let segments = "SELECT table_key, position, id, rows, payload_bytes, file_bytes, checksum, dictionaries, body
                    FROM segments_1 ORDER BY table_key, position";
    each(connection, segments, |row| {
        let body: Option<Vec<u8>> = row.get(8)?;
        let segment = SegmentRow {
            position: row.get(1)?,
            id: row.get(2)?,
            rows: row.get(3)?,
            payload_bytes: row.get(4)?,
            file_bytes: row.get(5)?,
            checksum: row.get(6)?,
            dictionaries: row.get(7)?,
            has_body: body.is_some(),
            uptime: 0,
        };
        Ok(copy_segment(&rows, &mut tables, row.get(0)?, &segment, body.as_deref()))
    })?;
    tables.values().try_for_each(|table| insert_table(connection, table)).map_err(error_of)?;
    run("DROP TABLE tables_1; DROP TABLE versions_1; DROP TABLE segments_1;")
}

fn read_tables(connection: &Connection) -> rusqlite::Result<Tables> {
    let mut statement = connection.prepare("SELECT key, id, name, created, schema FROM tables_1")?;
    let tables = statement.query_map([], |row| {
        let table = TableRow {
            key: row.get(0)?,
            id: row.get(1)?,
            name: row.get_ref(2)?.as_bytes()?.to_vec(),
            created: row.get(3)?,
            version: 0,
            versions: 0,
            segments: 0,
            schema: row.get(4)?,
            retention: Vec::new(),
            owner: Vec::new(),
        };
        Ok((table.key, table))
    })?;
    tables.collect()
}

fn copy_version(rows: &Rows<'_>, tables: &mut Tables, key: i64, version: &VersionRow) -> Result<()> {
    let table = tables.get_mut(&key).map(|table| {
        table.versions += 1;
        table.version = table.version.max(version.version);
        &*table.id
    });
    rows.insert_version_row(key, version, version.checksum(table.unwrap_or_default()))
}

fn copy_segment(
    rows: &Rows<'_>,
    tables: &mut Tables,
    key: i64,
    segment: &SegmentRow,
    body: Option<&[u8]>,
) -> Result<()> {
    let table = tables.get_mut(&key).map(|table| {
        table.segments += 1;
        &*table.id
    });
    rows.insert_segment_row(key, segment, segment.row_checksum(table.unwrap_or_default()), body)
}

fn insert_table(connection: &Connection, table: &TableRow) -> rusqlite::Result<()> {
    let TableRow { key, id, name, created, version, versions, segments, schema, .. } = table;
    let mut statement = connection.prepare_cached(
        "INSERT INTO tables (key, id, name, created, version, versions, segments, row_checksum, schema)
         VALUES (?1, ?2, CAST(?3 AS TEXT), ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let checksum = table.checksum();
    statement.execute(params![key, id, name, created, version, versions, segments, checksum, schema])?;
    Ok(())
}

/// Does something with each row, as long as that goes well.
fn each(
    connection: &Connection,
    sql: &str,
    mut act: impl FnMut(&Row<'_>) -> rusqlite::Result<Result<()>>,
) -> Result<()> {
    let mut statement = connection.prepare(sql).map_err(error_of)?;
    let mut rows = statement.query([]).map_err(error_of)?;
    while let Some(row) = rows.next().map_err(error_of)? {
        act(row).map_err(error_of)??;
    }
    Ok(())
}
