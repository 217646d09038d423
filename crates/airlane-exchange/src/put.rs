//! A put as a door sees it.

use std::fmt;
use std::sync::Arc;

use airlane_model::{Happening, Receipt, Result, TableChange, TableName};
use airlane_segment::{Segment, TableSchema};
use airlane_store::{Put, PutSpec, Store};
use arrow_array::RecordBatch;

use crate::contracts::Contracts;
use crate::enforce::Guard;

/// Takes a put's messages or batches, then commits them. Dropping it leaves nothing behind.
///
/// Before each piece: [`room`](Self::room). For each message of a stream: [`begin`](Self::begin), [`body`](Self::body) for each chunk, [`end`](Self::end).
pub struct PutStream {
    put: Put,
    /// The contract of the table, where one is bound to it.
    guard: Option<Box<Guard>>,
    refusals: RefusedPuts,
}

/// Begins puts.
#[derive(Clone, Debug)]
pub(crate) struct Putting {
    pub(crate) store: Store,
    pub(crate) contracts: Arc<Contracts>,
}

impl Putting {
    /// Begins a put of a stream whose schema message is given, by a caller who may.
    pub(crate) fn stream(&self, spec: PutSpec, schema_header: &[u8]) -> Result<PutStream> {
        let refusals = RefusedPuts::of(&self.store, &spec.table);
        let begun = self.contracts.of(&spec.table).and_then(|in_force| match in_force {
            None => Ok((self.store.put_stream(spec, schema_header)?, None)),
            Some(in_force) => {
                let decoder = self.store.decoder(schema_header)?;
                let guard = Guard::begin(&self.store, &in_force, &spec, decoder.schema().arrow())?;
                let put = self.store.put_batches(spec, guard.schema()?)?;
                Ok((put, Some(Box::new(guard.with_wire(decoder)))))
            }
        });
        refusals.tell(begun).map(|(put, guard)| PutStream { put, guard, refusals })
    }

    /// Begins a put of batches, by a caller who may.
    pub(crate) fn batches(&self, spec: PutSpec, schema: TableSchema) -> Result<PutStream> {
        let refusals = RefusedPuts::of(&self.store, &spec.table);
        let begun = self.contracts.of(&spec.table).and_then(|in_force| match in_force {
            None => Ok((self.store.put_batches(spec, schema)?, None)),
            Some(in_force) => {
                let guard = Guard::begin(&self.store, &in_force, &spec, schema.arrow())?;
                let put = self.store.put_batches(spec, guard.schema()?)?;
                Ok((put, Some(Box::new(guard))))
            }
        });
        refusals.tell(begun).map(|(put, guard)| PutStream { put, guard, refusals })
    }
}

/// Tells watchers of a put that is refused. One by who may not put is none of the table.
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
        let begun = match &mut self.guard {
            None => self.put.begin(header, body_bytes),
            Some(guard) => guard.begin_message(header, body_bytes),
        };
        self.refusals.tell(begun)
    }

    /// Takes the next chunk of the message's body.
    ///
    /// # Errors
    /// `message_invalid`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        let taken = match &mut self.guard {
            None => self.put.body(chunk),
            Some(guard) => guard.take_body(chunk),
        };
        self.refusals.tell(taken)
    }

    /// Ends the message: validates and lays out its rows.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`, `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn end(&mut self) -> Result<()> {
        let ended = match &mut self.guard {
            None => self.put.end(),
            Some(guard) => match guard.end_message() {
                Ok(Some(good)) => self.put.append(&good),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        self.refusals.tell(ended)
    }

    /// Takes a batch made in this process.
    ///
    /// # Errors
    /// `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let taken = match &mut self.guard {
            None => self.put.append(batch),
            Some(guard) => guard.check(batch).and_then(|good| self.put.append(&good)),
        };
        self.refusals.tell(taken)
    }

    /// Whether segments stay in memory as they are: nothing is written to a disk, and no contract looks at them.
    pub(crate) fn stays_in_memory(&self) -> bool {
        self.guard.is_none() && self.put.stays_in_memory()
    }

    /// Takes a segment that another process has laid out.
    pub(crate) fn adopt(&mut self, segment: Segment) -> Result<()> {
        let adopted = match &mut self.guard {
            None => self.put.adopt(segment),
            Some(guard) => adopt_guarded(&mut self.put, guard, segment),
        };
        self.refusals.tell(adopted)
    }

    /// Makes the put visible, whole. When this answers `Ok` the version is kept at its durability.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict`, `idempotency_conflict`, `quota_exceeded`, `memory_full`, `storage_full`,
    /// `storage_failed`: nothing was kept.
    /// `commit_unknown`: see there.
    pub async fn commit(self) -> Result<Receipt> {
        let Self { put, guard, refusals } = self;
        let contract = match guard {
            None => None,
            Some(guard) => Some(refusals.tell(guard.finish().await)?),
        };
        let receipt = refusals.tell(put.commit().await)?;
        Ok(Receipt { contract, ..receipt })
    }
}

/// A segment that was laid out elsewhere stays as it is when all of it is good and nothing is changed.
fn adopt_guarded(put: &mut Put, guard: &mut Guard, segment: Segment) -> Result<()> {
    let mut good = Vec::with_capacity(segment.batch_count());
    for index in 0..segment.batch_count() {
        good.push(guard.check(&segment.batch(index)?)?);
    }
    match guard.only_looks() {
        true => put.adopt(segment),
        false => good.iter().try_for_each(|batch| put.append(batch)),
    }
}

impl fmt::Debug for PutStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutStream").finish_non_exhaustive()
    }
}
