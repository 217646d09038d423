//! Read-only mappings of files.
#![expect(unsafe_code, reason = "mapping a file is unsafe: others could change it; the homes say why nobody does")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{Mmap, MmapOptions};

use super::sigbus;

/// A read-only mapping of immutable bytes.
#[derive(Debug)]
pub(super) struct Mapping {
    // The registration goes first: an address must not be registered any more when it is unmapped.
    _registration: sigbus::Registration,
    map: Mmap,
}

impl Mapping {
    /// Maps a file that nobody changes, and has a failed access reported under `label`.
    pub(super) fn new(fd: BorrowedFd<'_>, len: u64, label: u128) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to map"));
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: the bytes do not change while anybody can see them. The file belongs to the server: it was created
        // exclusively in a folder of mode 0700, is never opened for writing again and never truncated, only unlinked.
        // Should its device fail, the access raises SIGBUS, which ends the process (`sigbus`) and is not undefined.
        let map = unsafe { MmapOptions::new().len(len).map_copy_read_only(fd.as_raw_fd()) }?;
        let start = map.as_ptr() as usize;
        Ok(Self { _registration: sigbus::Registration::new(start..start + map.len(), label), map })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}
