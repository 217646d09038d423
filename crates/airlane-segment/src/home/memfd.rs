//! Segments in a memfd: memory with a descriptor that another process can map.
//!
//! The first touch of a page costs several times the copy into it, so the memory of a segment whose last reader is
//! gone is written again:
//!
//! ```text
//! MemfdPool ──create──▶ target ──seal──▶ home (mapped; the descriptor has not left this process)
//!     ▲                                   │ last reference gone           │ lend
//!     └────────── block, warm ────────────┘                               ▼
//!                                         sealed SHRINK, GROW, FUTURE_WRITE, SEAL: never written again
//! ```
//!
//! New pages are written through the descriptor, which spares clearing them first; warm ones through the mapping, which
//! spares the kernel's way to each page. Seals are for readers elsewhere, so a memfd gets them when it is first lent.
//! Blocks that nobody asks for are given back to the system by [`MemfdPool::age`], all of them by [`MemfdPool::clear`].

mod warm;
mod written;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use airlane_model::{ByteSize, Error, Result, codes};
use rustix::fs::{MemfdFlags, SealFlags};

use super::sealed::read_only;
use super::vectored::write_all_at;
use super::{Home, HomeFactory, HomeKind, Target, storage_error};
use crate::budget::{Charge, MemoryBudget, MemoryUse};
use warm::WarmMapping;
use written::Written;

/// Makes memfds, from warm memory where there is some. Clones share their spare blocks.
#[derive(Clone, Debug)]
pub struct MemfdPool {
    shared: Arc<Shared>,
    budget: MemoryBudget,
}

#[derive(Debug)]
struct Shared {
    spares: Mutex<Vec<Spare>>,
    spare_bytes_max: u64,
}

#[derive(Debug)]
struct Spare {
    block: Block,
    /// How often the pool was aged since the block came.
    ages: u32,
}

/// A memfd that only this process has, with its mapping.
#[derive(Debug)]
struct Block {
    fd: OwnedFd,
    map: Option<WarmMapping>,
    /// So many of the first bytes are in pages that are there. What a target adds counts when it is sealed.
    bytes: u64,
    /// As many bytes as pages are there, and those that a target has added.
    charge: Charge,
}

impl Block {
    /// Writes the pieces one after another: into pages that are there through the mapping, and on with new ones.
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let warm = self.map.as_mut().map_or(&mut [][..], |map| map.first_mut(self.bytes));
        let mut rest = usize::try_from(offset).ok().and_then(|offset| warm.get_mut(offset..)).unwrap_or_default();
        let mut fresh = Vec::new();
        let mut fresh_offset = offset;
        for piece in pieces {
            let (front, back) = piece.split_at(piece.len().min(rest.len()));
            let (place, beyond) = rest.split_at_mut(front.len());
            place.copy_from_slice(front);
            rest = beyond;
            fresh_offset += front.len() as u64;
            if !back.is_empty() {
                fresh.push(IoSlice::new(back));
            }
        }
        let fd = &self.fd;
        write_all_at(fresh_offset, &fresh, |pieces, offset| Ok(rustix::io::pwritev(fd, pieces, offset)?))
    }

    /// Has a mapping of at least `len` bytes.
    fn map(&mut self, len: u64) -> Result<()> {
        if self.map.as_ref().is_none_or(|map| map.len() < len) {
            self.map = None;
            let map = WarmMapping::new(self.fd.as_fd(), len.saturating_add(SLACK_BYTES_MAX));
            self.map = Some(map.map_err(|error| storage_error("map a memfd", error))?);
        }
        Ok(())
    }
}

/// A spare block is given back when it was aged this often.
const AGES_MAX: u32 = 2;

/// A block keeps this much more than its segment needs, rather than give pages back that the next one needs again.
const SLACK_BYTES_MAX: u64 = 2 << 20;

impl MemfdPool {
    /// A pool that takes its memory from a budget, and keeps at most `spare_bytes_max` for further segments.
    pub fn new(spare_bytes_max: ByteSize, budget: MemoryBudget) -> Self {
        let spare_bytes_max = spare_bytes_max.as_u64();
        Self { shared: Arc::new(Shared { spares: Mutex::default(), spare_bytes_max }), budget }
    }

    /// Gives back the blocks that were not asked for since the last call but one. Call it every few seconds.
    pub fn age(&self) {
        let mut spares = self.shared.lock();
        spares.iter_mut().for_each(|spare| spare.ages += 1);
        let old = spares.extract_if(.., |spare| spare.ages >= AGES_MAX).collect::<Vec<_>>();
        drop(spares);
        // Unmapping and freeing take their time, so they happen outside of the lock.
        drop(old);
    }

    /// Gives back all blocks that are kept for further segments, now.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// The bytes kept for further segments.
    pub fn spare_bytes(&self) -> ByteSize {
        ByteSize::bytes(self.shared.lock().iter().map(|spare| spare.block.bytes).sum())
    }
}

impl Default for MemfdPool {
    fn default() -> Self {
        Self::new(ByteSize::gib(2), MemoryBudget::unlimited())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Spare>> {
        // Every change of the list is one step, so it is whole even when its thread panicked.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self) {
        let spares = std::mem::take(&mut *self.lock());
        // As in `age`: the lock is not held any more.
        drop(spares);
    }

    fn give_back(&self, mut block: Block) {
        block.charge.shrink(block.bytes);
        block.charge.move_to(MemoryUse::Spare);
        let mut spares = self.lock();
        let kept: u64 = spares.iter().map(|spare| spare.block.bytes).sum();
        if block.bytes > 0 && kept + block.bytes <= self.spare_bytes_max {
            spares.push(Spare { block, ages: 0 });
        }
    }
}

impl HomeFactory for MemfdPool {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        // The newest is the warmest.
        let spare = self.shared.lock().pop();
        let mut block = match spare {
            Some(spare) => spare.block,
            None => Block { fd: memfd_create()?, map: None, bytes: 0, charge: self.budget.begin(MemoryUse::Puts) },
        };
        block.charge.move_to(MemoryUse::Puts);
        if let Some(map) = &mut block.map {
            map.populate(block.bytes);
        }
        Ok(Box::new(MemfdTarget {
            block: Some(block),
            pool: Arc::downgrade(&self.shared),
            written: Written::default(),
        }))
    }

    fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    fn keeps(&self, home: HomeKind) -> bool {
        home == HomeKind::Memfd
    }
}

pub(super) fn memfd_create() -> Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // NOEXEC_SEAL came with Linux 6.3; older kernels refuse flags that they do not know.
    let created = match rustix::fs::memfd_create(c"airlane-segment", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(c"airlane-segment", flags),
        other => other,
    };
    created.map_err(|error| storage_error("make a memfd", error.into()))
}

#[derive(Debug)]
struct MemfdTarget {
    block: Option<Block>,
    pool: Weak<Shared>,
    written: Written,
}

impl Target for MemfdTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if !self.written.add(offset, offset.saturating_add(bytes)) {
            let message = format!("a byte between {offset} and {} was written twice", offset.saturating_add(bytes));
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut block = self.block.take().ok_or(io::ErrorKind::InvalidInput)?;
        let warm = block.bytes.saturating_sub(offset).min(bytes);
        self.charge(&mut block, bytes - warm)?;
        // A block with a gap that counts as written must not come to another target: so it comes back only now.
        block.write_at(offset, pieces)?;
        self.block = Some(block);
        Ok(())
    }

    fn seal(mut self: Box<Self>, len: u64) -> Result<Home> {
        // A warm block holds the bytes of an earlier segment: none of them may be left. A failed write has ended the
        // segment, so what was added was written.
        if !self.written.is_exactly(len) {
            let message = format!("a segment of {len} bytes has gaps, or ends at {}", self.written.end());
            return Err(Error::new(codes::INTERNAL, message));
        }
        let mut block = self.block.take().ok_or_else(|| Error::new(codes::INTERNAL, "a memfd was sealed twice"))?;
        block.bytes = block.bytes.max(len);
        if block.bytes > len + SLACK_BYTES_MAX {
            rustix::fs::ftruncate(&block.fd, len).map_err(|error| storage_error("size a memfd", error.into()))?;
            block.bytes = len;
        }
        block.charge.shrink(block.bytes);
        block.charge.move_to(MemoryUse::Tables);
        block.map(len)?;
        let len = usize::try_from(len).map_err(|_| Error::new(codes::INTERNAL, "a segment is larger than memory"))?;
        let pool = std::mem::take(&mut self.pool);
        Ok(Home::memfd_shared(Arc::new(Memfd {
            block: Some(block),
            pool,
            len,
            lending: Mutex::new(Lending::Kept),
            lent: OnceLock::new(),
        })))
    }
}

impl MemfdTarget {
    /// Takes memory for new pages. What is only kept for later goes first.
    fn charge(&self, block: &mut Block, bytes: u64) -> io::Result<()> {
        let all = block.charge.bytes().saturating_add(bytes);
        if bytes == 0 || block.charge.resize(all).is_ok() {
            return Ok(());
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.clear();
        }
        block.charge.resize(all).map_err(io::Error::other)
    }
}

impl Drop for MemfdTarget {
    fn drop(&mut self) {
        let (Some(mut block), Some(pool)) = (self.block.take(), self.pool.upgrade()) else { return };
        // Behind the first gap there may be more of them; the memory for a gap could be missing when it is written.
        let bytes = self.written.end_from(block.bytes);
        if rustix::fs::ftruncate(&block.fd, bytes).is_ok() {
            block.bytes = bytes;
            pool.give_back(block);
        }
    }
}

/// The memfd of a finished segment. Dropping it gives its memory back to the pool, unless it was lent.
#[derive(Debug)]
pub(super) struct Memfd {
    /// Taken when dropped.
    block: Option<Block>,
    pool: Weak<Shared>,
    len: usize,
    lending: Mutex<Lending>,
    /// What others get: it can only read.
    lent: OnceLock<OwnedFd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lending {
    /// The descriptor has not left this process: the memory can be written again.
    Kept,
    /// Others may have it, and nobody can write it.
    Sealed,
    /// Sealing failed half-way.
    Failed,
}

impl Memfd {
    /// The descriptor, sealed: it holds exactly the segment and nobody can change it any more.
    ///
    /// # Errors
    /// What `ftruncate` and `fcntl` answer; after such an error the descriptor is never lent.
    pub(super) fn lend(&self) -> io::Result<BorrowedFd<'_>> {
        let Some(block) = &self.block else { return Err(io::ErrorKind::InvalidInput.into()) };
        // Under the lock, so that nobody gets the descriptor while another thread is still sealing it.
        let mut lending = self.lending.lock().unwrap_or_else(PoisonError::into_inner);
        match *lending {
            Lending::Sealed => {}
            Lending::Failed => return Err(io::Error::other("the memfd could not be sealed before")),
            Lending::Kept => {
                *lending = Lending::Failed;
                rustix::fs::ftruncate(&block.fd, self.len as u64)?;
                // WRITE is refused as long as a mapping could write, as ours could. Nobody who gets the descriptor can,
                // and a block that was lent never comes to a target again.
                let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
                rustix::fs::fcntl_add_seals(&block.fd, seals)?;
                *lending = Lending::Sealed;
            }
        }
        if self.lent.get().is_none() {
            // The lock is held, so nobody was first.
            let _ = self.lent.set(read_only(block.fd.try_clone()?));
        }
        Ok(self.lent.get().unwrap_or(&block.fd).as_fd())
    }
}

impl AsRef<[u8]> for Memfd {
    fn as_ref(&self) -> &[u8] {
        let map = self.block.as_ref().and_then(|block| block.map.as_ref());
        map.map_or(&[], |map| map.first(self.len as u64))
    }
}

impl Drop for Memfd {
    fn drop(&mut self) {
        let kept = *self.lending.get_mut().unwrap_or_else(PoisonError::into_inner) == Lending::Kept;
        if let (Some(block), Some(pool), true) = (self.block.take(), self.pool.upgrade(), kept) {
            pool.give_back(block);
        }
    }
}

#[cfg(test)]
mod tests;
