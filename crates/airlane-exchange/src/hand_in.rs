//! A put whose segments another process on this machine has laid out, in memory that it hands over.

use std::fmt;
use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{BorrowedFd, OwnedFd};

use airlane_model::{Caller, Error, Receipt, Result, TableName, codes};
use airlane_segment::home::storage_error;
use airlane_segment::segment::footer_bytes;
use airlane_segment::{Home, HomeFactory, SealedMemfds, Sealing, Segment, Trust};
use airlane_store::PutSpec;

use crate::put::Putting;
use crate::{Exchange, PutStream, access};

/// Validating a segment of this size takes a quarter of a millisecond at most.
const QUICK_BYTES_MAX: u64 = 1 << 20;

/// A footer has 24 bytes for each message, so there are 170 of them at most.
const QUICK_FOOTER_BYTES_MAX: u64 = 4 << 10;

/// How much of a file is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Whose segments they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producer {
    /// Anybody: memory must be sealed so that nobody can change it any more, and everything in it is validated.
    Stranger,
    /// A worker that the server was told to trust: it may have writable mappings left, and values are believed.
    Worker,
}

impl Producer {
    fn sealing(self) -> Sealing {
        match self {
            Self::Stranger => Sealing::Whole,
            Self::Worker => Sealing::Future,
        }
    }
}

/// Takes segments as they are finished, then commits them as one put. Dropping it leaves nothing behind.
///
/// Before each segment: [`judge`](Self::judge), then [`room`](Self::room).
pub struct HandIn {
    putting: Putting,
    producer: Producer,
    table: TableName,
    put: Begun,
}

enum Begun {
    /// What is to be put, until the schema is known from the first segment.
    Not(Option<Box<PutSpec>>),
    Yes(Box<PutStream>),
}

impl Exchange {
    /// Begins a put of segments that are handed over.
    ///
    /// # Errors
    /// `permission_denied`, `credentials_missing`, `rate_limited`.
    pub fn hand_in(&self, caller: &Caller, spec: PutSpec, producer: Producer) -> Result<HandIn> {
        let spec = access::begin_put(caller, spec)?;
        let (putting, table) = (self.putting(), spec.table.clone());
        Ok(HandIn { putting, producer, table, put: Begun::Not(Some(Box::new(spec))) })
    }
}

impl HandIn {
    /// The table that is put.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        match &self.put {
            Begun::Not(_) => 0,
            Begun::Yes(put) => put.rows(),
        }
    }

    /// Looks at a memfd that is to hold so many bytes: to be called before [`room`](Self::room), so that nobody waits, and
    /// no table has to leave memory, for what is not there.
    ///
    /// # Errors
    /// `segment_refused`, `storage_failed`.
    pub fn judge(&self, memfd: BorrowedFd<'_>, bytes: u64) -> Result<()> {
        Home::judge(memfd, bytes, self.producer.sealing())
    }

    /// Looks at a file in the same way.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub fn judge_file(&self, file: &File, bytes: u64) -> Result<()> {
        let length = file.metadata().map_err(|error| storage_error("look at a file", error))?.len();
        if length == bytes && bytes > 0 {
            return Ok(());
        }
        let message = format!("the file has {length} bytes, {bytes} were announced");
        Err(Error::new(codes::SEGMENT_REFUSED, message))
    }

    /// Waits while the server is short of memory for a segment of so many bytes.
    ///
    /// # Errors
    /// `memory_full` when waiting is of no use; `shutting_down`.
    pub async fn room(&mut self, bytes: u64) -> Result<()> {
        match &mut self.put {
            Begun::Not(_) => self.putting.store.room(bytes).await,
            Begun::Yes(put) => put.room(bytes).await,
        }
    }

    /// Whether such a memfd, which was [judged](Self::judge), is taken in so little time that no thread has to make way: it is small, and so is
    /// the number of its messages; its columns have no values that others share, which would have to be looked at again and again; and it
    /// stays where it is.
    pub fn is_quick(&self, memfd: BorrowedFd<'_>, bytes: u64) -> bool {
        let Begun::Yes(put) = &self.put else { return false };
        bytes <= QUICK_BYTES_MAX
            && put.stays_in_memory()
            && put.schema().is_flat()
            && footer_bytes(memfd, bytes).is_some_and(|footer| footer <= QUICK_FOOTER_BYTES_MAX)
    }

    /// Takes a memfd that holds one segment of so many bytes and nothing else. Answers its rows. Blocking: it is
    /// validated, and copied where the table is durable.
    ///
    /// # Errors
    /// `segment_refused`, `message_invalid`, `schema_invalid`, `data_invalid`, `limit_exceeded`; `schema_mismatch`,
    /// `durability_conflict`, `quota_exceeded`; `memory_full`, `storage_full`, `storage_failed`, `shutting_down`.
    pub fn take(&mut self, memfd: OwnedFd, bytes: u64) -> Result<u64> {
        let home = Home::adopt(memfd, bytes, self.producer.sealing(), self.putting.store.memory_budget())?;
        self.take_home(home)
    }

    /// Takes a copy of a file that holds one segment of so many bytes and nothing else: for producers that cannot pass
    /// descriptors. Answers its rows. Blocking.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_copy(&mut self, file: &File, bytes: u64) -> Result<u64> {
        let home = copy(file, bytes, SealedMemfds::new(self.putting.store.memory_budget().clone()))?;
        self.take_home(home)
    }

    fn take_home(&mut self, home: Home) -> Result<u64> {
        let trust = match self.producer {
            Producer::Stranger => Trust::Foreign,
            Producer::Worker => Trust::Trusted,
        };
        let segment = Segment::open(home, trust)?;
        let rows = segment.rows();
        self.put(&segment)?.adopt(segment)?;
        Ok(rows)
    }

    fn put(&mut self, first: &Segment) -> Result<&mut PutStream> {
        if let Begun::Not(spec) = &mut self.put {
            let spec = spec.take().ok_or_else(|| {
                Error::new(codes::MESSAGE_ORDER_INVALID, "the put has failed before, at its first segment")
            })?;
            self.put = Begun::Yes(Box::new(self.putting.batches(*spec, first.schema().clone())?));
        }
        match &mut self.put {
            Begun::Yes(put) => Ok(put),
            Begun::Not(_) => Err(Error::new(codes::INTERNAL, "a put that has begun has not")),
        }
    }

    /// Makes the put visible, whole. When this answers `Ok` the version is kept at its durability.
    ///
    /// # Errors
    /// `message_order_invalid` without a segment, which also a table without rows has; else as
    /// [`PutStream::commit`](crate::PutStream::commit).
    pub async fn commit(self) -> Result<Receipt> {
        match self.put {
            Begun::Yes(put) => put.commit().await,
            Begun::Not(_) => {
                let error = Error::new(codes::MESSAGE_ORDER_INVALID, "the put has no segment, and so no schema");
                Err(error.hint("hand over one segment; it may be without rows"))
            }
        }
    }
}

impl fmt::Debug for HandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandIn").field("table", &self.table).field("producer", &self.producer).finish_non_exhaustive()
    }
}

/// The bytes of a file that others may still change, in memory that they cannot.
fn copy(file: &File, bytes: u64, mut homes: SealedMemfds) -> Result<Home> {
    let failed = |error| storage_error("copy a segment", error);
    let mut target = homes.create()?;
    let mut file = file.take(bytes);
    let mut chunk = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        let read = file.read(&mut chunk).map_err(failed)?;
        if read == 0 {
            break;
        }
        target.write_at(copied, &[IoSlice::new(&chunk[..read])]).map_err(failed)?;
        copied += read as u64;
    }
    if copied != bytes || bytes == 0 {
        let message = format!("the file has {copied} bytes, {bytes} were announced");
        return Err(Error::new(codes::SEGMENT_REFUSED, message));
    }
    target.seal(bytes)
}
