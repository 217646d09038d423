//! The keys of puts, as a catalog keeps them: in the order in which they were committed.

use airlane_model::{Durability, PutKey, Receipt, TableId, TableName, Ticket, Version};
use xxhash_rust::xxh3::Xxh3;

use crate::uptime::Uptime;

/// A put that had a key, and what it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The key, and whose it is.
    pub key: PutKey,
    /// The table that was put. A key counts for one table.
    pub table: TableName,
    /// The hash of what was put, and of what the put was to do.
    pub content: u128,
    /// What became of it.
    pub outcome: Outcome,
    /// When it was committed.
    pub uptime: Uptime,
}

/// What a put did: the facts of its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The table's identity.
    pub table_id: TableId,
    /// The version that was committed.
    pub version: Version,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The rows that the put brought.
    pub rows_put: u64,
    /// The durability.
    pub durability: Durability,
}

impl Outcome {
    /// What a receipt says.
    pub fn of(receipt: &Receipt) -> Self {
        let Receipt { table_id, version, rows, bytes, rows_put, durability, .. } = *receipt;
        Self { table_id, version, rows, bytes, rows_put, durability }
    }
}

impl StoredKey {
    /// The receipt, as it was.
    pub fn receipt(&self) -> Receipt {
        let Outcome { table_id, version, rows, bytes, rows_put, durability } = self.outcome;
        let ticket = Ticket::version(self.table.clone(), version).to_string();
        Receipt {
            table: self.table.clone(),
            table_id,
            version,
            rows,
            bytes,
            rows_put,
            durability,
            ticket,
            contract: None,
        }
    }

    /// About what it takes where it is kept.
    fn bytes(&self) -> u32 {
        let texts = self.key.caller.len() + self.key.key.as_str().len() + self.table.as_str().len();
        let bytes = match self.outcome.durability {
            // Texts are not kept there.
            Durability::Ephemeral => EPHEMERAL_KEY_BYTES,
            Durability::Durable => ROW_BYTES + texts as u64,
        };
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// What finds it.
    pub fn facts(&self) -> KeyFacts {
        KeyFacts {
            hash: key_hash(&self.key, &self.table),
            also: None,
            bytes: self.bytes(),
            uptime: self.uptime,
            is_damaged: false,
        }
    }
}

/// What is known of each key without asking the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// See [`key_hash`].
    pub hash: u64,
    /// What its hash may be, too, where damage hides which it is.
    pub also: Option<u64>,
    /// About what it takes, on disk or in memory.
    pub bytes: u32,
    /// When it was committed; 0 when that is damaged.
    pub uptime: Uptime,
    /// Its row does not match its checksum.
    pub is_damaged: bool,
}

/// What a key of a durable table takes on disk beside its texts.
pub(crate) const ROW_BYTES: u64 = 320;

/// What a key of an ephemeral table takes in memory, with what finds it: see `examples/remembered.rs`.
pub(crate) const EPHEMERAL_KEY_BYTES: u64 = 256;

/// xxh3-64 of caller, table and key, each after its length. Others may have the same.
pub fn key_hash(key: &PutKey, table: &TableName) -> u64 {
    hash_of([key.caller.as_bytes(), table.as_str().as_bytes(), key.key.as_str().as_bytes()])
}

pub(super) fn hash_of(texts: [&[u8]; 3]) -> u64 {
    let mut hash = Xxh3::new();
    for text in texts {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.digest()
}
