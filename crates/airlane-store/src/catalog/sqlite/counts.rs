//! The rows of `counts`: used reads, by ticket and by table.

use airlane_model::{Result, TableId, TicketId, Timestamp, Version};
use rusqlite::{Connection, params};

use super::checksums::count_checksum;
use super::load::{blob, id_of, integer, rows};
use super::rows::{Rows, integer as column};
use crate::catalog::counts::{Counted, StoredCount, StoredCounts, Until};
use crate::uptime::Uptime;

/// What layouts before 7 did not have.
pub(super) const COUNTS_SCHEMA: &str = "
    CREATE TABLE counts (
        kind         INTEGER NOT NULL,      -- 1: of a ticket, 2: of a table
        id           BLOB    NOT NULL,      -- 16 bytes
        version      INTEGER NOT NULL,      -- of the table; 0 for tickets
        used         INTEGER NOT NULL,
        until        INTEGER NOT NULL,      -- of a ticket, microseconds since 1970-01-01 UTC; 0 for tables
        until_uptime INTEGER NOT NULL,      -- and microseconds of the store's uptime
        row_checksum INTEGER NOT NULL       -- xxh3-64 of the other columns
    ) STRICT;
    CREATE INDEX counts_by_id ON counts (id);
";

const TICKET: i64 = 1;
const TABLE: i64 = 2;

/// A row of `counts`.
#[derive(Clone, Debug)]
pub(super) struct CountRow {
    pub(super) id: Vec<u8>,
    /// Kind, version, used, until, until in uptime.
    pub(super) numbers: [i64; 5],
}

impl CountRow {
    fn of(count: &StoredCount) -> Result<Self> {
        let (kind, id, version) = key(count.of);
        let Until { uptime, wall } = count.until;
        let numbers = [kind, column(version)?, column(count.used)?, wall.as_micros(), column(uptime.as_micros())?];
        Ok(Self { id: id.into(), numbers })
    }

    fn stored(&self) -> Option<StoredCount> {
        let [kind, version, used, wall, uptime] = self.numbers;
        let id = id_of(&self.id)?;
        let of = match kind {
            TICKET => Counted::Ticket(TicketId::from_bytes(id)),
            TABLE => Counted::Table(TableId::from_bytes(id), Version::new(version.try_into().ok()?)?),
            _ => return None,
        };
        let (uptime, wall) = (Uptime::from_micros(uptime.try_into().ok()?), Timestamp::from_micros(wall));
        Some(StoredCount { of, used: used.try_into().ok()?, until: Until { uptime, wall } })
    }
}

fn key(of: Counted) -> (i64, [u8; 16], u64) {
    match of {
        Counted::Ticket(id) => (TICKET, id.to_bytes(), 0),
        Counted::Table(id, version) => (TABLE, id.to_bytes(), version.get()),
    }
}

impl Rows<'_> {
    pub(super) fn set_count(&self, count: &StoredCount) -> Result<()> {
        self.forget_count(count.of)?;
        let CountRow { id, numbers: [kind, version, used, until, until_uptime] } = &CountRow::of(count)?;
        let checksum = count_checksum(id, &[*kind, *version, *used, *until, *until_uptime]);
        let insert = "INSERT INTO counts (kind, id, version, used, until, until_uptime, row_checksum)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.execute(insert, params![kind, id, version, used, until, until_uptime, checksum]).map(drop)
    }

    /// Of a table also those of other versions.
    pub(super) fn forget_count(&self, of: Counted) -> Result<()> {
        let (kind, id, _) = key(of);
        self.execute("DELETE FROM counts WHERE id = ?1 AND kind = ?2", params![id, kind]).map(drop)
    }

    pub(super) fn forget_count_of_table(&self, table: TableId) -> Result<()> {
        self.forget_count(Counted::Table(table, Version::FIRST))
    }
}

/// All counts. Not over the index, which has no checksums.
pub(super) fn counts(connection: &Connection) -> Result<StoredCounts> {
    let sql = "SELECT id, kind, version, used, until, until_uptime, row_checksum FROM counts NOT INDEXED";
    let rows = rows(connection, sql, |row| {
        let mut numbers = [0; 5];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = integer(row, index + 1)?;
        }
        Ok((CountRow { id: blob(row, 0)?, numbers }, integer(row, 6)?))
    })?;
    let mut stored = StoredCounts::default();
    for (row, checksum) in rows {
        let whole = Some(&row).filter(|row| count_checksum(&row.id, &row.numbers) == checksum);
        match whole.and_then(CountRow::stored) {
            Some(count) => stored.counts.push(count),
            None => {
                let mut id = row.id;
                id.resize(16, 0);
                stored.damaged.extend(id_of(&id));
            }
        }
    }
    stored.counts.sort_by_key(|count| count.of);
    Ok(stored)
}
