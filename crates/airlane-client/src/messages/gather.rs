//! Whole messages, each body in memory as Arrow wants it.

use std::collections::VecDeque;

use airlane_frames::read::{Fields, Sink};
use airlane_model::limits::ALIGNMENT_BYTES;
use airlane_model::{ByteSize, Error, Result, codes};
use airlane_segment::home::{Slab, SlabPiece};
use arrow_buffer::Buffer;
use bytes::Bytes;

/// So many bytes of a body are believed before they are there. For more, memory doubles as they come.
const BELIEVED_BYTES: usize = 64 << 20;

/// A body from this size on may stay in the memory that it came in: a smaller one would keep too much of that.
const KEPT_BYTES_MIN: usize = 64 << 10;

/// Bodies lie in slabs once so many bytes have come: a slab is more than few rows are worth.
const SLABS_FROM_BYTES: u64 = 8 << 20;

/// A body that is larger has memory of its own.
const IN_SLAB_BYTES_MAX: usize = Slab::BYTES / 2;

/// A message that is complete.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) header: Bytes,
    pub(super) metadata: Bytes,
    pub(super) body: Buffer,
}

/// Takes messages apart as the parser reads them.
#[derive(Debug, Default)]
pub(super) struct Gather {
    body: Gathered,
    slabs: Slabs,
    whole: VecDeque<Whole>,
}

impl Gather {
    /// The next message that is complete.
    pub(super) fn pop(&mut self) -> Option<Whole> {
        self.whole.pop_front()
    }
}

impl Sink for Gather {
    fn begin(&mut self, _: &Fields, body_bytes: u64) -> Result<()> {
        self.body = Gathered::begin(body_bytes)?;
        Ok(())
    }

    fn body(&mut self, chunk: Bytes) -> Result<()> {
        self.body.push(chunk, &mut self.slabs)
    }

    fn end(&mut self, fields: &Fields) -> Result<()> {
        let body = std::mem::take(&mut self.body).into_buffer();
        let metadata = fields.metadata.clone().unwrap_or_default();
        self.whole.push_back(Whole { header: fields.header.clone(), metadata, body });
        Ok(())
    }
}

/// Where the bodies of a large answer lie, one after another.
#[derive(Debug, Default)]
struct Slabs {
    received: u64,
    current: Option<Slab>,
}

impl Slabs {
    /// A place for a body of so many bytes, if it is to lie in a slab and there is memory for one.
    fn piece(&mut self, bytes: usize) -> Option<SlabPiece> {
        self.received = self.received.saturating_add(bytes as u64);
        if self.received < SLABS_FROM_BYTES || bytes > IN_SLAB_BYTES_MAX {
            return None;
        }
        if let Some(piece) = self.current.as_mut().and_then(|slab| slab.piece(bytes)) {
            return Some(piece);
        }
        self.current.insert(Slab::new().ok()?).piece(bytes)
    }
}

/// A body as it comes.
#[derive(Debug, Default)]
struct Gathered {
    expected: usize,
    memory: Memory,
}

#[derive(Debug, Default)]
enum Memory {
    #[default]
    Nothing,
    /// All of it in one chunk that lies right already.
    Kept(Bytes),
    InSlab(SlabPiece),
    /// The bytes from the place on, which is aligned; the memory never moves while it fills.
    Own(Vec<u8>, usize),
}

impl Gathered {
    fn begin(body_bytes: u64) -> Result<Self> {
        let expected = usize::try_from(body_bytes).map_err(|_| no_memory(usize::MAX))?;
        Ok(Self { expected, memory: Memory::Nothing })
    }

    fn push(&mut self, chunk: Bytes, slabs: &mut Slabs) -> Result<()> {
        if matches!(self.memory, Memory::Nothing) {
            if chunk.len() == self.expected && chunk.len() >= KEPT_BYTES_MIN && is_aligned(&chunk) {
                self.memory = Memory::Kept(chunk);
                return Ok(());
            }
            self.memory = slabs.piece(self.expected).map_or(Memory::Own(Vec::new(), 0), Memory::InSlab);
        }
        let is_taken = match &mut self.memory {
            Memory::InSlab(piece) => piece.extend(&chunk),
            Memory::Own(memory, start) => {
                push_own(memory, start, &chunk, self.expected)?;
                true
            }
            Memory::Nothing | Memory::Kept(_) => chunk.is_empty(),
        };
        // The parser hands on no more than it has announced.
        if is_taken { Ok(()) } else { Err(no_memory(self.expected)) }
    }

    fn into_buffer(self) -> Buffer {
        match self.memory {
            Memory::Nothing => Buffer::default(),
            Memory::Kept(kept) => Buffer::from(kept),
            Memory::InSlab(piece) => piece.into_buffer(),
            Memory::Own(memory, start) => {
                let bytes = memory.len() - start;
                Buffer::from_vec(memory).slice_with_length(start, bytes)
            }
        }
    }
}

fn push_own(memory: &mut Vec<u8>, start: &mut usize, chunk: &[u8], expected: usize) -> Result<()> {
    let filled = memory.len() - *start;
    let needed = filled + chunk.len();
    if needed > memory.capacity().saturating_sub(*start) {
        let wanted = needed.max(2 * filled).max(BELIEVED_BYTES).min(expected.max(needed));
        let (mut larger, place) = aligned(wanted)?;
        larger.extend_from_slice(&memory[*start..]);
        (*memory, *start) = (larger, place);
    }
    memory.extend_from_slice(chunk);
    Ok(())
}

/// Memory with room for so many bytes from the place on that is returned with it. A failed allocation is an error here,
/// where one of arrow-buffer would end the process.
fn aligned(bytes: usize) -> Result<(Vec<u8>, usize)> {
    let mut memory: Vec<u8> = Vec::new();
    let room = bytes.checked_add(ALIGNMENT_BYTES - 1).ok_or_else(|| no_memory(bytes))?;
    memory.try_reserve_exact(room).map_err(|error| no_memory(bytes).source(error))?;
    let address = memory.as_ptr().addr();
    let start = address.next_multiple_of(ALIGNMENT_BYTES) - address;
    memory.resize(start, 0);
    Ok((memory, start))
}

fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES)
}

fn no_memory(bytes: usize) -> Error {
    let bytes = ByteSize::bytes(bytes as u64);
    Error::new(codes::MEMORY_FULL, format!("there is no memory for a message body of {bytes}"))
        .hint("read it in parts, by the rows of a ticket")
}

#[cfg(test)]
mod tests;
