//! Sealed memfds: what one process hands another, so that neither can harm the other by it.
//!
//! ```text
//! producer: SealedMemfds ──create──▶ target ──pwritev──▶ seal SHRINK, GROW, WRITE, SEAL ──▶ descriptor
//! receiver: descriptor ──regular file? seals? length? no holes?──▶ mapped read-only, for good
//! ```
//!
//! Once WRITE is sealed there is no writable mapping and never will be one, and the length cannot change: so the bytes
//! are constant, each access is backed by a page, and what was validated once stays valid. Sealing WRITE takes time by
//! the page, and is refused while a mapping could write; so a producer writes through the descriptor and seals segment
//! by segment. New pages cost half as much that way, too.

#![expect(unsafe_code, reason = "mapping a file is unsafe: others could change it; the seals say why nobody does")]

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use airlane_model::{Error, Result, codes, limits};
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{FileType, Mode, OFlags, SealFlags};

use super::memfd::memfd_create;
use super::vectored::write_all_at;
use super::{Home, HomeFactory, Target, ZEROES, storage_error};
use crate::budget::{Charge, MemoryBudget, MemoryUse};

/// How far the maker of a memfd has bound its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Nobody can write any more: SHRINK, GROW, WRITE and SEAL.
    Whole,
    /// Nobody can begin to write any more, and its maker is trusted to have ended: SHRINK, GROW, SEAL, and WRITE or
    /// FUTURE_WRITE. Sealing so costs the same for all lengths.
    Future,
}

const SEALED_WHOLE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);
const SEALED_FUTURE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

impl Sealing {
    fn is_met(self, seals: SealFlags) -> bool {
        let may_write = !seals.intersects(SealFlags::WRITE.union(SealFlags::FUTURE_WRITE));
        match self {
            Self::Whole => seals.contains(SEALED_WHOLE),
            Self::Future => seals.contains(SEALED_FUTURE) && !may_write,
        }
    }
}

/// A memfd that somebody has sealed, mapped read-only.
#[derive(Debug)]
pub(super) struct Sealed {
    fd: OwnedFd,
    map: Mmap,
    _charge: Charge,
}

impl Sealed {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl Home {
    /// Takes a memfd that another process has made and sealed, of exactly `len` bytes. Its memory counts from now on.
    ///
    /// # Errors
    /// `segment_refused` when it is no memfd, not sealed, of another length, or has holes, which a reader would have to
    /// fill; `memory_full`; `storage_failed` when it cannot be mapped.
    pub fn adopt(fd: OwnedFd, len: u64, sealing: Sealing, budget: &MemoryBudget) -> Result<Self> {
        Self::judge(fd.as_fd(), len, sealing)?;
        let charge = budget.charge(MemoryUse::Tables, len)?;
        let fd = read_only(fd);
        let map = map(fd.as_fd(), len)?;
        Ok(Self::sealed_shared(Arc::new(Sealed { fd, map, _charge: charge })))
    }

    /// Looks at a descriptor before anything in it is looked at, and before memory is taken for it.
    ///
    /// # Errors
    /// `segment_refused`, as [`adopt`](Self::adopt); `storage_failed`.
    pub fn judge(fd: BorrowedFd<'_>, len: u64, sealing: Sealing) -> Result<()> {
        let asked = |error: rustix::io::Errno| storage_error("look at a descriptor", error.into());
        let stat = rustix::fs::fstat(fd).map_err(asked)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused("the descriptor is no memfd"));
        }
        // Only memory can have seals, so a file system that would not answer is kept out.
        let seals = match rustix::fs::fcntl_get_seals(fd) {
            Err(rustix::io::Errno::INVAL) => return Err(refused("the descriptor is no memfd")),
            other => other.map_err(asked)?,
        };
        if !sealing.is_met(seals) {
            return Err(refused(format!("the memfd has the seals {seals:?}, which do not keep it as it is"))
                .hint("add F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE and F_SEAL_SEAL when it is written"));
        }
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        if length != len || len == 0 {
            return Err(refused(format!("the memfd has {length} bytes, {len} were announced")));
        }
        // 512 bytes are the unit of this figure, whatever the page (stat(2)).
        let backed = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
        if backed < len {
            return Err(refused(format!("the memfd has holes: memory is there for {backed} of {len} bytes"))
                .hint("write all of its bytes"));
        }
        Ok(())
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(codes::SEGMENT_REFUSED, message)
}

/// The same memory by a descriptor that can only read. Without /proc it stays as it is: its seals say the same.
pub(super) fn read_only(fd: OwnedFd) -> OwnedFd {
    if rustix::fs::fcntl_getfl(&fd).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDONLY) {
        return fd;
    }
    read_only_twin(fd.as_fd()).unwrap_or(fd)
}

/// Another descriptor of the same memory, which can only read. There is none without /proc.
fn read_only_twin(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn map(fd: BorrowedFd<'_>, len: u64) -> Result<Mmap> {
    let len = usize::try_from(len).map_err(|_| Error::new(codes::LIMIT_EXCEEDED, "a segment is larger than memory"))?;
    // SAFETY: nobody can change the bytes. They are those of a memfd that is sealed against growing, shrinking and
    // writing, and nobody can take a seal back: `Home::judge` has looked, or this process has added them. Under
    // `Sealing::Future` a mapping of its maker's may still write, and whoever asks for that trusts the maker not to.
    // Private, since kernels before 6.7 refuse a shared mapping of what is sealed against writing.
    unsafe { MmapOptions::new().len(len).map_copy_read_only(fd.as_raw_fd()) }
        .map_err(|error| storage_error("map a memfd", error))
}

/// Makes memfds for segments that are to be handed to another process, each sealed whole as soon as it is written.
#[derive(Clone, Debug)]
pub struct SealedMemfds {
    budget: MemoryBudget,
}

impl SealedMemfds {
    /// Their memory counts in this budget.
    pub fn new(budget: MemoryBudget) -> Self {
        Self { budget }
    }

    /// One memfd that holds several parts, each at a multiple of 64, and where they lie.
    ///
    /// # Errors
    /// `memory_full`, `storage_full`, `storage_failed`.
    pub fn pack(&self, parts: &[&[u8]]) -> Result<(Home, Vec<Range<u64>>)> {
        let mut target = self.target()?;
        let mut ranges = Vec::with_capacity(parts.len());
        let mut end = 0_u64;
        for part in parts {
            let start = end;
            end += part.len() as u64;
            ranges.push(start..end);
            let padding = end.next_multiple_of(limits::ALIGNMENT_BYTES as u64) - end;
            let pieces = [IoSlice::new(part), IoSlice::new(&ZEROES[..padding as usize])];
            target.write_at(start, &pieces).map_err(|error| storage_error("write a memfd", error))?;
            end += padding;
        }
        Ok((Box::new(target).seal(end)?, ranges))
    }

    fn target(&self) -> Result<SealedTarget> {
        let fd = memfd_create()?;
        // Now, since readers wait for what is done when it is sealed.
        let reader = read_only_twin(fd.as_fd());
        Ok(SealedTarget { fd, reader, len: 0, charge: self.budget.begin(MemoryUse::Puts) })
    }
}

impl HomeFactory for SealedMemfds {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        Ok(Box::new(self.target()?))
    }

    fn budget(&self) -> &MemoryBudget {
        &self.budget
    }
}

#[derive(Debug)]
struct SealedTarget {
    fd: OwnedFd,
    /// The same memory by a descriptor that can only read, where there is one.
    reader: Option<OwnedFd>,
    len: u64,
    charge: Charge,
}

impl Target for SealedTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let end = pieces.iter().fold(offset, |end, piece| end.saturating_add(piece.len() as u64));
        if end > self.len {
            self.charge.resize(end).map_err(io::Error::other)?;
            self.len = end;
        }
        write_all_at(offset, pieces, |pieces, offset| Ok(rustix::io::pwritev(&self.fd, pieces, offset)?))
    }

    fn seal(mut self: Box<Self>, len: u64) -> Result<Home> {
        let failed = |error: rustix::io::Errno| storage_error("seal a memfd", error.into());
        if self.len < len {
            return Err(Error::new(codes::INTERNAL, format!("a segment of {len} bytes ends at {}", self.len)));
        }
        if self.len > len {
            rustix::fs::ftruncate(&self.fd, len).map_err(failed)?;
            self.charge.resize(len)?;
        }
        rustix::fs::fcntl_add_seals(&self.fd, SEALED_WHOLE).map_err(failed)?;
        self.charge.move_to(MemoryUse::Tables);
        let fd = self.reader.unwrap_or(self.fd);
        let map = map(fd.as_fd(), len)?;
        Ok(Home::sealed_shared(Arc::new(Sealed { fd, map, _charge: self.charge })))
    }
}

#[cfg(test)]
mod tests;
