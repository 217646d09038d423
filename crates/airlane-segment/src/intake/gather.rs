//! The body of one message, gathered as it arrives.

use airlane_model::error::codes::MESSAGE_INVALID;
use airlane_model::{Error, Result};
use arrow_buffer::{Buffer, MutableBuffer};

use crate::decode::memory::reserve;

/// What is reserved at once for a body that is announced. From there on memory doubles as bytes arrive.
const RESERVED_BYTES_FIRST: usize = 1 << 20;

/// Gathers one body after another, in the same memory where it can: a buffer that was used before is mapped and in the
/// cache.
#[derive(Default)]
pub(super) struct Gather {
    announced: usize,
    buffer: MutableBuffer,
    /// The memory of an earlier body.
    spare: MutableBuffer,
}

impl Gather {
    /// Begins a body of so many bytes.
    pub(super) fn begin(&mut self, announced: usize) -> Result<()> {
        self.announced = announced;
        // A small body in the memory of a large one would keep all of it when the writer holds on to a few rows.
        self.buffer = if self.spare.capacity() <= announced.saturating_mul(2) {
            std::mem::take(&mut self.spare)
        } else {
            MutableBuffer::default()
        };
        self.grow(announced.min(RESERVED_BYTES_FIRST))
    }

    /// The memory that is held once so many more bytes have come.
    pub(super) fn bytes_with(&self, more: usize) -> u64 {
        let capacity = self.buffer.capacity();
        let needed = self.buffer.len().saturating_add(more);
        let grown = if needed <= capacity { capacity } else { self.grown(needed) };
        (grown as u64).saturating_add(self.spare.capacity() as u64)
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<()> {
        let bytes = self.buffer.len() + chunk.len();
        if bytes > self.announced {
            let announced = self.announced;
            return Err(Error::new(
                MESSAGE_INVALID,
                format!("the body of a message has more than the {announced} bytes that were announced"),
            ));
        }
        self.grow(bytes)?;
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// Ends the body.
    pub(super) fn end(&mut self) -> Result<Buffer> {
        let bytes = self.buffer.len();
        if bytes < self.announced {
            let announced = self.announced;
            return Err(Error::new(
                MESSAGE_INVALID,
                format!("the body of a message ends after {bytes} of {announced} bytes"),
            ));
        }
        Ok(std::mem::take(&mut self.buffer).into())
    }

    /// Takes the memory of a body back, unless something still points into it.
    pub(super) fn reclaim(&mut self, body: Buffer) {
        if let Ok(mut memory) = body.into_mutable()
            && memory.capacity() >= self.spare.capacity()
        {
            memory.clear();
            self.spare = memory;
        }
    }

    fn grown(&self, needed: usize) -> usize {
        needed.max(self.buffer.capacity().saturating_mul(2).min(self.announced))
    }

    fn grow(&mut self, needed: usize) -> Result<()> {
        let capacity = self.buffer.capacity();
        if needed <= capacity {
            return Ok(());
        }
        let mut larger = reserve(self.grown(needed))?;
        larger.extend_from_slice(self.buffer.as_slice());
        self.buffer = larger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(gather: &mut Gather, body: &[u8], chunk_bytes: usize) -> Buffer {
        gather.begin(body.len()).expect("memory");
        body.chunks(chunk_bytes).for_each(|chunk| gather.push(chunk).expect("memory"));
        gather.end().expect("all bytes")
    }

    #[test]
    fn memory_grows_with_what_arrives() {
        let mut gather = Gather::default();
        gather.begin(1 << 40).expect("nothing is reserved for a claim");
        assert!(gather.buffer.capacity() <= RESERVED_BYTES_FIRST);
        let chunk = vec![7; 300_000];
        for count in 1..=10 {
            gather.push(&chunk).expect("memory");
            assert!(gather.buffer.capacity() <= (2 * count * chunk.len()).max(RESERVED_BYTES_FIRST), "{count}");
        }
        assert!(gather.end().is_err(), "the body is not complete");
    }

    #[test]
    fn memory_is_used_again_unless_it_is_held() {
        let body: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
        let mut gather = Gather::default();
        let first = gathered(&mut gather, &body, 16_384);
        assert_eq!(first.as_slice(), body);
        let memory = first.as_ptr();
        gather.reclaim(first);
        let second = gathered(&mut gather, &body, 100_000);
        assert_eq!((second.as_slice(), second.as_ptr()), (body.as_slice(), memory));

        let held = second.slice_with_length(64, 64);
        gather.reclaim(second);
        let third = gathered(&mut gather, &body, body.len());
        assert_ne!(third.as_ptr(), memory);
        assert_eq!(held.as_slice(), &body[64..128]);
    }

    #[test]
    fn a_small_body_leaves_the_memory_of_a_large_one() {
        let mut gather = Gather::default();
        let large = gathered(&mut gather, &[1; 2_000_000], 65_536);
        gather.reclaim(large);
        let small = gathered(&mut gather, &[2; 100], 7);
        assert!(small.capacity() < 1_000, "{}", small.capacity());
        assert!(gather.spare.capacity() >= 2_000_000);
    }

    #[test]
    fn a_body_is_as_long_as_announced() {
        let mut gather = Gather::default();
        gather.begin(3).expect("memory");
        gather.push(&[1, 2]).expect("memory");
        let error = gather.push(&[3, 4]).expect_err("one too many");
        assert_eq!(error.code(), MESSAGE_INVALID);
    }
}
