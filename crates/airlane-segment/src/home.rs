//! Where the bytes of a segment live: the heap, a sealed memfd, or a file of the server's.

use std::fs::File;
use std::io::{self, IoSlice};

use airlane_model::Result;
use arrow_buffer::Buffer;
use bytes::Bytes;

/// The immutable bytes of a sealed segment, readable as one slice.
#[derive(Debug)]
pub struct Home {}

/// The kinds of homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeKind {
    /// Ordinary memory.
    Heap,
    /// A memfd with the seals SHRINK, GROW, WRITE and SEAL.
    Memfd,
    /// A file that belongs to the server: created once, never rewritten or truncated, only unlinked.
    File,
}

impl Home {
    /// Bytes in ordinary memory, aligned to 64.
    pub fn heap(buffer: Buffer) -> Self {
        let _ = buffer;
        todo!()
    }

    /// Maps a file of the server's read-only. The file may be closed and unlinked afterwards. `label` names the
    /// segment in the report of a failed access (see `sigbus`).
    pub fn map_file(file: &File, len: u64, label: u128) -> io::Result<Self> {
        let _ = (file, len, label);
        todo!()
    }

    /// The label that a file was mapped with; `None` for homes in memory.
    pub fn label(&self) -> Option<u128> {
        todo!()
    }

    /// Its kind.
    pub fn kind(&self) -> HomeKind {
        todo!()
    }

    /// All its bytes, sharing the mapping.
    pub fn bytes(&self) -> Bytes {
        todo!()
    }
}

/// A segment that is being written.
pub trait Target: Send {
    /// Writes the pieces one after another from `offset` on. What is never written is zero.
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()>;

    /// Makes the first `len` bytes immutable (and, for a file, durable: fdatasync) and readable.
    fn seal(self: Box<Self>, len: u64) -> Result<Home>;
}

/// Makes targets for segments that outgrow the heap.
pub trait HomeFactory: Send {
    /// A new, empty target.
    fn create(&mut self) -> Result<Box<dyn Target>>;
}

/// Makes memfds.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemfdFactory;

impl HomeFactory for MemfdFactory {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        todo!()
    }
}
