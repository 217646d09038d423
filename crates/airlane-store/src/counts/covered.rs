//! Which rows of a read were delivered.

use airlane_model::RowRange;

/// Ranges that do not touch, at most. A read in more pieces is never known to be complete.
const RANGES_MAX: usize = 4_096;

/// Rows that were delivered, and streams that broke off.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    /// In order, without touching one another.
    delivered: Vec<RowRange>,
    /// What broken streams had handed over; how much of it arrived only their reader knows.
    broken: Vec<RowRange>,
}

impl Covered {
    /// A reader asks for the rows from here on: so what a broken stream had handed over before has arrived.
    pub(crate) fn resume(&mut self, start: u64) {
        let before = self.broken.iter().filter(|broken| broken.start < start && start <= broken.end);
        let arrived: Vec<RowRange> = before.map(|broken| RowRange { start: broken.start, end: start }).collect();
        arrived.into_iter().for_each(|rows| self.add(rows));
    }

    /// A stream broke off after these rows.
    pub(crate) fn break_off(&mut self, rows: RowRange) {
        if rows.rows() > 0 && self.broken.len() < RANGES_MAX {
            self.broken.push(rows);
        }
    }

    /// A stream of these rows came to its end.
    pub(crate) fn add(&mut self, rows: RowRange) {
        if rows.rows() == 0 {
            return;
        }
        let mut all = rows;
        self.delivered.retain(|other| {
            let is_apart = other.end < all.start || all.end < other.start;
            if !is_apart {
                all = RowRange { start: all.start.min(other.start), end: all.end.max(other.end) };
            }
            is_apart
        });
        let place = self.delivered.partition_point(|other| other.start < all.start);
        if self.delivered.len() < RANGES_MAX {
            self.delivered.insert(place, all);
        }
    }

    /// Whether all of these rows were delivered.
    pub(crate) fn holds(&self, rows: RowRange) -> bool {
        rows.rows() == 0 || self.delivered.iter().any(|one| one.start <= rows.start && rows.end <= one.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(start: u64, end: u64) -> RowRange {
        RowRange { start, end }
    }

    proptest! {
        /// The ranges hold what a row-by-row count holds.
        #[test]
        fn ranges_hold_what_single_rows_hold(pieces in prop::collection::vec((0_u64..40, 0_u64..12), 0..20)) {
            let mut covered = Covered::default();
            let mut rows = [false; 64];
            for (start, count) in pieces {
                covered.add(range(start, start + count));
                (start..start + count).for_each(|row| rows[row as usize] = true);
                for start in 0..52 {
                    for end in start..52 {
                        let all = rows[start..end].iter().all(|row| *row);
                        prop_assert_eq!(covered.holds(range(start as u64, end as u64)), all);
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_broken_stream_handed_over_counts_when_it_is_resumed() {
        let mut covered = Covered::default();
        covered.break_off(range(0, 60));
        covered.add(range(60, 100));
        assert!(!covered.holds(range(0, 100)), "nobody knows how much arrived");
        covered.resume(0);
        covered.resume(80);
        assert!(!covered.holds(range(0, 100)), "that is no resume of it");
        covered.resume(40);
        assert!(covered.holds(range(0, 40)) && !covered.holds(range(0, 60)));
        covered.add(range(40, 60));
        assert!(covered.holds(range(0, 100)));
    }

    #[test]
    fn too_many_pieces_are_never_complete() {
        let mut covered = Covered::default();
        (0..10_000).for_each(|piece| covered.add(range(piece * 2, piece * 2 + 1)));
        (0..10_000).for_each(|piece| covered.break_off(range(piece, piece + 1)));
        assert!(covered.delivered.len() <= RANGES_MAX && covered.broken.len() <= RANGES_MAX);
        assert!(!covered.holds(range(0, 20_000)));
    }
}
