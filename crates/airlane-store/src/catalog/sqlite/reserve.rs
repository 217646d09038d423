//! Room on the disk that is kept for making room: a drop must go through when the disk is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// The log at its largest, and what the drop of a table with a long history adds to it.
const RESERVE_BYTES: u64 = 16 << 20;

/// A file beside the catalog that holds nothing.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    is_held: bool,
}

impl Reserve {
    /// The reserve of a catalog, made if there is room.
    pub(super) fn new(catalog: &Path) -> Self {
        let path = catalog.with_extension("reserve");
        let is_held = fs::metadata(&path).is_ok_and(|found| found.len() == RESERVE_BYTES);
        let mut reserve = Self { path, is_held };
        reserve.hold();
        reserve
    }

    /// Makes the reserve if it is not there. Without room it is made later.
    pub(super) fn hold(&mut self) {
        if self.is_held {
            return;
        }
        match self.allocate() {
            Ok(()) => self.is_held = true,
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "no room for the reserve of the catalog");
                self.remove();
            }
        }
    }

    /// Gives the room to the next transaction; false when there is none.
    pub(super) fn release(&mut self) -> bool {
        let was_held = std::mem::take(&mut self.is_held);
        was_held && self.remove()
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeroes(file),
            outcome => Ok(outcome?),
        }
    }

    fn remove(&self) -> bool {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "the reserve of the catalog cannot be removed");
                false
            }
            _ => true,
        }
    }
}

fn write_zeroes(mut file: File) -> io::Result<()> {
    let zeroes = vec![0; 64 << 10];
    (0..RESERVE_BYTES / zeroes.len() as u64).try_for_each(|_| file.write_all(&zeroes))
}
