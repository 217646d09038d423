//! A put in progress.

use std::fmt;
use std::sync::Arc;

use airlane_model::{Durability, Error, PutMode, Receipt, Result, RetentionChange, TableName, codes};
use airlane_segment::home::HomeKind;
use airlane_segment::{Intake, Segment};
use arrow_array::RecordBatch;
use tokio::sync::oneshot;
use tokio::task;

use crate::blocking::in_place;
use crate::commit::Job;
use crate::expiry::make_way;
use crate::keys::{Completed, Keyed, RequestKey};
use crate::memory::to_disk;
use crate::merge::wait_for_room;
use crate::request::{PutRequest, Written};
use crate::shared::Shared;
use crate::staging::Staging;

/// A put in progress. Dropping it leaves nothing behind.
pub struct Put {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: TableName,
    pub(crate) mode: PutMode,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) durability: Durability,
    pub(crate) retention: RetentionChange,
    pub(crate) intake: Box<Intake>,
    pub(crate) staging: Option<Arc<Staging>>,
    pub(crate) keyed: Option<Box<Keyed>>,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, mode, durability, .. } = self;
        f.debug_struct("Put")
            .field("table", table)
            .field("mode", mode)
            .field("durability", durability)
            .finish_non_exhaustive()
    }
}

impl Put {
    /// Waits while memory is short for a piece of so many bytes. To be called before each piece that is taken; without it
    /// a piece is refused that finds no memory at once.
    ///
    /// # Errors
    /// `memory_full` when nothing can go to disk any more, not even what the put has taken so far; `shutting_down`.
    pub async fn room(&mut self, bytes: u64) -> Result<()> {
        // What was gathered is laid out when its last piece comes.
        let bytes = bytes.saturating_add(self.intake.gathered_bytes());
        while let Err(error) = self.shared.memory.room(&self.shared, bytes).await {
            if error.code() != codes::MEMORY_FULL || !in_place(|| self.move_to_disk()) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Moves the segments that are finished and in memory to disk; tells whether there were any.
    fn move_to_disk(&mut self) -> bool {
        let mut has_moved = false;
        for segment in self.intake.sealed_mut() {
            if segment.home_kind() == HomeKind::File {
                continue;
            }
            match to_disk(&self.shared, &[&*segment]).map(|mut moved| moved.pop()) {
                Ok(Some(moved)) => {
                    *segment = moved;
                    has_moved = true;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a put under way cannot be moved to disk");
                    break;
                }
            }
        }
        has_moved
    }

    /// Begins a message: judges its header and the length of the body that will follow.
    ///
    /// # Errors
    /// `message_invalid`, `message_order_invalid`, `limit_exceeded`, `storage_full`, `storage_failed`.
    pub fn begin(&mut self, header: &[u8], body_bytes: u64) -> Result<()> {
        self.intake.begin(header, body_bytes)
    }

    /// Takes the next chunk of the message's body.
    ///
    /// # Errors
    /// `message_invalid`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn body(&mut self, chunk: &[u8]) -> Result<()> {
        self.intake.body(chunk)
    }

    /// Ends the message: validates and lays out its rows.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`, `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn end(&mut self) -> Result<()> {
        if self.intake.ends_late() { in_place(|| self.intake.end()) } else { self.intake.end() }
    }

    /// Takes a batch made in this process.
    ///
    /// # Errors
    /// `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.intake.append(batch)
    }

    /// Takes a segment that another process has laid out. It stays in the memory in which it came, if the table is one of
    /// memory and the segment is not small; else it is copied (blocking).
    ///
    /// # Errors
    /// `schema_mismatch`, `limit_exceeded`, `memory_full`, `storage_full`, `storage_failed`.
    pub fn adopt(&mut self, segment: Segment) -> Result<()> {
        let (rows, rows_max) = (self.rows().saturating_add(segment.rows()), self.shared.limits.put_rows_max);
        if rows > rows_max {
            let message = format!("the put has {rows} rows, the limit is {rows_max}");
            return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("put the rows in several versions"));
        }
        self.intake.adopt(segment)
    }

    /// The schema of the put.
    pub fn schema(&self) -> &airlane_segment::TableSchema {
        self.intake.schema()
    }

    /// Whether what is taken stays in memory for now.
    pub fn stays_in_memory(&self) -> bool {
        self.staging.is_none()
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.intake.rows()
    }

    /// Makes the put visible, whole, at its durability. When this answers `Ok` the version is kept. Must be polled
    /// inside a tokio runtime, whose blocking threads seal and sync the tail of a large put. Once the commit is under way, dropping
    /// the future no longer stops it.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict` (another put came first), `idempotency_conflict`, `quota_exceeded`,
    /// `memory_full`, `storage_full`, `storage_failed`, `shutting_down`: nothing was kept. `commit_unknown`: see there.
    pub async fn commit(mut self) -> Result<Receipt> {
        self.shared.check_open()?;
        let key = match self.complete_key() {
            None => None,
            Some(Completed::New(key)) => Some(key),
            // A stream that is not complete is refused as that of any put.
            Some(Completed::Repeated(answer)) => return self.intake.finish().and(answer),
        };
        self.room(0).await?;
        if self.mode == PutMode::Append {
            wait_for_room(&self.shared, &self.table).await?;
        }
        make_way(&self.shared, &self.table, self.durability).await;
        let shared = self.shared.clone();
        let durability = self.durability;
        let (request, staging) = if self.is_ready() {
            self.seal(key)?
        } else {
            task::spawn_blocking(move || self.seal(key)).await.map_err(|error| interrupted(&error))??
        };
        let (reply, answer) = oneshot::channel();
        shared.submit(durability, Job::Put(Box::new(request), staging, reply));
        answer.await.unwrap_or_else(|_| Err(shared.closed()))
    }

    /// Whether [`seal`](Self::seal) is a matter of microseconds.
    fn is_ready(&self) -> bool {
        // In memory the segments of a put are named and no more; there are few, or their bytes took far longer to come.
        self.intake.finishes_at_once() || (self.staging.is_none() && self.intake.is_sealed())
    }

    /// Seals the tail and makes everything durable but the catalog.
    fn seal(self, key: Option<Box<RequestKey>>) -> Result<(PutRequest, Option<Arc<Staging>>)> {
        let Self { shared, table, mode, caller, durability, retention, intake, staging, .. } = self;
        let (schema, rows) = (intake.schema().clone(), intake.rows());
        let chance = shared.chance.as_ref();
        let sealed = intake.finish()?;
        let segments = sealed.into_iter().map(|segment| Written::new(segment, durability, chance)).collect();
        if let Some(staging) = &staging {
            staging.sync_names()?;
        }
        Ok((PutRequest { table, mode, caller, retention, schema, rows, segments, key }, staging))
    }

    /// What becomes of the put by its key, now that its rows are there.
    fn complete_key(&mut self) -> Option<Completed> {
        let rows = self.intake.fingerprint()?;
        Some(self.keyed.take()?.complete(self.intake.schema(), rows))
    }
}

fn interrupted(error: &task::JoinError) -> Error {
    let reason = if error.is_panic() { "it panicked" } else { "the runtime is stopping" };
    Error::new(codes::INTERNAL, format!("sealing a put did not end: {reason}"))
}
