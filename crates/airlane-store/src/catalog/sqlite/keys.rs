//! The rows of `put_keys`: the keys of puts, in the order in which they were committed.
//!
//! A damaged row damages no table. The put that has its key is refused, since nobody can tell what became of the first.

use airlane_model::{Durability, Error, IdempotencyKey, PutKey, Result, TableId, TableName, Version, codes};
use rusqlite::{Connection, Params, Row, params};

use super::checksums::Sum;
use super::error_of;
use super::load::{blob, integer, rows};
use super::rows::{Rows, integer as number};
use crate::catalog::keys::hash_of;
use crate::catalog::{KeyFacts, Outcome, StoredKey, key_hash, refused};
use crate::uptime::Uptime;

/// The oldest have the lowest numbers, so forgetting them looks for nothing.
pub(super) const SCHEMA: &str = "
    CREATE TABLE put_keys (
        seq          INTEGER PRIMARY KEY,   -- in the order of commits
        hash         INTEGER NOT NULL,      -- xxh3-64 of caller, table and key, its 64 bits as they are
        caller       TEXT    NOT NULL,
        table_name   TEXT    NOT NULL,
        key          TEXT    NOT NULL,
        content      BLOB    NOT NULL,      -- 16 bytes: the hash of what was put
        table_id     BLOB    NOT NULL,      -- from here on the receipt
        version      INTEGER NOT NULL,
        rows         INTEGER NOT NULL,
        bytes        INTEGER NOT NULL,
        rows_put     INTEGER NOT NULL,
        uptime       INTEGER NOT NULL,      -- when it was committed: microseconds of the store's uptime
        row_checksum INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX put_keys_by_hash ON put_keys (hash);
";

const ALL: &str = "SELECT hash, caller, table_name, key, content, table_id, version, rows, bytes, rows_put, uptime,
                          row_checksum
                   FROM put_keys NOT INDEXED ORDER BY seq";
const OF_HASH: &str = "SELECT hash, caller, table_name, key, content, table_id, version, rows, bytes, rows_put, uptime,
                              row_checksum
                       FROM put_keys WHERE hash = ?1";

const ANYWHERE: &str =
    "SELECT hash, caller, table_name, key, content, table_id, version, rows, bytes, rows_put, uptime,
                               row_checksum
                        FROM put_keys NOT INDEXED
                        WHERE hash = ?1 OR (caller = ?2 AND table_name = ?3 AND key = ?4)";

/// A row.
struct KeyRow {
    hash: i64,
    caller: Vec<u8>,
    table: Vec<u8>,
    key: Vec<u8>,
    content: Vec<u8>,
    table_id: Vec<u8>,
    /// Version, rows, bytes, rows put, uptime.
    numbers: [i64; 5],
}

impl KeyRow {
    fn checksum(&self) -> i64 {
        let mut sum = Sum::new(5, &self.table_id);
        [&self.caller, &self.table, &self.key, &self.content].into_iter().for_each(|column| sum.blob(column));
        sum.numbers(&[self.hash]);
        sum.numbers(&self.numbers);
        sum.value()
    }

    fn of(key: &StoredKey) -> Result<Self> {
        let Outcome { table_id, version, rows, bytes, rows_put, durability } = key.outcome;
        if durability != Durability::Durable {
            return Err(refused(format!("a key of a table that is {durability}")));
        }
        Ok(Self {
            hash: key_hash(&key.key, &key.table).cast_signed(),
            caller: key.key.caller.as_bytes().into(),
            table: key.table.as_str().into(),
            key: key.key.key.as_str().into(),
            content: key.content.to_le_bytes().into(),
            table_id: table_id.to_bytes().into(),
            numbers: [
                number(version.get())?,
                number(rows)?,
                number(bytes)?,
                number(rows_put)?,
                number(key.uptime.as_micros())?,
            ],
        })
    }

    /// `None` when it is not what was written.
    fn stored(&self) -> Option<StoredKey> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let [version, rows, bytes, rows_put, uptime] = self.numbers;
        let key: IdempotencyKey = text(&self.key)?.parse().ok()?;
        Some(StoredKey {
            key: PutKey { caller: text(&self.caller)?.into(), key },
            table: TableName::parse(&text(&self.table)?).ok()?,
            content: u128::from_le_bytes(self.content.as_slice().try_into().ok()?),
            outcome: Outcome {
                table_id: TableId::from_bytes(self.table_id.as_slice().try_into().ok()?),
                version: Version::new(version.try_into().ok()?)?,
                rows: rows.try_into().ok()?,
                bytes: bytes.try_into().ok()?,
                rows_put: rows_put.try_into().ok()?,
                durability: Durability::Durable,
            },
            uptime: Uptime::from_micros(uptime.try_into().ok()?),
        })
    }
}

/// A row, and the key if it is as it was written.
fn read(row: &Row<'_>) -> rusqlite::Result<(KeyRow, Option<StoredKey>)> {
    let mut numbers = [0; 5];
    for (index, number) in (6..).zip(&mut numbers) {
        *number = integer(row, index)?;
    }
    let found = KeyRow {
        hash: integer(row, 0)?,
        caller: blob(row, 1)?,
        table: blob(row, 2)?,
        key: blob(row, 3)?,
        content: blob(row, 4)?,
        table_id: blob(row, 5)?,
        numbers,
    };
    let is_whole = found.checksum() == integer(row, 11)?;
    let stored = if is_whole { found.stored() } else { None };
    Ok((found, stored))
}

/// All keys, oldest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<KeyFacts>> {
    rows(connection, ALL, |row| {
        let (row, stored) = read(row)?;
        let damaged = || {
            // Either of them may be what is damaged.
            let (hash, of_texts) = (row.hash.cast_unsigned(), hash_of([&row.caller, &row.table, &row.key]));
            let also = Some(of_texts).filter(|other| *other != hash);
            KeyFacts { hash, also, bytes: 0, uptime: Uptime::default(), is_damaged: true }
        };
        Ok(stored.map_or_else(damaged, |stored| stored.facts()))
    })
}

impl Rows<'_> {
    /// To be called for a key that is thought to be there: it looks through all when the index does not find it.
    pub(super) fn find_key(&self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        if let Some(found) = self.find_by_hash(key, table)? {
            return Ok(Some(found));
        }
        let hash = key_hash(key, table).cast_signed();
        self.find_in(ANYWHERE, params![hash, &*key.caller, table.as_str(), key.key.as_str()], key, table)
    }

    fn find_by_hash(&self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        self.find_in(OF_HASH, params![key_hash(key, table).cast_signed()], key, table)
    }

    fn find_in(&self, sql: &str, of: impl Params, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(error_of)?;
        let mut found = statement.query(of).map_err(error_of)?;
        while let Some(row) = found.next().map_err(error_of)? {
            let (_, stored) = read(row).map_err(error_of)?;
            let stored = stored.ok_or_else(|| {
                let message = "what the catalog has of a put with this key is damaged";
                Error::new(codes::DATA_DAMAGED, message).at(format!("table `{table}`")).hint(
                    "it cannot be told whether this put was done before: look at the table, then put with another key",
                )
            })?;
            if stored.key == *key && stored.table == *table {
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    pub(super) fn keep_key(&self, key: &StoredKey) -> Result<()> {
        if self.find_by_hash(&key.key, &key.table)?.is_some() {
            return Err(refused("the key is known"));
        }
        let row = KeyRow::of(key)?;
        let [version, rows, bytes, rows_put, uptime] = row.numbers;
        self.execute(
            "INSERT INTO put_keys (hash, caller, table_name, key, content, table_id, version, rows, bytes, rows_put,
                                   uptime, row_checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                row.hash,
                &*key.key.caller,
                key.table.as_str(),
                key.key.key.as_str(),
                row.content,
                row.table_id,
                version,
                rows,
                bytes,
                rows_put,
                uptime,
                row.checksum(),
            ],
        )?;
        Ok(())
    }

    pub(super) fn forget_keys(&self, count: u64) -> Result<()> {
        let sql = "DELETE FROM put_keys WHERE seq IN (SELECT seq FROM put_keys ORDER BY seq LIMIT ?1)";
        self.execute(sql, params![number(count)?]).map(drop)
    }
}
