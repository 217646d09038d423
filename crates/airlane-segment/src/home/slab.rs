//! Memory for bodies that arrive one after another, in large pages where the system has them.
//!
//! The first touch of a page of 4 KiB costs several times the copy into it. Memory that is asked for in blocks of several MiB can be in pages of
//! 2 MiB, for which that is a tenth; the allocator gives each body pages of its own.

#![expect(unsafe_code, reason = "pieces of one mapping are written while others are read; each byte has one owner")]

use std::io;
use std::sync::Arc;

use airlane_model::limits::ALIGNMENT_BYTES;
use arrow_buffer::Buffer;
use bytes::Bytes;
use memmap2::{Advice, MmapOptions, MmapRaw};

/// A block of memory from which pieces are taken. It is freed with the last of them.
#[derive(Debug)]
pub struct Slab {
    memory: Arc<MmapRaw>,
    taken: usize,
}

/// A piece, which is filled and then read.
#[derive(Debug)]
pub struct SlabPiece {
    memory: Arc<MmapRaw>,
    start: usize,
    room: usize,
    len: usize,
}

impl Slab {
    /// So many bytes, none of which takes memory before it is written.
    pub const BYTES: usize = 8 << 20;

    /// A new one.
    ///
    /// # Errors
    /// What `mmap` answers.
    pub fn new() -> io::Result<Self> {
        let memory = MmapOptions::new().len(Self::BYTES).map_anon()?;
        // Where the system has no large pages it is memory all the same.
        let _ = memory.advise(Advice::HugePage);
        Ok(Self { memory: Arc::new(memory.into()), taken: 0 })
    }

    /// A piece for so many bytes, at a multiple of 64; `None` when there are not so many left.
    pub fn piece(&mut self, bytes: usize) -> Option<SlabPiece> {
        let start = self.taken.next_multiple_of(ALIGNMENT_BYTES);
        let end = start.checked_add(bytes).filter(|end| *end <= self.memory.len())?;
        self.taken = end;
        Some(SlabPiece { memory: self.memory.clone(), start, room: bytes, len: 0 })
    }
}

impl SlabPiece {
    /// The bytes that it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes. Answers whether there was room for them; if not, nothing is added.
    #[must_use]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.room - self.len {
            return false;
        }
        // SAFETY: `piece` gives each byte of the mapping to one piece only, and the length was compared with the room of this one. So the target
        // lies inside of the mapping, which lives as long as `memory`, and nobody else writes or reads it: bytes are read through
        // `as_ref` alone, which shows what was written before. The source is elsewhere, since nobody has a slice of what is still written.
        unsafe {
            let target = self.memory.as_mut_ptr().add(self.start + self.len);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
        self.len += bytes.len();
        true
    }

    /// What it holds, for arrays.
    pub fn into_buffer(self) -> Buffer {
        Buffer::from(Bytes::from_owner(self))
    }
}

impl AsRef<[u8]> for SlabPiece {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: these bytes lie inside of the mapping, which lives as long as `memory`, and were written by `extend`, which needs the piece
        // for itself. Other pieces have no byte of them.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(self.start), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart_and_aligned_and_outlive_the_slab() {
        let mut slab = Slab::new().expect("memory");
        let mut pieces = Vec::new();
        for number in 0..40_u8 {
            let mut piece = slab.piece(1000 + usize::from(number)).expect("room");
            assert!(piece.is_empty());
            assert!(piece.extend(&vec![number; 600]) && piece.extend(&vec![number; 400]));
            assert!(!piece.extend(&[number; 41]), "more than was asked for");
            pieces.push(piece);
        }
        drop(slab);
        for (number, piece) in (0..).zip(pieces) {
            assert_eq!(piece.len(), 1000);
            let buffer = piece.into_buffer();
            assert!(buffer.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES));
            assert_eq!(buffer.as_slice(), vec![number; 1000]);
        }
    }

    #[test]
    fn a_slab_has_an_end() {
        let mut slab = Slab::new().expect("memory");
        assert!(slab.piece(Slab::BYTES + 1).is_none() && slab.piece(usize::MAX).is_none());
        assert!(slab.piece(Slab::BYTES).is_some());
        assert!(slab.piece(1).is_none());
    }
}
