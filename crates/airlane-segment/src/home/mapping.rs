//! Read-only mappings.
#![expect(unsafe_code, reason = "mapping a file is unsafe: others could change it; the homes say why nobody does")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{Mmap, MmapOptions};

use super::sigbus;

/// A read-only mapping of immutable bytes.
#[derive(Debug)]
pub(super) struct Mapping {
    // The registration goes first: an address must not be registered any more when it is unmapped.
    _registration: Option<sigbus::Registration>,
    map: Mmap,
}

impl Mapping {
    /// Maps a sealed memfd, or a file that nobody changes.
    pub(super) fn new(fd: BorrowedFd<'_>, len: u64) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to map"));
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // Private, because kernels before 6.7 refuse a shared mapping of a write-sealed memfd even for reading.
        //
        // POSIX leaves open whether a private mapping shows what is written to its file later. On Linux it does, as long
        // as nobody writes through the mapping (this one is read-only): its pages are those of the page cache. The
        // memfd pool relies on that, since a block that is written again keeps its mapping (mmap(2), "MAP_PRIVATE").
        //
        // SAFETY: the bytes do not change while anybody can see them. The descriptor of a memfd stays in this process
        // until it is sealed, and the only code that writes to it (`memfd::MemfdTarget`) owns its block: a finished
        // segment's block goes to the pool, and so to the next target, when the last reference to its bytes is gone.
        // Bytes beyond the end of the file are never looked at (`Memfd` cuts the mapping). A file belongs to the
        // server: it was created exclusively in a folder of mode 0700, is never opened for writing again and never
        // truncated, only unlinked. Should the file's device fail, the access raises SIGBUS, which ends the process
        // (`sigbus`) and is not undefined.
        let map = unsafe { MmapOptions::new().len(len).map_copy_read_only(fd.as_raw_fd()) }?;
        Ok(Self { _registration: None, map })
    }

    /// Maps a file, and has a failed access reported under `label`.
    pub(super) fn labelled(fd: BorrowedFd<'_>, len: u64, label: u128) -> io::Result<Self> {
        let mut mapping = Self::new(fd, len)?;
        let start = mapping.map.as_ptr() as usize;
        mapping._registration = Some(sigbus::Registration::new(start..start + mapping.map.len(), label));
        Ok(mapping)
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}
