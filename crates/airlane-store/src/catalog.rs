//! The catalog: what tables there are, and which segments make up each version.
//!
//! One trait, two implementations: [`sqlite`] keeps the durable tables, [`memory`] the ephemeral ones. Both pass
//! [`conformance`], which further implementations can run too.
//!
//! The catalog decides nothing. The store works out what a put, a drop or a merge does and hands over the changes;
//! the catalog keeps all of them or none.

use std::fmt;
use std::sync::Arc;

use airlane_model::{
    Error, PutKey, Result, Retention, SegmentId, TableId, TableName, Timestamp, Version, VersionInfo, codes,
};
use bytes::Bytes;

use crate::uptime::Uptime;
use counts::{Counted, StoredCount, StoredCounts};
pub(crate) use keys::{EPHEMERAL_KEY_BYTES, ROW_BYTES};
pub use keys::{KeyFacts, Outcome, StoredKey, key_hash};

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod counts;
mod keys;
pub mod memory;
pub mod sqlite;

/// Keeps the facts of tables. One owner at a time.
pub trait Catalog: Send + fmt::Debug {
    /// Everything that was committed, in the order of the tables' names. A table whose facts are damaged comes with the
    /// [reason](StoredTable::damage); [`Change::DropTable`] is all that it takes.
    ///
    /// # Errors
    /// `storage_failed`; `data_damaged` when not even that can be told.
    fn load(&mut self) -> Result<Vec<StoredTable>>;

    /// The last uptime that was [saved](Change::SaveUptime).
    ///
    /// # Errors
    /// `storage_failed`.
    fn saved_uptime(&mut self) -> Result<Uptime>;

    /// What is remembered of the put with this key into the table of this name.
    ///
    /// # Errors
    /// `data_damaged` when that cannot be told any more; `storage_failed`.
    fn find_key(&mut self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>>;

    /// All keys of puts, oldest first.
    ///
    /// # Errors
    /// `storage_failed`.
    fn keys(&mut self) -> Result<Vec<KeyFacts>>;

    /// The used reads of tickets and tables.
    ///
    /// # Errors
    /// `storage_failed`.
    fn counts(&mut self) -> Result<StoredCounts>;

    /// Keeps all changes, in order, or none. A durable catalog has synced them when it answers `Ok`.
    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError>;

    /// The bytes of a segment that was committed with its body.
    ///
    /// # Errors
    /// `data_damaged` when there is none; `storage_failed`.
    fn body(&mut self, segment: SegmentId) -> Result<Bytes>;

    /// Does what a later commit would have to wait for. To be called when nobody waits.
    ///
    /// # Errors
    /// `storage_failed`: nothing is lost, but nothing more may be committed.
    fn tidy(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes what was dropped unreadable in the storage below: its bytes are in no file any more.
    ///
    /// # Errors
    /// `storage_failed`. Nothing is lost then, the bytes go later.
    fn purge(&mut self) -> Result<()>;
}

/// Why a commit was not confirmed.
#[derive(Debug)]
pub enum CommitError {
    /// Nothing of it was kept, for certain; the catalog can go on.
    RolledBack(Error),
    /// Kept or not: only opening the catalog anew tells.
    Unknown(Error),
}

/// One step of a commit.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new table without content; a [`ReplaceContent`](Change::ReplaceContent) follows in the same commit.
    CreateTable {
        /// Its identity.
        id: TableId,
        /// Its name, which no other table has.
        name: TableName,
        /// When.
        created: Timestamp,
    },
    /// A new content: earlier versions and their segments are forgotten.
    ReplaceContent {
        /// The table.
        table: TableId,
        /// Whose it is from now on.
        owner: Option<Arc<str>>,
        /// The schema message.
        schema: Bytes,
        /// The version that begins here.
        version: StoredVersion,
        /// Its segments.
        segments: Vec<NewSegment>,
    },
    /// More rows after those there are.
    AppendContent {
        /// The table.
        table: TableId,
        /// The new version.
        version: StoredVersion,
        /// The segments that it adds.
        segments: Vec<NewSegment>,
        /// Versions before this one are forgotten (their rows stay).
        keep_from: Version,
    },
    /// The same rows in fewer segments.
    ReplaceSegments {
        /// The table.
        table: TableId,
        /// A run of its segments, without gaps, in order.
        old: Vec<SegmentId>,
        /// What stands in their place; at least one, at most as many.
        new: Vec<NewSegment>,
    },
    /// The first rows of a table go: the segments that hold them, and all versions before, since each has some of them.
    ForgetRows {
        /// The table.
        table: TableId,
        /// The new version, of the rows that are left.
        version: StoredVersion,
        /// The first segments of the table, in order; at least one.
        segments: Vec<SegmentId>,
    },
    /// How long a table is kept.
    SetRetention {
        /// The table.
        table: TableId,
        /// The retention.
        retention: Retention,
        /// Versions before this one are forgotten (their rows stay); none after the current one.
        keep_from: Version,
    },
    /// The table with all it has.
    DropTable {
        /// The table.
        table: TableId,
    },
    /// How long the store has been open, for the next process.
    SaveUptime {
        /// The uptime.
        uptime: Uptime,
    },
    /// A put had a key, which the table of its name did not know yet.
    KeepKey {
        /// The key with its outcome.
        key: Box<StoredKey>,
    },
    /// The oldest keys are forgotten; all, when there are fewer.
    ForgetKeys {
        /// How many.
        count: u64,
    },
    /// How many reads are used. It takes the place of the count before; the count of a table goes with the table.
    SetCount {
        /// The count.
        count: StoredCount,
    },
    /// A count that nobody needs any more.
    ForgetCount {
        /// Of what.
        of: Counted,
    },
}

impl Change {
    /// The segments that the change brings.
    pub fn segments(&self) -> &[NewSegment] {
        match self {
            Self::ReplaceContent { segments, .. } | Self::AppendContent { segments, .. } => segments,
            Self::ReplaceSegments { new, .. } => new,
            Self::CreateTable { .. }
            | Self::ForgetRows { .. }
            | Self::SetRetention { .. }
            | Self::DropTable { .. }
            | Self::SaveUptime { .. }
            | Self::KeepKey { .. }
            | Self::ForgetKeys { .. }
            | Self::SetCount { .. }
            | Self::ForgetCount { .. } => &[],
        }
    }

    /// Whether rows go that nobody may find any more, in the storage below either.
    pub(crate) fn erases(&self) -> bool {
        matches!(self, Self::DropTable { .. } | Self::ForgetRows { .. })
    }

    /// Whether the change drops the table of this id.
    fn drops(&self, id: TableId) -> bool {
        matches!(self, Self::DropTable { table } if *table == id)
    }
}

/// A table as the catalog keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Its identity.
    pub id: TableId,
    /// Its name.
    pub name: TableName,
    /// When the name was created.
    pub created: Timestamp,
    /// Who put its whole content: the caller who created or last replaced it. `None` where callers are not told apart.
    pub owner: Option<Arc<str>>,
    /// How long it is kept.
    pub retention: Retention,
    /// The schema message.
    pub schema: Bytes,
    /// The versions that can be read, oldest first; the last one is current. All begin at the same row: versions before
    /// the last replace, and before the last [`ForgetRows`](Change::ForgetRows), are forgotten.
    pub versions: Vec<StoredVersion>,
    /// The segments, in order.
    pub segments: Vec<StoredSegment>,
    /// Why none of this may be believed: it is only what the catalog says now, not what was committed. The name may be
    /// made up, and the id too.
    pub damage: Option<String>,
}

/// A version: appends only add rows, so it is the first `rows` rows of what the table holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    /// Its number.
    pub version: Version,
    /// Rows from the beginning of the table.
    pub rows: u64,
    /// The bodies of record batches and dictionaries when it was committed; merging may have made them fewer.
    pub bytes: u64,
    /// When it was committed, by the wall clock.
    pub committed: Timestamp,
    /// When the [put](Self::put) was committed that it has its rows of, in the time of the store.
    pub uptime: Uptime,
    /// The version that this put made: this one, or one before when rows were [forgotten](Change::ForgetRows) since.
    pub put: Version,
}

impl From<StoredVersion> for VersionInfo {
    fn from(stored: StoredVersion) -> Self {
        let StoredVersion { version, rows, bytes, committed, .. } = stored;
        Self { version, rows, bytes, committed }
    }
}

/// The facts of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its identity, and the name of its file.
    pub id: SegmentId,
    /// Its rows.
    pub rows: u64,
    /// The bodies of record batches and dictionaries, in bytes.
    pub payload_bytes: u64,
    /// All bytes of the IPC file.
    pub file_bytes: u64,
    /// xxh3-64 of all bytes of the IPC file.
    pub checksum: u64,
    /// Where these bytes are.
    pub place: Place,
    /// Its dictionaries, in the order of their ids.
    pub dictionaries: Vec<StoredDictionary>,
    /// When its newest row was put, in the time of the store, or later.
    pub uptime: Uptime,
}

/// The facts of a dictionary: what it takes to know, without opening the segment, whether a reader that has those of
/// other segments needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredDictionary {
    /// The hash of its message; see `airlane_segment::segment::Dictionary`.
    pub hash: u64,
    /// The body of its message.
    pub bytes: u64,
}

/// Where the bytes of a segment are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory only.
    Memory,
    /// In the catalog itself, committed in one transaction with the version.
    Catalog,
    /// In a file of the data folder.
    File,
}

/// A segment that a commit brings.
#[derive(Clone, Debug)]
pub struct NewSegment {
    /// Its facts.
    pub facts: StoredSegment,
    /// Its bytes, when its place is the catalog.
    pub body: Option<Bytes>,
}

/// A change that contradicts what the catalog holds: a fault of the caller's, not of the disk.
fn refused(message: impl Into<String>) -> Error {
    Error::new(codes::INTERNAL, format!("the catalog refuses a change: {}", message.into()))
}

fn unknown(id: TableId) -> Error {
    refused(format!("no table has the id {id}"))
}

fn body_missing(segment: SegmentId) -> Error {
    Error::new(codes::DATA_DAMAGED, format!("the catalog does not hold the bytes of segment {segment}"))
}
