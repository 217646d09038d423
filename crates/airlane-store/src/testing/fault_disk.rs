//! A disk whose Nth operation fails, that remembers what was done in which order, and that others may have a say in.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use airlane_model::{Error, PutKey, Result, SegmentId, TableName, codes};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::catalog::counts::StoredCounts;
use crate::catalog::{Catalog, Change, CommitError, KeyFacts, StoredKey, StoredTable};
use crate::disk::{Disk, DiskFile, SystemDisk};
use crate::uptime::Uptime;

/// The machine's disk, with faults.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<(When, Fault)>,
    count: u64,
    log: Vec<(Operation, String)>,
    hook: Option<Hook>,
}

/// Called before each operation, on the thread that asks for it.
#[derive(Clone)]
struct Hook(Arc<dyn Fn(Operation) + Send + Sync>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").finish_non_exhaustive()
    }
}

/// Which operations fail, counted from 1 since the fault was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The Nth one.
    Once(u64),
    /// The Nth one and all that follow.
    From(u64),
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO; a commit is rolled back.
    Failed,
    /// ENOSPC; a commit is rolled back.
    Full,
    /// A write takes only the first half. Other operations do not fail.
    ShortWrite,
    /// A commit is not confirmed, though it was kept. Other operations do not fail.
    UnknownKept,
    /// A commit is not confirmed, and was not kept. Other operations do not fail.
    UnknownLost,
    /// The caller panics, as with a bug in what it does. Commits do not.
    Panic,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for the functions of `Disk`, `DiskFile` and `Catalog`")]
pub enum Operation {
    CreateDir,
    Create,
    Open,
    Rename,
    Unlink,
    List,
    Len,
    SyncDir,
    Write,
    Read,
    SetLen,
    SyncData,
    OpenCatalog,
    Load,
    Commit,
    Body,
    FindKey,
    Purge,
}

impl FaultDisk {
    /// A disk that calls a hook before each operation, on the thread that asks for it: the hook may wait, or panic.
    pub fn hooked(hook: impl Fn(Operation) + Send + Sync + 'static) -> Self {
        let disk = Self::default();
        disk.state.lock().hook = Some(Hook(Arc::new(hook)));
        disk
    }

    /// From now on, counts operations and lets those fail.
    pub fn arm(&self, when: When, fault: Fault) {
        let mut state = self.state.lock();
        state.armed = Some((when, fault));
        state.count = 0;
    }

    /// Lets nothing fail any more. Tells how many operations there were since it was armed.
    pub fn disarm(&self) -> u64 {
        let mut state = self.state.lock();
        state.armed = None;
        state.count
    }

    /// What was done since this was last asked, in order, with the name of the file or folder.
    pub fn take_log(&self) -> Vec<(Operation, String)> {
        std::mem::take(&mut self.state.lock().log)
    }

    /// Notes an operation, and tells how it is to fail.
    fn note(&self, operation: Operation, path: &Path) -> Option<Fault> {
        let hook = self.state.lock().hook.clone();
        if let Some(Hook(hook)) = hook {
            hook(operation);
        }
        let mut state = self.state.lock();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        state.log.push((operation, name.unwrap_or_default()));
        state.count += 1;
        let (when, fault) = state.armed?;
        let due = match when {
            When::Once(nth) => state.count == nth,
            When::From(nth) => state.count >= nth,
        };
        due.then_some(fault)
    }

    fn step(&self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.note(operation, path) {
            Some(Fault::Failed) => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            Some(Fault::Full) => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
            Some(Fault::Panic) => panic!("a fault that was armed"),
            _ => Ok(()),
        }
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultFile { disk: self.clone(), path: path.into(), file })
    }
}

impl Disk for FaultDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step(Operation::CreateDir, path)?;
        SystemDisk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step(Operation::Create, path)?;
        Ok(self.file(path, SystemDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step(Operation::Open, path)?;
        Ok(self.file(path, SystemDisk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Operation::Rename, to)?;
        SystemDisk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step(Operation::Unlink, path)?;
        SystemDisk.unlink(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.step(Operation::List, path)?;
        SystemDisk.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.step(Operation::Len, path)?;
        SystemDisk.len(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(Operation::SyncDir, path)?;
        SystemDisk.sync_dir(path)
    }

    fn open_catalog(&self, path: &Path) -> Result<Box<dyn Catalog>> {
        let failed = |error| crate::error::storage("open the catalog", path, error);
        self.step(Operation::OpenCatalog, path).map_err(failed)?;
        let catalog = SystemDisk.open_catalog(path)?;
        Ok(Box::new(FaultCatalog { disk: self.clone(), catalog }))
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    path: Box<Path>,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FaultFile {
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        match self.disk.note(Operation::Write, &self.path) {
            Some(Fault::Failed) => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
            Some(Fault::Full) => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
            Some(Fault::ShortWrite) => {
                let piece = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
                self.file.write_vectored_at(&[IoSlice::new(&piece[..piece.len().div_ceil(2)])], offset)
            }
            _ => self.file.write_vectored_at(pieces, offset),
        }
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.step(Operation::Read, &self.path)?;
        self.file.read_exact_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.step(Operation::SetLen, &self.path)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.step(Operation::SyncData, &self.path)?;
        self.file.sync_data()
    }

    fn as_file(&self) -> &File {
        self.file.as_file()
    }
}

#[derive(Debug)]
struct FaultCatalog {
    disk: FaultDisk,
    catalog: Box<dyn Catalog>,
}

impl FaultCatalog {
    fn step(&self, operation: Operation) -> Result<()> {
        match self.disk.note(operation, Path::new("catalog")) {
            Some(Fault::Failed) => Err(Error::new(codes::STORAGE_FAILED, "the catalog failed: EIO")),
            Some(Fault::Full) => Err(Error::new(codes::STORAGE_FULL, "the catalog's disk is full")),
            _ => Ok(()),
        }
    }
}

impl Catalog for FaultCatalog {
    fn load(&mut self) -> Result<Vec<StoredTable>> {
        self.step(Operation::Load)?;
        self.catalog.load()
    }

    fn saved_uptime(&mut self) -> Result<Uptime> {
        self.catalog.saved_uptime()
    }

    fn find_key(&mut self, key: &PutKey, table: &TableName) -> Result<Option<StoredKey>> {
        self.step(Operation::FindKey)?;
        self.catalog.find_key(key, table)
    }

    fn keys(&mut self) -> Result<Vec<KeyFacts>> {
        self.catalog.keys()
    }

    fn counts(&mut self) -> Result<StoredCounts> {
        self.catalog.counts()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), CommitError> {
        let unknown = || CommitError::Unknown(Error::new(codes::STORAGE_FAILED, "the catalog failed: EIO"));
        match self.disk.note(Operation::Commit, Path::new("catalog")) {
            Some(Fault::Failed) => Err(CommitError::RolledBack(Error::new(codes::STORAGE_FAILED, "EIO"))),
            Some(Fault::Full) => Err(CommitError::RolledBack(Error::new(codes::STORAGE_FULL, "ENOSPC"))),
            Some(Fault::UnknownLost) => Err(unknown()),
            Some(Fault::UnknownKept) => self.catalog.commit(changes).and(Err(unknown())),
            _ => self.catalog.commit(changes),
        }
    }

    fn body(&mut self, segment: SegmentId) -> Result<Bytes> {
        self.step(Operation::Body)?;
        self.catalog.body(segment)
    }

    fn purge(&mut self) -> Result<()> {
        self.step(Operation::Purge)?;
        self.catalog.purge()
    }
}
