//! The file system, handed in so that a test can fail its Nth operation.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use airlane_model::Result;

use crate::catalog::Catalog;
use crate::catalog::sqlite::SqliteCatalog;

/// What a store does to the file system. Files are made for their owner alone (0600, folders 0700).
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a folder that must not exist yet, in one that does.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a file that must not exist yet, for writing and reading.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The room on the disk of a folder.
    fn space(&self, folder: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(DiskSpace { available: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
    }

    /// Opens the catalog, which keeps its file in its own way.
    ///
    /// # Errors
    /// As [`SqliteCatalog::open`].
    fn open_catalog(&self, path: &Path) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(SqliteCatalog::open(path)?))
    }
}

/// The room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What may still be written.
    pub available: u64,
    /// All of it.
    pub total: u64,
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes pieces one after another from `offset` on; may write less than all, and tells how much.
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Fills `bytes` from `offset` on.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes the file this long; what was never written is zero.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the content durable. After an error the file must not be trusted and not be synced again: the kernel may
    /// have dropped the pages and would answer `Ok` the second time.
    fn sync_data(&self) -> io::Result<()>;

    /// The file itself, to be mapped.
    fn as_file(&self) -> &File;
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile(File::open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, pieces, offset)?)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn as_file(&self) -> &File {
        &self.0
    }
}
