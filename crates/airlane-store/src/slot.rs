//! A segment of a table: its facts always, its bytes when first read.
//!
//! A segment that a put has just written is open already. After a restart the first reader opens it: a file is read
//! through once with `pread`, where a bad sector is an error and not a signal, and its checksum compared; then it is
//! mapped. What is damaged is remembered and answers the same to everyone.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_model::{Durability, Error, Result, SegmentId, TableName, codes};
use airlane_segment::home::HomeKind;
use airlane_segment::{Charge, Home, MemoryBudget, MemoryUse, Segment, Trust};
use arrow_buffer::Buffer;
use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::{Catalog, Place, StoredDictionary, StoredSegment};
use crate::disk::Disk;
use crate::error::storage;
use crate::facts;
use crate::folder::{Paths, label_of};
use crate::memory::Memory;
use crate::uptime::Uptime;

/// Bytes that are read at once when a file is compared with its checksum.
const READ_BYTES: usize = 1 << 20;

/// A segment of a snapshot, opened when first read.
#[derive(Clone, Debug)]
pub struct SegmentRef(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    table: TableName,
    facts: StoredSegment,
    origin: Option<Arc<Origin>>,
    opened: RwLock<Option<Arc<Segment>>>,
    /// Why the segment cannot be read, once that is certain. Locked while one reader opens it for all.
    damage: Mutex<Option<String>>,
    /// Merging it with its neighbours did not make them fewer.
    settled: AtomicBool,
    /// No table has it any more.
    retired: AtomicBool,
    /// What all of this takes.
    _charge: Charge,
}

/// Where segments that are not in memory come from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) paths: Paths,
    pub(crate) catalog: SharedCatalog,
    pub(crate) memory: Arc<Memory>,
}

/// The durable catalog; `None` once the store is closed.
pub(crate) type SharedCatalog = Arc<Mutex<Option<Box<dyn Catalog>>>>;

/// Where the bytes of a segment are, as far as memory goes.
pub(crate) enum Residence {
    /// In memory, and nowhere else.
    Memory(Arc<Segment>),
    /// In memory, so many bytes, and also where they can be read again.
    Again(u64),
    /// Not in memory.
    Elsewhere,
}

enum Failure {
    /// The bytes are not those that were written, and never will be.
    Damaged(String),
    /// This attempt failed, the next may not.
    Now(Error),
}

impl SegmentRef {
    /// A segment that was just written.
    pub(crate) fn written(
        table: TableName,
        facts: StoredSegment,
        segment: Arc<Segment>,
        origin: Option<Arc<Origin>>,
        budget: &MemoryBudget,
    ) -> Self {
        let slot = Self::stored(table, facts, origin, budget);
        *slot.0.opened.write() = Some(segment);
        slot
    }

    /// A segment that an earlier process wrote.
    pub(crate) fn stored(
        table: TableName,
        facts: StoredSegment,
        origin: Option<Arc<Origin>>,
        budget: &MemoryBudget,
    ) -> Self {
        let durability = if facts.place == Place::Memory { Durability::Ephemeral } else { Durability::Durable };
        let _charge = facts::segment(budget, durability, facts.dictionaries.len());
        Self(Arc::new(Slot {
            table,
            facts,
            origin,
            opened: RwLock::new(None),
            damage: Mutex::new(None),
            settled: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            _charge,
        }))
    }

    /// Its rows.
    pub fn rows(&self) -> u64 {
        self.0.facts.rows
    }

    /// The bodies of its record batches and dictionaries, in bytes.
    pub fn payload_bytes(&self) -> u64 {
        self.0.facts.payload_bytes
    }

    /// Whether it was opened since the start, so that [`open`](Self::open) answers at once.
    pub fn is_open(&self) -> bool {
        self.0.opened.read().is_some()
    }

    /// Whether it is known that it cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        // Locked for long only while a reader opens it, who will then know.
        self.0.damage.try_lock().is_some_and(|damage| damage.is_some())
    }

    /// When its newest row was put.
    pub(crate) fn uptime(&self) -> Uptime {
        self.0.facts.uptime
    }

    /// Its dictionaries, in the order of their ids.
    pub fn dictionaries(&self) -> &[StoredDictionary] {
        &self.0.facts.dictionaries
    }

    /// The segment; the first call after a start reads the file and compares its checksum (blocking).
    ///
    /// # Errors
    /// `data_damaged`; `storage_failed` when the disk could not be asked, which a later call may.
    pub fn open(&self) -> Result<Arc<Segment>> {
        if let Some(segment) = self.opened() {
            return Ok(segment);
        }
        let mut damage = self.0.damage.lock();
        if let Some(segment) = self.opened() {
            return Ok(segment);
        }
        if let Some(reason) = &*damage {
            return Err(self.damaged(reason));
        }
        match self.read() {
            Ok(segment) => Ok(self.0.opened.write().insert(Arc::new(segment)).clone()),
            Err(Failure::Now(error)) => Err(error.at(self.place())),
            Err(Failure::Damaged(reason)) => {
                tracing::error!(table = %self.0.table, segment = %self.id(), reason, "a segment is damaged");
                let error = self.damaged(&reason);
                *damage = Some(reason);
                Err(error)
            }
        }
    }

    fn opened(&self) -> Option<Arc<Segment>> {
        self.0.opened.read().clone()
    }

    /// Where its bytes are, as far as memory goes.
    pub(crate) fn residence(&self) -> Residence {
        let Some(opened) = self.opened() else { return Residence::Elsewhere };
        match (self.0.facts.place, opened.home_kind()) {
            (Place::Memory, HomeKind::Heap | HomeKind::Memfd) => Residence::Memory(opened),
            (Place::Catalog, _) => Residence::Again(opened.file_bytes().len() as u64),
            (Place::Memory | Place::File, _) => Residence::Elsewhere,
        }
    }

    /// Its bytes in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        match self.residence() {
            Residence::Memory(opened) => opened.file_bytes().len() as u64,
            Residence::Again(bytes) => bytes,
            Residence::Elsewhere => 0,
        }
    }

    /// Forgets the bytes of a segment that the catalog holds; the next reader asks for them again.
    pub(crate) fn let_go(&self) {
        if self.0.facts.place == Place::Catalog {
            let opened = self.0.opened.write().take();
            // The lock is not held any more.
            drop(opened);
        }
    }

    /// Puts the segment that was moved in the place of what it was moved from.
    pub(crate) fn replace(&self, from: &Arc<Segment>, moved: Segment) {
        let mut opened = self.0.opened.write();
        if opened.as_ref().is_some_and(|opened| Arc::ptr_eq(opened, from)) {
            *opened = Some(Arc::new(moved));
        }
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.0.facts.id
    }

    pub(crate) fn facts(&self) -> &StoredSegment {
        &self.0.facts
    }

    /// Its own file, anew, where it has one and that is still there.
    pub(crate) fn open_file(&self) -> Result<Option<OwnedFd>> {
        let Some(origin) = &self.0.origin else { return Ok(None) };
        let path = origin.paths.segment(self.id());
        let opened = origin.disk.open(&path).and_then(|file| file.as_file().try_clone());
        match opened {
            Ok(file) => Ok(Some(file.into())),
            // The table was dropped while it is read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage("open a segment", &path, error)),
        }
    }

    /// Whether somebody else than the caller refers to it.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(crate) fn mark_damaged(&self, reason: &str) {
        *self.0.damage.lock() = Some(reason.to_owned());
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.0.settled.load(Ordering::Relaxed)
    }

    pub(crate) fn settle(&self) {
        self.0.settled.store(true, Ordering::Relaxed);
    }

    /// Whether no table has it any more; readers may.
    pub(crate) fn is_retired(&self) -> bool {
        self.0.retired.load(Ordering::SeqCst)
    }

    pub(crate) fn retire(&self) {
        self.0.retired.store(true, Ordering::SeqCst);
    }

    fn place(&self) -> String {
        format!("table `{}`, segment {}", self.0.table, self.0.facts.id)
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::new(codes::DATA_DAMAGED, format!("stored data of table `{}` is damaged: {reason}", self.0.table))
            .at(self.place())
            .hint("put the table again, or restore the data folder from a backup")
    }

    fn read(&self) -> Result<Segment, Failure> {
        let facts = &self.0.facts;
        let closed = || Failure::Now(Error::new(codes::SHUTTING_DOWN, "the store is closed"));
        let home = match (facts.place, self.0.origin.as_deref()) {
            (Place::File, Some(origin)) => read_file(origin, facts)?,
            (Place::Catalog, Some(origin)) => {
                let mut catalog = origin.catalog.lock();
                let home = read_body(catalog.as_deref_mut().ok_or_else(closed)?, facts, &origin.memory)?;
                drop(catalog);
                origin.memory.relieve();
                home
            }
            (Place::Memory, _) | (_, None) => return Err(closed()),
        };
        let segment = Segment::open(home, Trust::Validated).map_err(|error| Failure::Damaged(error.to_string()))?;
        if segment.rows() != facts.rows {
            let reason = format!("it has {} rows, the catalog says {}", segment.rows(), facts.rows);
            return Err(Failure::Damaged(reason));
        }
        Ok(segment)
    }
}

fn read_file(origin: &Origin, facts: &StoredSegment) -> Result<Home, Failure> {
    let path = origin.paths.segment(facts.id);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Damaged("its file is missing".into()),
        io::ErrorKind::UnexpectedEof => Failure::Damaged("its file is shorter than it was written".into()),
        // EIO: the sector is bad. Other errors, such as too many open files, say nothing about the bytes.
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            Failure::Damaged(format!("its file cannot be read: {error}"))
        }
        _ => Failure::Now(storage("read a segment", &path, error)),
    };
    let length = origin.disk.len(&path).map_err(failed)?;
    if length != facts.file_bytes {
        return Err(Failure::Damaged(format!("its file has {length} bytes, {} were written", facts.file_bytes)));
    }
    let file = origin.disk.open(&path).map_err(failed)?;
    let mut hash = Xxh3::new();
    let mut chunk = vec![0; READ_BYTES];
    let mut offset = 0;
    while offset < length {
        let part = usize::try_from(length - offset).unwrap_or(usize::MAX).min(READ_BYTES);
        file.read_exact_at(&mut chunk[..part], offset).map_err(failed)?;
        hash.update(&chunk[..part]);
        offset += part as u64;
    }
    compare(hash.digest(), facts)?;
    Home::map_file(file.as_file(), length, label_of(facts.id)).map_err(failed)
}

fn read_body(catalog: &mut dyn Catalog, facts: &StoredSegment, memory: &Memory) -> Result<Home, Failure> {
    let body = catalog.body(facts.id).map_err(|error| match error.code() {
        codes::DATA_DAMAGED => Failure::Damaged(error.message().to_owned()),
        _ => Failure::Now(error),
    })?;
    if body.len() as u64 != facts.file_bytes {
        return Err(Failure::Damaged(format!("it has {} bytes, {} were written", body.len(), facts.file_bytes)));
    }
    compare(xxhash_rust::xxh3::xxh3_64(&body), facts)?;
    let charge = memory.budget.overdraw(MemoryUse::Tables, facts.file_bytes);
    Ok(Home::heap(Buffer::from(body), charge))
}

fn compare(checksum: u64, facts: &StoredSegment) -> Result<(), Failure> {
    if checksum == facts.checksum {
        return Ok(());
    }
    Err(Failure::Damaged(format!("its checksum is {checksum:016x}, {:016x} was written", facts.checksum)))
}
