//! The memory of a memfd, written and read in place.
#![expect(unsafe_code, reason = "mapping a file is unsafe: others could change it; only the owner of the block does")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{Advice, MmapMut, MmapOptions};

/// A shared mapping of a memfd that only this process has. It may reach beyond the end of the file, where nobody may look.
#[derive(Debug)]
pub(super) struct WarmMapping {
    map: MmapMut,
    /// So many of the first bytes can be written without a fault for each page.
    populated_bytes: u64,
}

impl WarmMapping {
    /// Maps the first `len` bytes, some of which may not be there yet.
    pub(super) fn new(fd: BorrowedFd<'_>, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: nobody else writes to the memfd or makes it shorter. Its descriptor stays in this process until it is
        // sealed against both. Here, a block belongs either to one target, which writes it and lets nobody look, or
        // to one finished segment, which never writes it; it goes from the segment to the pool, and so to the next target,
        // when the last reference to its bytes is gone. `first` and `first_mut` are called with no more than the length
        // of the file, below which every page is there.
        let map = unsafe { MmapOptions::new().len(len).map_mut(fd.as_raw_fd()) }?;
        Ok(Self { map, populated_bytes: 0 })
    }

    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The first bytes, of which the file must have as many.
    pub(super) fn first(&self, bytes: u64) -> &[u8] {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        &self.map[..bytes.min(self.map.len())]
    }

    /// The first bytes for writing, of which the file must have as many.
    pub(super) fn first_mut(&mut self, bytes: u64) -> &mut [u8] {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.map.len());
        &mut self.map[..bytes]
    }

    /// Makes the first bytes writable without a fault for each page, which costs half as much as the faults.
    pub(super) fn populate(&mut self, bytes: u64) {
        let bytes = bytes.min(self.len());
        if self.populated_bytes < bytes {
            // Linux before 5.14 does not know this; then the faults come one by one.
            let _ = self.map.advise_range(Advice::PopulateWrite, 0, bytes as usize);
            self.populated_bytes = bytes;
        }
    }
}
