//! Which bytes of a segment were written.

use std::collections::BTreeMap;

/// The ranges that were written, apart from one another: start and end. Ranges that touch are one, so there are as many
/// as there are gaps.
#[derive(Debug, Default)]
pub(super) struct Written(BTreeMap<u64, u64>);

impl Written {
    /// Adds a range. Answers false, and adds nothing, when a byte of it was written before.
    pub(super) fn add(&mut self, mut start: u64, mut end: u64) -> bool {
        if start >= end {
            return true;
        }
        // Of the ranges that begin before the end, the last reaches furthest.
        let before = self.0.range(..end).next_back().map(|(start, end)| (*start, *end));
        match before {
            Some((_, before_end)) if before_end > start => return false,
            Some((before_start, before_end)) if before_end == start => start = before_start,
            _ => {}
        }
        if let Some(after_end) = self.0.remove(&end) {
            end = after_end;
        }
        self.0.insert(start, end);
        true
    }

    /// Whether each of the first `len` bytes was written, and no other.
    pub(super) fn is_exactly(&self, len: u64) -> bool {
        self.0.iter().map(|(start, end)| (*start, *end)).eq((len > 0).then_some((0, len)))
    }

    /// Where the first gap begins, if the first `bytes` have none.
    pub(super) fn end_from(&self, bytes: u64) -> u64 {
        self.0.range(..=bytes).next_back().map_or(bytes, |(_, end)| bytes.max(*end))
    }

    /// The end of the last range.
    pub(super) fn end(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, end)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_added_once_in_any_order() {
        // A bit for each of twelve bytes beside the ranges, in every order of a few ranges.
        let ranges = [(0, 3), (3, 4), (2, 5), (4, 8), (8, 12), (7, 7), (0, 12), (11, 12)];
        for first in 0..1_usize << 9 {
            let mut written = Written::default();
            let mut bits = 0_u32;
            for step in 0..ranges.len() {
                let (start, end) = ranges[(first * (2 * step + 1) + step * step) % ranges.len()];
                let range = (start..end).fold(0, |bits, bit| bits | 1 << bit);
                assert_eq!(written.add(start, end), bits & range == 0, "{written:?} {start}..{end}");
                if bits & range == 0 {
                    bits |= range;
                }
                for len in 0..13 {
                    let gap = (len..12).find(|byte| bits & 1 << byte == 0).unwrap_or(len.max(12));
                    assert_eq!(written.end_from(len), gap, "{written:?} {len}");
                    assert_eq!(written.is_exactly(len), bits == (1 << len) - 1, "{written:?} {len}");
                }
                assert_eq!(written.end(), u64::from(u32::BITS - bits.leading_zeros()));
            }
        }
    }
}
