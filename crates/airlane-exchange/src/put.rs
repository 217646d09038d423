//! A put as a door sees it.

use std::fmt;

use airlane_model::{Happening, Receipt, Result, TableChange, TableName};
use airlane_segment::{Segment, TableSchema};
use airlane_store::{Put, Store};
use arrow_array::RecordBatch;

/// Takes a put's messages or batches, then commits them. Dropping it leaves nothing behind.
///
/// Before each piece: [`room`](Self::room). For each message of a stream: [`begin`](Self::begin), [`body`](Self::body) for each chunk, [`end`](Self::end).
pub struct PutStream {
    put: Put,
    refusals: RefusedPuts,
}

/// Tells watchers of a put that is refused.
pub(crate) struct RefusedPuts {
    store: Store,
    table: TableName,
}

impl RefusedPuts {
    pub(crate) fn of(store: &Store, table: &TableName) -> Self {
        Self { store: store.clone(), table: table.clone() }
    }

    pub(crate) fn tell<T>(&self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            let (code, message) = (error.code().name().to_owned(), error.message().to_owned());
            let (time, table) = (self.store.clock().now(), self.table.clone());
            let what = Happening::Refused { code, message };
            self.store.changes().note([TableChange { time, table, table_id: None, what }]);
        })
    }
}

impl PutStream {
    pub(crate) fn new(put: Put, refusals: RefusedPuts) -> Self {
        Self { put, refusals }
    }

    /// The schema of the put.
    pub fn schema(&self) -> &TableSchema {
        self.put.schema()
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.put.rows()
    }

    /// Waits while the server is short of memory for a piece of so many bytes. To be called before each one that is taken.
    ///
    /// # Errors
    /// `memory_full` when waiting is of no use; `shutting_down`.
    pub async fn room(&mut self, bytes: u64) -> Result<()> {
        self.refusals.tell(self.put.room(bytes).await)
    }

    /// Begins a message: judges its header and the length of the body that will follow.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`.
    pub fn begin(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        self.refusals.tell(self.put.begin(header, body_bytes))
    }

    /// Takes the next chunk of the message's body.
    ///
    /// # Errors
    /// `message_invalid`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        self.refusals.tell(self.put.body(chunk))
    }

    /// Ends the message: validates and lays out its rows.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`, `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn end(&mut self) -> Result<()> {
        self.refusals.tell(self.put.end())
    }

    /// Takes a batch made in this process.
    ///
    /// # Errors
    /// `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.refusals.tell(self.put.append(batch))
    }

    /// Takes a segment that another process has laid out.
    pub(crate) fn adopt(&mut self, segment: Segment) -> Result<()> {
        self.refusals.tell(self.put.adopt(segment))
    }

    /// Makes the put visible, whole. When this answers `Ok` the version is kept at its durability.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict`, `idempotency_conflict`, `quota_exceeded`, `memory_full`, `storage_full`,
    /// `storage_failed`: nothing was kept.
    /// `commit_unknown`: see there.
    pub async fn commit(self) -> Result<Receipt> {
        let Self { put, refusals } = self;
        refusals.tell(put.commit().await)
    }
}

impl fmt::Debug for PutStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutStream").finish_non_exhaustive()
    }
}
