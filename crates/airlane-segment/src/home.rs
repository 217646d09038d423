//! Where the bytes of a segment live: the heap, a sealed memfd, or a file of the server's.
//!
//! ```text
//! Target (written, by offset)  ──seal──▶  Home (immutable, read as one slice)
//! heap     grows in memory                aligned to 64
//! memfd    new pages by pwritev           mapped; sealed before it is lent to another process (`memfd`), or as soon as
//!                                         it is written, also by another process (`sealed`)
//! file     the store's                    mapped read-only; a failed read ends the process (see `sigbus`)
//! ```
//!
//! New pages are written by `pwritev`, since the first touch of a mapped page costs twice the copy; pages that were
//! written before, through their mapping.

mod heap;
mod mapping;
mod memfd;
mod sealed;
pub mod sigbus;
mod vectored;

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use airlane_model::{Error, Result, codes, limits};
use arrow_buffer::Buffer;
use bytes::Bytes;

use crate::budget::{Charge, MemoryBudget};

pub(crate) use heap::{HeapTarget, shared};
use mapping::Mapping;
use memfd::Memfd;
pub use memfd::MemfdPool;
use sealed::Sealed;
pub use sealed::{SealedMemfds, Sealing};
pub use vectored::write_all_at;

/// The immutable bytes of a sealed segment, readable as one slice. Clones share the bytes.
#[derive(Clone)]
pub struct Home {
    kind: HomeKind,
    bytes: Bytes,
    buffer: Buffer,
    lender: Option<Lender>,
    label: Option<u128>,
}

/// Whose memfd it is.
#[derive(Clone)]
enum Lender {
    /// Of the pool: it is sealed when it is first lent.
    Pool(Arc<Memfd>),
    /// Sealed already.
    Sealed(Arc<Sealed>),
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, len) = (self.kind, self.bytes.len());
        f.debug_struct("Home").field("kind", &kind).field("len", &len).field("label", &self.label).finish()
    }
}

/// The kinds of homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeKind {
    /// Ordinary memory.
    Heap,
    /// A memfd; it gets the seals SHRINK, GROW, FUTURE_WRITE and SEAL before it is lent to another process.
    Memfd,
    /// A file that belongs to the server: created once, never rewritten or truncated, only unlinked.
    File,
}

impl Home {
    /// Bytes in ordinary memory, which was taken from a budget. They are copied when they do not begin at a multiple of 64.
    pub fn heap(buffer: Buffer, charge: Charge) -> Self {
        let bytes = heap::charged(heap::aligned(buffer), charge);
        Self { kind: HomeKind::Heap, buffer: Buffer::from(bytes.clone()), bytes, lender: None, label: None }
    }

    /// Maps a file of the server's read-only. The file may be closed and unlinked afterwards. `label` names the
    /// segment in the report of a failed access (see [`sigbus`]).
    ///
    /// # Errors
    /// What `mmap` answers; `InvalidInput` for an empty file, `UnexpectedEof` for one shorter than `len`.
    pub fn map_file(file: &File, len: u64, label: u128) -> io::Result<Self> {
        check_len(file, len)?;
        Ok(Self::of_file(Bytes::from_owner(Mapping::new(file.as_fd(), len, label)?), label))
    }

    /// Maps a file of the server's that holds several segments: a home for each of the ranges, which begin at multiples
    /// of 64 and are given in order. What is to be `kept` is dropped with the last of them.
    ///
    /// # Errors
    /// As [`map_file`](Self::map_file).
    pub fn map_parts(
        file: &File,
        ranges: &[Range<u64>],
        label: u128,
        kept: impl Send + 'static,
    ) -> io::Result<Vec<Self>> {
        struct Owner<T>(Mapping, T);
        impl<T> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                self.0.as_ref()
            }
        }
        let len = ranges.last().map_or(0, |range| range.end);
        check_len(file, len)?;
        let bytes = Bytes::from_owner(Owner(Mapping::new(file.as_fd(), len, label)?, kept));
        let part = |range: &Range<u64>| Self::of_file(bytes.slice(range.start as usize..range.end as usize), label);
        Ok(ranges.iter().map(part).collect())
    }

    fn of_file(bytes: Bytes, label: u128) -> Self {
        Self { kind: HomeKind::File, buffer: Buffer::from(bytes.clone()), bytes, lender: None, label: Some(label) }
    }

    fn memfd_shared(memfd: Arc<Memfd>) -> Self {
        struct Owner(Arc<Memfd>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                (*self.0).as_ref()
            }
        }
        let bytes = Bytes::from_owner(Owner(memfd.clone()));
        Self::of_memfd(bytes, Lender::Pool(memfd))
    }

    fn sealed_shared(sealed: Arc<Sealed>) -> Self {
        struct Owner(Arc<Sealed>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                (*self.0).as_ref()
            }
        }
        Self::of_memfd(Bytes::from_owner(Owner(sealed.clone())), Lender::Sealed(sealed))
    }

    fn of_memfd(bytes: Bytes, lender: Lender) -> Self {
        let buffer = Buffer::from(bytes.clone());
        Self { kind: HomeKind::Memfd, buffer, bytes, lender: Some(lender), label: None }
    }

    /// The same bytes, which keep something until the last reference to them is gone.
    #[must_use]
    pub fn keeping(self, kept: impl Send + 'static) -> Self {
        struct Owner<T>(Bytes, T);
        impl<T> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let bytes = Bytes::from_owner(Owner(self.bytes, kept));
        Self { buffer: Buffer::from(bytes.clone()), bytes, ..self }
    }

    /// A part of it, which shares the mapping, for one of several segments that lie in one descriptor. It cannot be lent.
    ///
    /// # Errors
    /// `message_invalid` when it is not inside, or does not begin at a multiple of 64.
    pub fn part(&self, offset: u64, bytes: u64) -> Result<Self> {
        let range = offset.checked_add(bytes).filter(|end| *end <= self.bytes.len() as u64).map(|end| offset..end);
        let range = range.filter(|range| range.start.is_multiple_of(limits::ALIGNMENT_BYTES as u64));
        let Some(range) = range else {
            let message = format!("{bytes} bytes at {offset} are no part of the {} that there are", self.bytes.len());
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        };
        let bytes = self.bytes.slice(range.start as usize..range.end as usize);
        Ok(Self { kind: self.kind, buffer: Buffer::from(bytes.clone()), bytes, lender: None, label: self.label })
    }

    /// The label that a file was mapped with; `None` for homes in memory.
    pub fn label(&self) -> Option<u128> {
        self.label
    }

    /// Its kind.
    pub fn kind(&self) -> HomeKind {
        self.kind
    }

    /// All its bytes, sharing the mapping.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// All its bytes for arrays, sharing the mapping.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The descriptor of a memfd, to be lent to a reader on this machine: sealed now if it was not, so that nobody can
    /// change what it holds. `None` for other homes.
    ///
    /// # Errors
    /// What sealing answers.
    pub fn lend_memfd(&self) -> io::Result<Option<BorrowedFd<'_>>> {
        match &self.lender {
            None => Ok(None),
            Some(Lender::Pool(memfd)) => memfd.lend().map(Some),
            Some(Lender::Sealed(sealed)) => Ok(Some(sealed.fd())),
        }
    }
}

/// A segment that is being written.
pub trait Target: Send {
    /// Writes the pieces one after another from `offset` on. Each byte of a segment is written exactly once, paddings
    /// too: a target may hold the bytes of an earlier segment.
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()>;

    /// Makes the first `len` bytes immutable (and, for a file, durable: fdatasync) and readable.
    fn seal(self: Box<Self>, len: u64) -> Result<Home>;
}

/// Makes targets for segments that outgrow the heap.
pub trait HomeFactory: Send {
    /// A new, empty target.
    fn create(&mut self) -> Result<Box<dyn Target>>;

    /// What memory is taken from, also that of segments that stay on the heap.
    fn budget(&self) -> &MemoryBudget;

    /// Whether a segment that somebody else has written may stay in its home, or is copied to one of these.
    fn keeps(&self, _home: HomeKind) -> bool {
        false
    }
}

/// Beyond the end of a file nobody may look.
fn check_len(file: &File, len: u64) -> io::Result<()> {
    if file.metadata()?.len() < len {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than the segment"));
    }
    Ok(())
}

/// The error of a failed write: `storage_full` where there is no room, else `storage_failed`. An error of Airlane's own
/// that a target gave as that of its write is handed on.
pub fn storage_error(action: &str, error: io::Error) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    let full =
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory);
    let code = if full { codes::STORAGE_FULL } else { codes::STORAGE_FAILED };
    Error::new(code, format!("cannot {action}: {error}")).source(error)
}

/// `len` rounded up to the alignment of the layout.
pub(crate) fn aligned_len(len: u64) -> u64 {
    len.next_multiple_of(limits::ALIGNMENT_BYTES as u64)
}

/// Zeroes for paddings.
pub(crate) static ZEROES: [u8; limits::ALIGNMENT_BYTES] = [0; limits::ALIGNMENT_BYTES];

#[cfg(test)]
mod tests;
