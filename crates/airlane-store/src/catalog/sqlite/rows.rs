//! The rows of the catalog, and what a change does to them.

use airlane_model::{Error, Result, Retention, SegmentId, TableId, TableName, Timestamp, Version, codes};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::checksums::{SegmentRow, TableRow, VersionRow, uptime_checksum};
use super::load::{DamagedKeys, TABLE_OF_ID, read_table_of_id, write_dictionaries};
use super::retention::write_retention;
use super::{damaged, error_of};
use crate::catalog::{Change, NewSegment, Place, StoredVersion, body_missing, refused, unknown};
use crate::uptime::Uptime;

/// No index demands that anything is unique, so that all of them can be made anew whatever damage did to the rows.
pub(super) const SCHEMA: &str = "
    CREATE TABLE tables (
        key          INTEGER PRIMARY KEY,
        id           BLOB    NOT NULL,      -- 16 bytes
        name         TEXT    NOT NULL,
        created      INTEGER NOT NULL,      -- microseconds since 1970-01-01 UTC
        version      INTEGER NOT NULL,      -- the current one; 0 before the first
        versions     INTEGER NOT NULL,      -- how many rows it has in `versions`
        segments     INTEGER NOT NULL,      -- how many rows it has in `segments`
        row_checksum INTEGER NOT NULL,      -- xxh3-64 of the other columns
        schema       BLOB    NOT NULL,      -- the flatbuffer of an IPC schema message
        retention    BLOB    NOT NULL DEFAULT x'',  -- for each rule: number and value, 8 bytes each, little-endian
        owner        TEXT    NOT NULL DEFAULT ''    -- who put its whole content; '': callers were not told apart
    ) STRICT;
    CREATE INDEX tables_by_id ON tables (id);
    CREATE INDEX tables_by_name ON tables (name);
    CREATE TABLE versions (
        table_key    INTEGER NOT NULL,
        version      INTEGER NOT NULL,
        rows         INTEGER NOT NULL,      -- from the beginning of the table
        bytes        INTEGER NOT NULL,
        committed    INTEGER NOT NULL,
        row_checksum INTEGER NOT NULL,      -- with the id of the table
        uptime       INTEGER NOT NULL DEFAULT 0,    -- when its put was committed: microseconds of the store's uptime
        put          INTEGER NOT NULL DEFAULT 0,    -- the version of this put; 0: this one
        PRIMARY KEY (table_key, version)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE segments (
        table_key     INTEGER NOT NULL,
        position      INTEGER NOT NULL,     -- ascending, with gaps after merges
        id            BLOB    NOT NULL,
        rows          INTEGER NOT NULL,
        payload_bytes INTEGER NOT NULL,
        file_bytes    INTEGER NOT NULL,
        checksum      INTEGER NOT NULL,     -- xxh3-64 of the IPC file, its 64 bits as they are
        dictionaries  BLOB    NOT NULL,     -- for each id from 0 on: hash and bytes, 8 bytes each, little-endian
        row_checksum  INTEGER NOT NULL,     -- with the id of the table, without the body
        uptime        INTEGER NOT NULL,     -- when its newest row was put: microseconds of the store's uptime
        body          BLOB                  -- the IPC file of a small segment; else segments/<id>.arrow has it
    ) STRICT;
    CREATE INDEX segments_by_position ON segments (table_key, position);
    CREATE INDEX segments_by_id ON segments (id);
    CREATE TABLE uptime (                   -- one row at most
        micros       INTEGER NOT NULL,
        row_checksum INTEGER NOT NULL
    ) STRICT;
";

/// What layouts before 8 did not have. One row where the file had a layout before 8: a segment with the uptime 0 counts as put at this one.
pub(super) const UPGRADED_SCHEMA: &str = "
    CREATE TABLE upgraded (
        micros       INTEGER NOT NULL,
        row_checksum INTEGER NOT NULL
    ) STRICT;
";

/// Changes rows over a connection; its owner begins and ends the transactions.
pub(super) struct Rows<'a> {
    pub(super) connection: &'a Connection,
    /// Tables that can only be dropped.
    pub(super) damaged: &'a DamagedKeys,
}

impl Rows<'_> {
    pub(super) fn apply(&self, change: &Change) -> Result<()> {
        match change {
            Change::CreateTable { id, name, created } => self.create_table(*id, name, *created),
            Change::ReplaceContent { table, owner, schema, version, segments } => {
                let mut row = self.table(*table)?;
                self.delete_parts(row.key)?;
                self.insert_version(&row, version)?;
                (0..).zip(segments).try_for_each(|(position, segment)| self.insert_segment(&row, position, segment))?;
                row.schema = schema.to_vec();
                row.owner = owner.as_deref().unwrap_or_default().into();
                row.version = integer(version.version.get())?;
                (row.versions, row.segments) = (1, count(segments));
                self.update_table(&row)
            }
            Change::AppendContent { table, version, segments, keep_from } => {
                let mut row = self.table(*table)?;
                self.append_version(&mut row, version, *keep_from)?;
                let last = "SELECT max(position) FROM segments WHERE table_key = ?1";
                let last: Option<i64> = self.query(last, row.key)?;
                let positions = last.map_or(0, |last| last + 1)..;
                positions
                    .zip(segments)
                    .try_for_each(|(position, segment)| self.insert_segment(&row, position, segment))?;
                row.segments += count(segments);
                self.update_table(&row)
            }
            Change::ReplaceSegments { table, old, new } => {
                let mut row = self.table(*table)?;
                self.replace_segments(&row, old, new)?;
                row.segments += count(new) - count(old);
                self.update_table(&row)
            }
            Change::ForgetRows { table, version, segments } => {
                let mut row = self.table(*table)?;
                self.forget_rows(&mut row, version, segments)
            }
            Change::DropTable { table } => {
                let key = match self.damaged.get(table) {
                    Some(key) => *key,
                    None => self.table(*table)?.key,
                };
                self.delete_parts(key)?;
                self.forget_count_of_table(*table)?;
                self.execute("DELETE FROM tables WHERE key = ?1", params![key])?;
                Ok(())
            }
            Change::SetRetention { table, retention, keep_from } => {
                let mut row = self.table(*table)?;
                self.set_retention(&mut row, retention, *keep_from)
            }
            Change::SaveUptime { uptime } => self.save_uptime(*uptime),
            Change::KeepKey { key } => self.keep_key(key),
            Change::ForgetKeys { count } => self.forget_keys(*count),
            Change::SetCount { count } => self.set_count(count),
            Change::ForgetCount { of } => self.forget_count(*of),
        }
    }

    fn create_table(&self, id: TableId, name: &TableName, created: Timestamp) -> Result<()> {
        let mut statement =
            self.connection.prepare_cached("SELECT key FROM tables WHERE name = ?1 OR id = ?2").map_err(error_of)?;
        let taken = statement.query_map(params![name.as_str(), id.to_bytes()], |row| row.get(0)).map_err(error_of)?;
        for key in taken {
            // What the row of a damaged table says takes no name from others.
            let key: i64 = key.map_err(error_of)?;
            if !self.damaged.values().any(|damaged| *damaged == key) {
                return Err(refused(format!("table `{name}` exists")));
            }
        }
        let row = TableRow {
            key: 0,
            id: id.to_bytes().into(),
            name: name.as_str().into(),
            created: created.as_micros(),
            version: 0,
            versions: 0,
            segments: 0,
            schema: Vec::new(),
            retention: Vec::new(),
            owner: Vec::new(),
        };
        self.execute(
            "INSERT INTO tables (id, name, created, version, versions, segments, row_checksum, schema)
             VALUES (?1, ?2, ?3, 0, 0, 0, ?4, x'')",
            params![row.id, name.as_str(), row.created, row.checksum()],
        )?;
        Ok(())
    }

    /// The row of a table. It is judged each time: a new checksum over damaged columns would make them good ones.
    fn table(&self, id: TableId) -> Result<TableRow> {
        let mut statement = self.connection.prepare_cached(TABLE_OF_ID).map_err(error_of)?;
        let found = statement.query_row([id.to_bytes()], read_table_of_id).optional().map_err(error_of)?;
        let (row, checksum) = found.ok_or_else(|| unknown(id))?;
        if row.checksum() != checksum {
            let name = String::from_utf8_lossy(&row.name);
            return Err(damaged(format!("the row of table `{}` does not match its checksum", name.escape_debug())));
        }
        Ok(row)
    }

    fn update_table(&self, row: &TableRow) -> Result<()> {
        let TableRow { key, version, versions, segments, schema, retention, owner, .. } = row;
        self.execute(
            "UPDATE tables SET version = ?2, versions = ?3, segments = ?4, row_checksum = ?5, schema = ?6, retention = ?7,
                               owner = CAST(?8 AS TEXT)
             WHERE key = ?1",
            params![key, version, versions, segments, row.checksum(), schema, retention, owner],
        )?;
        Ok(())
    }

    fn delete_parts(&self, key: i64) -> Result<()> {
        self.execute("DELETE FROM versions WHERE table_key = ?1", params![key])?;
        self.execute("DELETE FROM segments WHERE table_key = ?1", params![key])?;
        Ok(())
    }

    fn set_retention(&self, table: &mut TableRow, retention: &Retention, keep_from: Version) -> Result<()> {
        if table.versions > 0 && table.version < integer(keep_from.get())? {
            return Err(refused(format!("version {keep_from} is none of the table")));
        }
        table.versions -= self.forget_versions(table, keep_from)?;
        table.retention = write_retention(retention);
        self.update_table(table)
    }

    fn save_uptime(&self, uptime: Uptime) -> Result<()> {
        let micros = integer(uptime.as_micros())?;
        self.execute("DELETE FROM uptime", [])?;
        let insert = "INSERT INTO uptime (micros, row_checksum) VALUES (?1, ?2)";
        self.execute(insert, params![micros, uptime_checksum(micros)]).map(drop)
    }

    /// Forgets the versions before one; tells how many there were.
    fn forget_versions(&self, table: &TableRow, before: Version) -> Result<i64> {
        let sql = "DELETE FROM versions WHERE table_key = ?1 AND version < ?2";
        let forgotten = self.execute(sql, params![table.key, integer(before.get())?])?;
        // No table has more.
        Ok(forgotten as i64)
    }

    fn append_version(&self, table: &mut TableRow, version: &StoredVersion, keep_from: Version) -> Result<()> {
        let number = integer(version.version.get())?;
        if table.versions == 0 || table.version >= number {
            return Err(refused(format!("version {number} does not follow the last one")));
        }
        let forgotten = self.forget_versions(table, keep_from)?;
        self.insert_version(table, version)?;
        table.version = number;
        table.versions += 1 - forgotten;
        Ok(())
    }

    fn replace_segments(&self, table: &TableRow, old: &[SegmentId], new: &[NewSegment]) -> Result<()> {
        let positions = self.positions(table, old)?;
        let (first, last) = (positions.first().copied().unwrap_or(0), positions.last().copied().unwrap_or(-1));
        let removed = self.execute(
            "DELETE FROM segments WHERE table_key = ?1 AND position BETWEEN ?2 AND ?3",
            params![table.key, first, last],
        )?;
        let stands = positions.len() == old.len() && positions.is_sorted_by(|a, b| a < b) && removed == old.len();
        if !stands || new.is_empty() || new.len() > old.len() {
            return Err(refused(format!("{} segments are no run of the table", old.len())));
        }
        positions.into_iter().zip(new).try_for_each(|(position, segment)| self.insert_segment(table, position, segment))
    }

    fn forget_rows(&self, table: &mut TableRow, version: &StoredVersion, segments: &[SegmentId]) -> Result<()> {
        let positions = self.positions(table, segments)?;
        let last = positions.last().copied().unwrap_or(-1);
        let sql = "DELETE FROM segments WHERE table_key = ?1 AND position <= ?2";
        let removed = self.execute(sql, params![table.key, last])?;
        let stands = positions.len() == segments.len() && positions.is_sorted_by(|a, b| a < b);
        if !stands || removed == 0 || removed != segments.len() {
            return Err(refused("what is to go are not the first segments of the table"));
        }
        self.append_version(table, version, version.version)?;
        table.segments -= count(segments);
        self.update_table(table)
    }

    /// The positions of segments, where they are of the table.
    fn positions(&self, table: &TableRow, segments: &[SegmentId]) -> Result<Vec<i64>> {
        let mut positions = Vec::with_capacity(segments.len());
        for id in segments {
            // The `+` keeps SQLite from going through all segments of the table instead.
            let position = "SELECT position FROM segments WHERE id = ?1 AND +table_key = ?2";
            let mut statement = self.connection.prepare_cached(position).map_err(error_of)?;
            let position = statement.query_row(params![id.to_bytes(), table.key], |row| row.get::<_, i64>(0));
            positions.extend(position.optional().map_err(error_of)?);
        }
        Ok(positions)
    }

    fn insert_version(&self, table: &TableRow, version: &StoredVersion) -> Result<()> {
        let row = VersionRow {
            version: integer(version.version.get())?,
            rows: integer(version.rows)?,
            bytes: integer(version.bytes)?,
            committed: version.committed.as_micros(),
            uptime: integer(version.uptime.as_micros())?,
            put: if version.put == version.version { 0 } else { integer(version.put.get())? },
        };
        self.insert_version_row(table.key, &row, row.checksum(&table.id))
    }

    pub(super) fn insert_version_row(&self, key: i64, row: &VersionRow, checksum: i64) -> Result<()> {
        let VersionRow { version, rows, bytes, committed, uptime, put } = row;
        self.execute(
            "INSERT INTO versions (table_key, version, rows, bytes, committed, row_checksum, uptime, put)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![key, version, rows, bytes, committed, checksum, uptime, put],
        )?;
        Ok(())
    }

    fn insert_segment(&self, table: &TableRow, position: i64, segment: &NewSegment) -> Result<()> {
        let facts = &segment.facts;
        let body = segment.body.as_deref();
        if body.is_some() != (facts.place == Place::Catalog) {
            return Err(refused(format!("segment {} and its place do not agree", facts.id)));
        }
        let row = SegmentRow {
            position,
            id: facts.id.to_bytes().into(),
            rows: integer(facts.rows)?,
            payload_bytes: integer(facts.payload_bytes)?,
            file_bytes: integer(facts.file_bytes)?,
            checksum: facts.checksum.cast_signed(),
            dictionaries: write_dictionaries(&facts.dictionaries),
            has_body: body.is_some(),
            uptime: integer(facts.uptime.as_micros())?,
        };
        self.insert_segment_row(table.key, &row, row.row_checksum(&table.id), body)
    }

    pub(super) fn insert_segment_row(
        &self,
        key: i64,
        row: &SegmentRow,
        row_checksum: i64,
        body: Option<&[u8]>,
    ) -> Result<()> {
        let SegmentRow { position, id, rows, payload_bytes, file_bytes, checksum, dictionaries, uptime, .. } = row;
        self.execute(
            "INSERT INTO segments (table_key, position, id, rows, payload_bytes, file_bytes, checksum, dictionaries,
                                   row_checksum, uptime, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                key,
                position,
                id,
                rows,
                payload_bytes,
                file_bytes,
                checksum,
                dictionaries,
                row_checksum,
                uptime,
                body
            ],
        )?;
        Ok(())
    }

    fn query<T: rusqlite::types::FromSql>(&self, sql: &str, key: impl rusqlite::ToSql) -> Result<T> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        statement.query_row([key], |row| row.get(0)).map_err(error_of)
    }

    pub(super) fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        statement.execute(values).map_err(error_of)
    }

    /// The bytes of a segment. Who reads them compares them with the checksum among its facts, which were judged when
    /// they were loaded; so its row is not judged again.
    pub(super) fn body(&self, segment: SegmentId) -> Result<Bytes> {
        let sql = "SELECT body FROM segments WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        let body = statement.query_row([segment.to_bytes()], |row| row.get::<_, Option<Vec<u8>>>(0)).optional();
        body.map_err(error_of)?.flatten().map(Bytes::from).ok_or_else(|| body_missing(segment))
    }
}

fn count<T>(of: &[T]) -> i64 {
    // No list in memory has more.
    of.len() as i64
}

pub(super) fn integer(value: u64) -> Result<i64> {
    i64::try_from(value)
        .map_err(|_| Error::new(codes::LIMIT_EXCEEDED, format!("{value} is more than the catalog can count")))
}
