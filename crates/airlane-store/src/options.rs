//! What a store is opened with, and what a put is to do.

use std::path::PathBuf;
use std::sync::Arc;

use airlane_model::{
    ByteSize, Chance, Clock, Durability, PutKey, PutMode, RetentionChange, RetentionDefaults, SharedQuotas,
    SystemChance, SystemClock, TableName,
};
use airlane_segment::{DecodeLimits, WriterOptions};

use crate::disk::{Disk, SystemDisk};
use crate::keys::KeyLimits;

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
    /// How much memory it may take.
    pub memory: MemoryOptions,
    /// How long new tables are kept that say nothing themselves.
    pub retention: RetentionDefaults,
    /// How many tables and bytes a namespace may hold.
    pub quotas: SharedQuotas,
    /// How long and how many idempotency keys are remembered.
    pub keys: KeyLimits,
    /// Tickets whose used reads are remembered, at most; an eighth of the memory bounds them too.
    pub counted_tickets_max: u64,
    /// Who merges small segments, drops what has expired, and moves tables to disk.
    pub merging: Merging,
}

/// How much memory a store may take, and what it does when that is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// The budget for tables in memory, puts that are under way, and messages that are made for readers.
    pub limit: ByteSize,
    /// Bytes of ephemeral tables that may be on disk at once; `None` bounds them by the disk alone.
    pub spill_max: Option<ByteSize>,
    /// What messages may take that were compressed for readers and are kept for the next; `None`: an eighth of the limit.
    pub frames_max: Option<ByteSize>,
    /// Room that spilling leaves on the disk; of a small one a twentieth.
    pub disk_free_min: ByteSize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { limit: ByteSize::bytes(u64::MAX), spill_max: None, frames_max: None, disk_free_min: ByteSize::gib(1) }
    }
}

impl MemoryOptions {
    /// From here on tables are moved to disk.
    pub(crate) fn high(&self) -> ByteSize {
        self.part(14)
    }

    /// Until here.
    pub(crate) fn low(&self) -> ByteSize {
        self.part(12)
    }

    /// From here on puts wait. What is left is for what they take between two looks.
    pub(crate) fn short(&self) -> ByteSize {
        self.part(15)
    }

    /// What frames may take.
    pub(crate) fn frames_max(&self) -> ByteSize {
        self.frames_max.unwrap_or_else(|| self.part(2))
    }

    fn part(&self, sixteenths: u64) -> ByteSize {
        ByteSize::bytes(self.limit.as_u64() / 16 * sixteenths)
    }
}

/// Who merges small segments, and drops what has expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merging {
    /// Threads of the store, as soon as there is something to do.
    #[default]
    Background,
    /// A test, step by step.
    ByHand,
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
            memory: MemoryOptions::default(),
            retention: RetentionDefaults::default(),
            quotas: SharedQuotas::default(),
            keys: KeyLimits::default(),
            counted_tickets_max: 900_000,
            merging: Merging::default(),
        }
    }
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
    /// What it changes of the retention; the rest is the table's own, or for a new table the default of its name.
    pub retention: RetentionChange,
    /// What makes it safe to repeat: see [`Put`](crate::Put).
    pub key: Option<PutKey>,
    /// Who puts, and so owns the table if the put gives it its whole content. `None` where callers are not told apart. Doors leave
    /// it to the exchange.
    pub caller: Option<Arc<str>>,
}

impl PutSpec {
    /// A put that replaces the content of a table, and keeps all else as it is.
    pub fn new(table: TableName) -> Self {
        let retention = RetentionChange::default();
        Self { table, mode: PutMode::Replace, durability: None, retention, key: None, caller: None }
    }
}
