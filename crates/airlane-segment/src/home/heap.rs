//! Segments in ordinary memory.

use std::io::{self, IoSlice};

use airlane_model::{Result, limits};
use arrow_buffer::{Buffer, MutableBuffer};
use bytes::Bytes;

use super::Home;
use crate::budget::{Charge, MemoryBudget, MemoryUse};

/// A segment that grows in memory. `MutableBuffer` begins at a multiple of 64.
#[derive(Debug)]
pub(crate) struct HeapTarget {
    bytes: MutableBuffer,
}

impl HeapTarget {
    pub(crate) fn new() -> Self {
        Self { bytes: MutableBuffer::new(0) }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    pub(crate) fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let end = start + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if start == self.bytes.len() {
            self.bytes.reserve(end - start);
            pieces.iter().for_each(|piece| self.bytes.extend_from_slice::<u8>(piece));
            return Ok(());
        }
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        let mut at = start;
        for piece in pieces {
            self.bytes.as_slice_mut()[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        Ok(())
    }

    /// Makes the first `len` bytes immutable. Until now they were the put's, which has taken memory for them.
    pub(crate) fn seal(mut self, len: u64, budget: &MemoryBudget) -> Result<Home> {
        let charge = budget.charge(MemoryUse::Tables, len)?;
        self.bytes.resize(len as usize, 0);
        self.bytes.shrink_to_fit();
        Ok(Home::heap(self.bytes.into(), charge))
    }
}

pub(super) fn aligned(buffer: Buffer) -> Buffer {
    if buffer.as_ptr().align_offset(limits::ALIGNMENT_BYTES) == 0 {
        return buffer;
    }
    let mut copy = MutableBuffer::new(buffer.len());
    copy.extend_from_slice(buffer.as_slice());
    copy.into()
}

struct Owner<T>(Buffer, T);

impl<T> AsRef<[u8]> for Owner<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// The same bytes for the socket.
pub(crate) fn shared(buffer: &Buffer) -> Bytes {
    Bytes::from_owner(Owner(buffer.clone(), ()))
}

/// The bytes with what they take from a budget, which comes back with the last reference to them.
pub(super) fn charged(buffer: Buffer, charge: Charge) -> Bytes {
    Bytes::from_owner(Owner(buffer, charge))
}
