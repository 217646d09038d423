//! Whole messages, each body in memory as Arrow wants it.

use std::collections::VecDeque;

use airlane_frames::read::{Fields, Sink};
use airlane_model::limits::ALIGNMENT_BYTES;
use airlane_model::{ByteSize, Error, Result, codes};
use arrow_buffer::Buffer;
use bytes::Bytes;

/// So many bytes of a body are believed before they are there. For more, memory doubles as they come.
const BELIEVED_BYTES: usize = 64 << 20;

/// A body from this size on may stay in the memory that it came in: a smaller one would keep too much of that.
const KEPT_BYTES_MIN: usize = 64 << 10;

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
        self.body.push(chunk)
    }

    fn end(&mut self, fields: &Fields) -> Result<()> {
        let body = std::mem::take(&mut self.body).into_buffer();
        let metadata = fields.metadata.clone().unwrap_or_default();
        self.whole.push_back(Whole { header: fields.header.clone(), metadata, body });
        Ok(())
    }
}

/// A body as it comes.
#[derive(Debug, Default)]
struct Gathered {
    expected: usize,
    /// All of it in one piece that lies where it should.
    kept: Option<Bytes>,
    /// The bytes from `start` on, which is aligned; the memory never moves while it fills.
    memory: Vec<u8>,
    start: usize,
}

impl Gathered {
    fn begin(body_bytes: u64) -> Result<Self> {
        let expected = usize::try_from(body_bytes).map_err(|_| no_memory(usize::MAX))?;
        Ok(Self { expected, ..Self::default() })
    }

    fn push(&mut self, chunk: Bytes) -> Result<()> {
        let filled = self.memory.len() - self.start;
        if filled == 0 && chunk.len() == self.expected && chunk.len() >= KEPT_BYTES_MIN && is_aligned(&chunk) {
            self.kept = Some(chunk);
            return Ok(());
        }
        let needed = filled + chunk.len();
        if needed > self.memory.capacity().saturating_sub(self.start) {
            // The parser hands on no more than it has announced.
            let wanted = needed.max(2 * filled).max(BELIEVED_BYTES).min(self.expected.max(needed));
            let (mut memory, start) = aligned(wanted)?;
            memory.extend_from_slice(&self.memory[self.start..]);
            (self.memory, self.start) = (memory, start);
        }
        self.memory.extend_from_slice(&chunk);
        Ok(())
    }

    fn into_buffer(self) -> Buffer {
        if let Some(kept) = self.kept {
            return Buffer::from(kept);
        }
        let bytes = self.memory.len() - self.start;
        Buffer::from_vec(self.memory).slice_with_length(self.start, bytes)
    }
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
