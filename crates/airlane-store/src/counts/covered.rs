//! Which rows of a read were delivered.

use airlane_model::RowRange;

/// Ranges that do not touch, at most. A read in more pieces is never known to be complete.
const RANGES_MAX: usize = 4_096;

/// Rows that were delivered, and streams that broke off.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    /// In order, without touching one another.
    delivered: Vec<RowRange>,
    broken: Vec<Broken>,
}

/// A stream that broke off; how much of it arrived only its reader knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken {
    /// What it had handed over.
    pub(crate) handed: RowRange,
    /// Where it would have ended.
    pub(crate) end: u64,
}

impl Broken {
    /// Whether a stream goes on with it. One that begins where this would have ended, and goes further, is another flight.
    fn is_resumed_by(&self, stream: RowRange) -> bool {
        let Self { handed, end } = *self;
        let is_behind = stream.start < handed.end || (stream.start == handed.end && stream.end <= end);
        handed.start < stream.start && is_behind
    }
}

impl Covered {
    /// A reader asks for these rows: so what a broken stream had handed over before them has arrived.
    pub(crate) fn resume(&mut self, stream: RowRange) {
        let resumed = self.broken.iter().filter(|broken| broken.is_resumed_by(stream));
        // All of them end at the same row. One look for each: there may be thousands, and others wait.
        if let Some(start) = resumed.map(|broken| broken.handed.start).min() {
            self.add(RowRange { start, end: stream.start });
        }
    }

    /// A stream broke off.
    pub(crate) fn break_off(&mut self, broken: Broken) {
        if broken.handed.rows() > 0 && self.broken.len() < RANGES_MAX {
            self.broken.push(broken);
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

    fn broken(start: u64, handed: u64, end: u64) -> Broken {
        Broken { handed: range(start, handed), end }
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
        covered.break_off(broken(0, 60, 60));
        covered.add(range(60, 100));
        assert!(!covered.holds(range(0, 100)), "nobody knows how much arrived");
        for other in [range(0, 60), range(80, 100), range(60, 100)] {
            covered.resume(other);
            assert!(!covered.holds(range(0, 10)), "that is no resume of it");
        }
        covered.resume(range(40, 60));
        assert!(covered.holds(range(0, 40)) && !covered.holds(range(0, 60)));
        covered.add(range(40, 60));
        assert!(covered.holds(range(0, 100)));
    }

    #[test]
    fn a_stream_that_broke_behind_its_last_row_is_resumed_there() {
        for (end, stream, is_resumed) in [
            (60, range(60, 60), true),
            (100, range(60, 100), true),
            (100, range(60, 80), true),
            (60, range(60, 61), false),
        ] {
            let mut covered = Covered::default();
            covered.break_off(broken(0, 60, end));
            covered.break_off(broken(20, 60, end));
            covered.resume(stream);
            assert_eq!(covered.holds(range(0, 60)), is_resumed, "{stream}, of one to {end}");
        }
    }

    #[test]
    fn too_many_pieces_are_never_complete() {
        let mut covered = Covered::default();
        (0..10_000).for_each(|piece| covered.add(range(piece * 2, piece * 2 + 1)));
        (0..10_000).for_each(|piece| covered.break_off(broken(piece, piece + 1, 20_000)));
        assert!(covered.delivered.len() <= RANGES_MAX && covered.broken.len() <= RANGES_MAX);
        assert!(!covered.holds(range(0, 20_000)));
    }
}
