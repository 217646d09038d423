//! Puts that are safe to repeat: the key of a put, what was put with it, and what it was answered.
//!
//! ```text
//! begin     is the key known?  no ──▶ a put as any other, and a running hash of its rows
//!                              yes ─▶ the rows are checked and hashed, and not kept
//! commit    key known and same content ──▶ the receipt of the first
//!           key known, other content ────▶ idempotency_conflict
//!           else the key with hash and receipt, in the transaction of the version
//! ```
//!
//! Of two puts with one key at the same time, the one that is complete first is the first. Neither waits for the other: a
//! client that stalls holds nobody up, and one that fails leaves nothing that the other would have to wait out.

use std::time::Duration;

use airlane_model::{ByteSize, Durability, Error, PutKey, PutMode, Receipt, Result, RetentionChange, TableName, codes};
use airlane_segment::TableSchema;
use xxhash_rust::xxh3::Xxh3;

use crate::blocking::in_place;
use crate::catalog::{KeyFacts, StoredKey, key_hash};
use crate::shared::Shared;
use crate::slot::SharedCatalog;
use crate::store::Store;

mod book;

pub(crate) use book::KeyBook;

/// How long and how many keys are remembered.
#[derive(Clone, Copy, Debug)]
pub struct KeyLimits {
    /// Keys younger than this are remembered, as far as there is room for them.
    pub time: Duration,
    /// So many of the newest are remembered, however old they are.
    pub count: u64,
    /// What the keys of durable tables may take. The oldest go first when they would take more.
    pub durable_bytes: ByteSize,
    /// The same for ephemeral tables; this is memory.
    pub ephemeral_bytes: ByteSize,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(24 * 60 * 60),
            count: 1_000_000,
            durable_bytes: ByteSize::mib(1_280),
            ephemeral_bytes: ByteSize::mib(384),
        }
    }
}

impl KeyLimits {
    pub(crate) fn bytes(&self, durability: Durability) -> u64 {
        match durability {
            Durability::Ephemeral => self.ephemeral_bytes.as_u64(),
            Durability::Durable => self.durable_bytes.as_u64(),
        }
    }
}

/// The key of a put in progress.
#[derive(Debug)]
pub(crate) struct Keyed {
    key: PutKey,
    /// The hash of what the put asks for beside its rows.
    asks: u128,
    /// The first put with the key, if it was done before this one began.
    first: Option<StoredKey>,
}

/// The key of a put whose rows are complete.
#[derive(Clone, Debug)]
pub(crate) struct RequestKey {
    pub(crate) key: PutKey,
    pub(crate) content: u128,
}

impl Keyed {
    /// Looks for the key.
    ///
    /// # Errors
    /// `data_damaged`, `storage_failed`.
    pub(crate) fn begin(
        shared: &Shared,
        key: PutKey,
        table: &TableName,
        mode: PutMode,
        durability: Option<Durability>,
        retention: &RetentionChange,
    ) -> Result<Box<Self>> {
        let first = find(shared, &key, table)?;
        let mut asks = Xxh3::new();
        let mut text = |text: &str| {
            asks.update(&(text.len() as u64).to_le_bytes());
            asks.update(text.as_bytes());
        };
        text(&mode.to_string());
        text(&durability.map(|durability| durability.to_string()).unwrap_or_default());
        for (rule, value) in retention.rules() {
            text(rule);
            text(&value);
        }
        Ok(Box::new(Self { key, asks: asks.digest128(), first }))
    }

    /// The durability that the first put reached, when it was done before.
    pub(crate) fn first(&self) -> Option<Durability> {
        self.first.as_ref().map(|first| first.outcome.durability)
    }

    /// With the rows that were put.
    pub(crate) fn complete(self, schema: &TableSchema, rows: u128) -> Completed {
        let Self { key, asks, first } = self;
        let mut content = Xxh3::new();
        [&asks.to_le_bytes()[..], &rows.to_le_bytes(), schema.message()].iter().for_each(|part| content.update(part));
        let request = RequestKey { key, content: content.digest128() };
        match first {
            Some(first) => Completed::Repeated(request.repeats(&first)),
            None => Completed::New(Box::new(request)),
        }
    }
}

/// What became of the key of a put.
pub(crate) enum Completed {
    /// It was not known when the put began.
    New(Box<RequestKey>),
    /// It was; the answer.
    Repeated(Result<Receipt>),
}

impl RequestKey {
    /// The receipt of the first put, if this one is the same.
    ///
    /// # Errors
    /// `idempotency_conflict`.
    pub(crate) fn repeats(&self, first: &StoredKey) -> Result<Receipt> {
        if self.content == first.content {
            return Ok(first.receipt());
        }
        // Who sent it knows the key, and whoever reads a log need not.
        let message = format!("the key belongs to another put, which made version {}", first.outcome.version);
        Err(Error::new(codes::IDEMPOTENCY_CONFLICT, message)
            .at(format!("table `{}`", first.table))
            .hint("repeat a put with the same rows, schema and options; give other content a key of its own"))
    }
}

/// The first put with a key, wherever its table was kept then.
pub(crate) fn find(shared: &Shared, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
    // Most keys are new, and then no catalog is asked: the durable one may be waiting for the disk.
    if !shared.keys.may_know(key_hash(key, table)) {
        return Ok(None);
    }
    let find_in = |catalog: &SharedCatalog| {
        let mut catalog = catalog.lock();
        catalog.as_mut().ok_or_else(|| shared.closed())?.find_key(key, table)
    };
    if let Some(found) = find_in(&shared.ephemeral.catalog)? {
        return Ok(Some(found));
    }
    match &shared.origin {
        Some(origin) => in_place(|| find_in(&origin.catalog)),
        None => Ok(None),
    }
}

impl Store {
    /// How many keys of puts are remembered.
    pub fn idempotency_keys(&self) -> u64 {
        self.shared().keys.count()
    }
}

/// Takes note of the keys that a start found.
pub(crate) fn take_over(book: &KeyBook, found: &[KeyFacts]) {
    book.keep(Durability::Durable, found);
    let damaged = found.iter().filter(|key| key.is_damaged).count();
    if damaged > 0 {
        tracing::error!(
            damaged,
            "what the catalog has of puts with idempotency keys is damaged; repeating them is refused"
        );
    }
}
