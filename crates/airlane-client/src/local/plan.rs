//! Where the segments of a put end.
//!
//! ```text
//! size unknown    | 64 MiB | 64 MiB | … | rest |
//! to some 256 MiB | a quarter | a quarter | a quarter | a quarter |      laid out beside each other
//! larger          | 64 MiB | 64 MiB | …              | rest | tail |     the tail is what a reader waits for
//! ```

use airlane_model::limits::SEGMENT_BYTES_TARGET;
use airlane_model::{ByteSize, PutMode};

/// What is left for the last segment of a large table of known size: sealing it, and having it validated, takes time by the byte.
const TAIL_BYTES: u64 = 512 << 10;

/// A table from this size on has a tail; a smaller one is done before a reader could ask for it.
const WITH_TAIL_BYTES: u64 = 32 << 20;

/// A small table of known size has so many segments, that are laid out and validated at once.
const PARTS: u64 = 4;

/// None of them is smaller. From here to eight times as much, segments side by side are of one tier of the server, which merges
/// those that differ.
const PART_BYTES_MIN: u64 = (2 << 20) + (256 << 10);

/// Segments of a large table of known size, about; each of them no larger than this.
const SEGMENTS: u64 = 64;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// What is left of a segment's room is not worth another slice below this part of it.
const ROOM_PART: u64 = 16;

/// Rows are cut at multiples of this where they can be, so that bitmaps need no shifting.
const ROWS_STEP: u64 = 64;

/// Where the segments of one put end, by the bytes of its rows.
#[derive(Debug)]
pub(super) struct Plan {
    segment_bytes: u64,
    /// Where the tail begins.
    tail: Option<u64>,
    /// Of the segment that is open.
    taken: u64,
    all: u64,
}

impl Plan {
    /// For a put of so many bytes, where that is known. What is appended is one segment where it can be, since those of many appends are
    /// merged.
    pub(super) fn new(expected: Option<u64>, mode: PutMode) -> Self {
        let target = SEGMENT_BYTES_TARGET.as_u64();
        let segment_bytes = match expected {
            None => target,
            Some(expected) => {
                let part = match mode {
                    PutMode::Replace => expected.div_ceil(PARTS).clamp(PART_BYTES_MIN, target),
                    PutMode::Append => target,
                };
                part.max((expected / SEGMENTS).min(SEGMENT_BYTES_MAX))
            }
        };
        let tail = expected.filter(|expected| *expected >= WITH_TAIL_BYTES).map(|expected| expected - TAIL_BYTES);
        Self { segment_bytes, tail, taken: 0, all: 0 }
    }

    /// The same for a table with dictionaries: each segment repeats those that it uses, so only the tail is cut off.
    pub(super) fn whole(self) -> Self {
        Self { segment_bytes: u64::MAX, ..self }
    }

    /// How many of `rows` rows, which have so many bytes, the segment still takes: one at least.
    pub(super) fn rows(&self, rows: usize, bytes: u64) -> usize {
        let room = self.room();
        if bytes <= room {
            return rows;
        }
        let fitting = (rows as u128 * u128::from(room) / u128::from(bytes)) as u64;
        let stepped = if fitting > ROWS_STEP { fitting - fitting % ROWS_STEP } else { fitting };
        // No more than there are.
        usize::try_from(stepped.max(1)).unwrap_or(usize::MAX).min(rows)
    }

    /// Counts rows of so many bytes. Answers whether the segment ends after them.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        self.taken = self.taken.saturating_add(bytes);
        self.all = self.all.saturating_add(bytes);
        let segment = self.segment_bytes.saturating_sub(self.taken);
        let before_tail = self.tail.map(|tail| tail.saturating_sub(self.all));
        // Rows that are larger than the average would be cut into ever smaller slices.
        let ends_at_tail = before_tail.is_some_and(|left| left <= TAIL_BYTES / ROOM_PART);
        if ends_at_tail {
            self.tail = None;
        }
        let ends = ends_at_tail || segment <= self.segment_bytes / ROOM_PART;
        if ends {
            self.taken = 0;
        }
        ends
    }

    /// The size at which a segment ends.
    pub(super) fn segment_bytes(&self) -> ByteSize {
        ByteSize::bytes(self.segment_bytes)
    }

    fn room(&self) -> u64 {
        let segment = self.segment_bytes.saturating_sub(self.taken);
        self.tail.map_or(segment, |tail| segment.min(tail.saturating_sub(self.all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the segments of rows of 1 KiB, which come in batches.
    fn segments(plan: Plan, batches: &[usize]) -> Vec<u64> {
        let (mut plan, mut segments, mut open) = (plan, Vec::new(), 0);
        for rows in batches {
            let mut left = *rows;
            while left > 0 {
                let taken = plan.rows(left, (left as u64) << 10);
                assert!((1..=left).contains(&taken));
                left -= taken;
                open += (taken as u64) << 10;
                if plan.take((taken as u64) << 10) {
                    segments.push(std::mem::take(&mut open));
                }
            }
        }
        segments.extend((open > 0).then_some(open));
        segments
    }

    #[test]
    fn a_small_table_of_known_size_has_four_segments_that_are_alike() {
        let parts = segments(Plan::new(Some(19 << 20), PutMode::Replace), &[19 << 10]);
        assert_eq!(parts.len(), 4, "{parts:?}");
        assert!(parts.iter().all(|bytes| (4 << 20..=5 << 20).contains(bytes)), "{parts:?}");
        assert_eq!(segments(Plan::new(Some(19 << 20), PutMode::Append), &[19 << 10]).len(), 1);
        assert_eq!(segments(Plan::new(None, PutMode::Replace), &[19 << 10]).len(), 1);
        assert_eq!(segments(Plan::new(Some(1 << 20), PutMode::Replace), &[1 << 10]).len(), 1);
    }

    #[test]
    fn a_large_table_ends_with_a_tail() {
        for batches in [vec![1 << 20], vec![4 << 10; 256], vec![5_000; 209]] {
            let all: usize = batches.iter().sum();
            let parts = segments(Plan::new(Some((all as u64) << 10), PutMode::Replace), &batches);
            let (tail, rest) = parts.split_last().expect("segments");
            assert!(*tail <= TAIL_BYTES + TAIL_BYTES / ROOM_PART, "{parts:?}");
            assert!((16..=18).contains(&rest.len()) && rest.iter().all(|bytes| *bytes <= 64 << 20), "{parts:?}");
            assert_eq!(parts.iter().sum::<u64>(), (all as u64) << 10);
            // Dictionaries are repeated once.
            let whole = segments(Plan::new(Some((all as u64) << 10), PutMode::Replace).whole(), &batches);
            assert_eq!(whole.len(), 2);
        }
    }

    #[test]
    fn what_is_more_than_was_expected_goes_on() {
        let parts = segments(Plan::new(Some(32 << 20), PutMode::Replace), &[16 << 10; 8]);
        assert_eq!(parts.iter().sum::<u64>(), 128 << 20);
        // Nothing of it is in slivers.
        assert!(parts.iter().all(|bytes| *bytes >= 256 << 10), "{parts:?}");
    }

    #[test]
    fn a_table_without_columns_has_rows() {
        let mut plan = Plan::new(Some(0), PutMode::Replace);
        assert_eq!(plan.rows(7, 0), 7);
        assert!(!plan.take(0));
    }
}
