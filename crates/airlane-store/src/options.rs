//! What a store is opened with, and what a put is to do.

use std::path::PathBuf;
use std::sync::Arc;

use airlane_model::{
    Chance, Clock, Durability, PutKey, PutMode, RetentionChange, RetentionDefaults, SystemChance, SystemClock,
    TableName,
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
    /// How long new tables are kept that say nothing themselves.
    pub retention: RetentionDefaults,
    /// How long and how many idempotency keys are remembered.
    pub keys: KeyLimits,
    /// Who merges small segments, and drops what has expired.
    pub merging: Merging,
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
            retention: RetentionDefaults::default(),
            keys: KeyLimits::default(),
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
}
