//! What is hashed one after another, however it comes in pieces.

use arrow_buffer::BooleanBuffer;
use xxhash_rust::xxh3::Xxh3;

/// Numbers and bits that are hashed at once.
const WORDS: usize = 512;

/// Bytes. Costs nothing before the first.
#[derive(Default)]
pub(super) struct Lane {
    hash: Option<Box<Xxh3>>,
    bytes: u64,
}

impl Lane {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.hash.get_or_insert_with(|| Box::new(Xxh3::new())).update(bytes);
            self.bytes += bytes.len() as u64;
        }
    }

    pub(super) fn add_numbers(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let mut numbers = numbers.into_iter();
        let mut bytes = [0; WORDS * size_of::<u64>()];
        loop {
            let mut len = 0;
            for (place, number) in bytes.chunks_exact_mut(size_of::<u64>()).zip(numbers.by_ref()) {
                place.copy_from_slice(&number.to_le_bytes());
                len += size_of::<u64>();
            }
            if len == 0 {
                return;
            }
            self.add(&bytes[..len]);
        }
    }

    pub(super) fn sum(&self, sum: &mut Sum) {
        sum.number(self.bytes);
        if let Some(hash) = &self.hash {
            sum.0.update(&hash.digest128().to_le_bytes());
        }
    }
}

/// Bits, joined without gaps.
#[derive(Default)]
pub(super) struct Bits {
    lane: Lane,
    /// Bits that do not fill a word yet, from the lowest on.
    rest: u64,
    rest_len: u32,
}

impl Bits {
    pub(super) fn add(&mut self, bits: &BooleanBuffer) {
        let chunks = bits.bit_chunks();
        let mut words = Vec::with_capacity(chunks.chunk_len().min(WORDS) * size_of::<u64>());
        for word in chunks.iter() {
            words.extend(self.join(word).to_le_bytes());
            if words.len() >= WORDS * size_of::<u64>() {
                self.lane.add(&words);
                words.clear();
            }
        }
        self.lane.add(&words);
        self.add_some(chunks.remainder_bits(), chunks.remainder_len() as u32);
    }

    pub(super) fn add_ones(&mut self, len: usize) {
        let words = std::iter::repeat_n(u64::MAX, len / 64);
        // Joined with ones, a word stays as its first bits are, and so do all after it.
        let mut joined = Vec::with_capacity(WORDS.min(len / 64));
        for word in words {
            joined.push(self.join(word));
            if joined.len() == WORDS {
                self.lane.add_numbers(joined.drain(..));
            }
        }
        self.lane.add_numbers(joined);
        let left = (len % 64) as u32;
        self.add_some(u64::MAX.checked_shr(64 - left).unwrap_or_default(), left);
    }

    pub(super) fn sum(&self, sum: &mut Sum) {
        self.lane.sum(sum);
        sum.number(self.rest);
        sum.number(self.rest_len.into());
    }

    /// The next whole word, with 64 more bits.
    fn join(&mut self, word: u64) -> u64 {
        if self.rest_len == 0 {
            return word;
        }
        let whole = self.rest | word << self.rest_len;
        self.rest = word >> (64 - self.rest_len);
        whole
    }

    /// Fewer than 64 more bits; those above are zero.
    fn add_some(&mut self, bits: u64, len: u32) {
        let all = self.rest_len + len;
        let joined = self.rest | bits.checked_shl(self.rest_len).unwrap_or_default();
        if all < 64 {
            (self.rest, self.rest_len) = (joined, all);
            return;
        }
        self.lane.add(&joined.to_le_bytes());
        self.rest = bits.checked_shr(64 - self.rest_len).unwrap_or_default();
        self.rest_len = all - 64;
    }
}

/// The hash of hashes.
#[derive(Default)]
pub(super) struct Sum(Xxh3);

impl Sum {
    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(super) fn value(&self) -> u128 {
        self.0.digest128()
    }
}
