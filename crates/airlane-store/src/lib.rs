//! Tables of segments: names, versions, durability, merging and recovery.
//!
//! ```text
//! put      begin → Intake (segments written and synced as they fill) → commit → committer → catalog → publish
//! read     snapshot: one version's segments, pinned by reference counts, opened when first read
//! drop     catalog → unpublish → unlink
//! merge    runs of small segments → larger ones, in one catalog transaction
//! ```
//!
//! This crate knows nothing of protocols. The clock, chance and the disk are handed in.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use airlane_model::{
    Chance, Clock, Durability, PutMode, Receipt, Result, SystemChance, SystemClock, TableId, TableInfo, TableName,
    Version,
};
use airlane_segment::{DecodeLimits, Intake, Segment, TableSchema, WriterOptions};

pub mod catalog;
pub mod disk;

pub use disk::{Disk, SystemDisk};

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data folder; `None` keeps ephemeral tables only.
    pub folder: Option<PathBuf>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub chance: Arc<dyn Chance>,
    /// Keeps the files.
    pub disk: Arc<dyn Disk>,
    /// The sizes of the layout.
    pub writer: WriterOptions,
    /// What a put from outside may ask for.
    pub limits: DecodeLimits,
}

impl StoreOptions {
    /// The machine's clock, chance and disk, and the sizes of the design.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
            disk: Arc::new(SystemDisk),
            writer: WriterOptions::default(),
            limits: DecodeLimits::default(),
        }
    }
}

/// What opening a data folder found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Tables found.
    pub tables: u64,
    /// Segments found.
    pub segments: u64,
    /// Files that no committed version names, now removed.
    pub orphans_removed: u64,
    /// Tables with damaged segments, with the reason.
    pub damaged: Vec<(TableName, String)>,
}

/// What a put is to do.
#[derive(Clone, Debug)]
pub struct PutSpec {
    /// The table.
    pub table: TableName,
    /// Replace or append.
    pub mode: PutMode,
    /// The durability; absent: the table's own, or durable for a new table (ephemeral without a data folder).
    pub durability: Option<Durability>,
}

/// All tables of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {}

impl Store {
    /// Opens the data folder: takes its lock, recovers exactly the acknowledged versions, removes orphans. Must be
    /// called inside a tokio runtime, on which the committer and the merge run.
    ///
    /// # Errors
    /// `folder_locked`, `format_unsupported`, `storage_failed`.
    pub fn open(options: StoreOptions) -> Result<(Self, Recovery)> {
        let _ = options;
        todo!()
    }

    /// Begins a put from a stream whose schema message is given. Refuses early what the commit would refuse.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`, `schema_mismatch`, `durability_conflict`, `shutting_down`.
    pub fn put_stream(&self, spec: PutSpec, schema_header: &[u8]) -> Result<Put> {
        let _ = (spec, schema_header);
        todo!()
    }

    /// Begins a put of batches made in this process.
    ///
    /// # Errors
    /// As [`put_stream`](Self::put_stream).
    pub fn put_batches(&self, spec: PutSpec, schema: TableSchema) -> Result<Put> {
        let _ = (spec, schema);
        todo!()
    }

    /// One version of a table: the current one, or the one asked for. Versions since the last replace can be read.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`.
    pub fn snapshot(&self, table: &TableName, version: Option<Version>, id: Option<TableId>) -> Result<Snapshot> {
        let _ = (table, version, id);
        todo!()
    }

    /// The tables whose names begin with `prefix`, in the order of their names.
    pub fn list(&self, prefix: &str) -> Vec<TableInfo> {
        let _ = prefix;
        todo!()
    }

    /// Drops a table: gone from catalog, memory and disk when this returns; running readers finish.
    ///
    /// # Errors
    /// `table_not_found`, `commit_unknown`, `shutting_down`.
    pub fn drop_table(&self, table: &TableName) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        let _ = table;
        async { todo!() }
    }

    /// Stops the committer and the merge after what was begun; later puts answer `shutting_down`.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        async { todo!() }
    }

    /// Where a SIGBUS handler writes the labels of segments that could not be read, one of 32 hexadecimal digits per
    /// line; the next start looks at them first. `None` without a data folder.
    pub fn damage_report_file(&self) -> Option<PathBuf> {
        todo!()
    }

    /// Why the store can take no more puts (a commit failed), if that is so. The server ends then.
    pub fn failure(&self) -> Option<String> {
        todo!()
    }
}

/// A put in progress. Dropping it leaves nothing behind.
pub struct Put {}

impl Put {
    /// Takes the messages or batches of the put.
    pub fn intake(&mut self) -> &mut Intake {
        todo!()
    }

    /// Makes the put visible, whole, at its durability. When this answers `Ok` the version is kept.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict` (another put came first), `storage_full`, `storage_failed`: nothing
    /// was kept. `commit_unknown`: see there.
    pub fn commit(self) -> impl Future<Output = Result<Receipt>> + Send + use<> {
        async { todo!() }
    }
}

/// One version of a table, pinned: replacing, merging or dropping the table changes nothing for its holder.
#[derive(Clone, Debug)]
pub struct Snapshot {}

impl Snapshot {
    /// The table as it was (version, rows and bytes are this snapshot's).
    pub fn info(&self) -> &TableInfo {
        todo!()
    }

    /// The schema.
    pub fn schema(&self) -> &TableSchema {
        todo!()
    }

    /// The segments in order. Only the first `info().rows` rows of them all belong to the version.
    pub fn segments(&self) -> &[SegmentRef] {
        todo!()
    }
}

/// A segment of a snapshot, opened when first read.
#[derive(Clone, Debug)]
pub struct SegmentRef {}

impl SegmentRef {
    /// Its rows.
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// The bodies of its record batches and dictionaries, in bytes.
    pub fn payload_bytes(&self) -> u64 {
        todo!()
    }

    /// The segment; the first call after a start reads the file and compares its checksum (blocking).
    ///
    /// # Errors
    /// `data_damaged`.
    pub fn open(&self) -> Result<Arc<Segment>> {
        todo!()
    }
}
