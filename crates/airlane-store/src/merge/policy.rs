//! Which segments to merge next. A pure function over sizes.
//!
//! Segments have tiers: tier `n` is about eight times as large as tier `n - 1`. The policy keeps the tiers from rising
//! from left to right, with fewer than eight segments in each, as a counter to the base of eight would:
//!
//! ```text
//! sizes    [ large | 3 3 3 | 2 2 | 1 1 1 1 | 0 0 0 0 0 0 0 ]  ← appends come here
//! 1        a full tier: eight or more neighbours of one tier become one segment of the next
//! 2        a rise: segments left of a larger one go into it, since nothing will come between them any more
//! 3        segments left of a large one, which is never touched, go into one another
//! ```
//!
//! Segments of different spans of time are never joined. All but the last span are as what is left of a large one: nothing
//! comes to them any more.
//!
//! Each merge lifts its rows by a tier at least, except those of the one larger segment in case 2, which pays for the
//! merge with its own arrival. So a row is rewritten at most about twice for each tier, of which there are six.

use std::ops::Range;

/// Segments of one tier that become one of the next.
const FACTOR: usize = 8;

/// Segments below this are of the lowest tier: what merging them costs is the fixed part of a segment.
const TIER_BYTES: u64 = 4 << 10;

/// The neighbours to merge next. `segments` are payload bytes and spans in order; from `large` on a segment is left alone.
pub(crate) fn plan<S: PartialEq>(segments: &[(u64, S)], large: u64) -> Option<Range<usize>> {
    let mut start = 0;
    for section in segments.chunk_by(|a, b| a.0 < large && b.0 < large && a.1 == b.1) {
        let end = start + section.len();
        let sizes = || section.iter().map(|(size, _)| *size).collect::<Vec<_>>();
        // One that is too large is a section of its own.
        let found = match end < segments.len() {
            true => (section.len() > 1).then_some(0..section.len()),
            false if section[0].0 < large => plan_open(&sizes()),
            false => None,
        };
        if let Some(found) = found {
            return Some(start + found.start..start + found.end);
        }
        start = end;
    }
    None
}

/// Segments that a merge could take.
pub(crate) fn count_small(sizes: impl Iterator<Item = u64>, large: u64) -> usize {
    sizes.filter(|size| *size < large).count()
}

fn plan_open(sizes: &[u64]) -> Option<Range<usize>> {
    let tiers: Vec<u32> = sizes.iter().map(|size| tier(*size)).collect();
    rise(&tiers).or_else(|| full_tier(&tiers))
}

/// The first segment that is larger than the one before it, with all the smaller ones before it.
fn rise(tiers: &[u32]) -> Option<Range<usize>> {
    let mut peak = tiers.windows(2).position(|pair| pair[0] < pair[1])? + 1;
    while tiers.get(peak + 1).is_some_and(|next| *next > tiers[peak]) {
        peak += 1;
    }
    let smaller = tiers[..peak].iter().rev().take_while(|tier| **tier < tiers[peak]).count();
    Some(peak - smaller..peak + 1)
}

/// The last full tier: the smallest and so the cheapest one.
fn full_tier(tiers: &[u32]) -> Option<Range<usize>> {
    let mut end = tiers.len();
    for run in tiers.chunk_by(|a, b| a == b).rev() {
        if run.len() >= FACTOR {
            return Some(end - run.len()..end);
        }
        end -= run.len();
    }
    None
}

fn tier(size: u64) -> u32 {
    (size / TIER_BYTES).checked_ilog(FACTOR as u64).map_or(0, |tier| tier + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LARGE: u64 = 32 << 20;
    const TARGET: u64 = 64 << 20;
    const TIERS: usize = 6;

    /// Segments of one span.
    fn of_one_span(sizes: &[u64]) -> Vec<(u64, u8)> {
        sizes.iter().map(|size| (*size, 0)).collect()
    }

    #[test]
    fn joins_nothing_of_different_spans() {
        let of = |sizes: &[u64], spans: &[u8]| sizes.iter().copied().zip(spans.iter().copied()).collect::<Vec<_>>();
        for (segments, expected) in [
            (of(&[100; 8], &[1, 1, 1, 1, 2, 2, 2, 2]), Some(0..4)),
            (of(&[100; 5], &[1, 2, 2, 2, 2]), None),
            (of(&[100, 9_000], &[1, 2]), None),
            (of(&[100; 3], &[1, 2, 1]), None),
            (of(&[100; 10], &[1, 2, 2, 2, 2, 2, 2, 2, 2, 2]), Some(1..10)),
            (of(&[100, LARGE, 100, 100, 100], &[1, 1, 1, 1, 2]), Some(2..4)),
        ] {
            assert_eq!(plan(&segments, LARGE), expected, "{segments:?}");
        }
    }

    #[test]
    fn merges_what_it_should() {
        let large = LARGE;
        let full = vec![100; 8];
        for (sizes, expected) in [
            (vec![], None),
            (vec![100], None),
            (vec![100; 7], None),
            (full.clone(), Some(0..8)),
            (vec![100; 300], Some(0..300)),
            ([vec![9_000], full.clone()].concat(), Some(1..9)),
            // A rise: the small one will never have smaller neighbours again.
            (vec![100, 9_000], Some(0..2)),
            (vec![90_000, 100, 100, 9_000, 9_000], Some(1..4)),
            (vec![100, 9_000, 90_000], Some(0..3)),
            // Left of a large one, whatever their sizes.
            (vec![9_000, 100, large], Some(0..2)),
            (vec![large, 100, large, 100, large, 100], None),
            (vec![large - 1, large - 1, large], Some(0..2)),
            (vec![large; 100], None),
        ] {
            assert_eq!(plan(&of_one_span(&sizes), LARGE), expected, "{sizes:?}");
        }
    }

    /// Merges until there is nothing to merge; gives the bytes that were rewritten.
    fn run(sizes: &mut Vec<u64>) -> u64 {
        let mut rewritten = 0;
        while let Some(range) = plan(&of_one_span(sizes), LARGE) {
            assert!(range.len() > 1);
            let bytes: u64 = sizes[range.clone()].iter().sum();
            rewritten += bytes;
            let full = (0..bytes / TARGET).map(|_| TARGET);
            let rest = bytes % TARGET;
            let before = sizes.len();
            sizes.splice(range, full.chain((rest > 0 || bytes == 0).then_some(rest)).collect::<Vec<_>>());
            assert!(sizes.len() < before, "a merge makes them fewer");
        }
        rewritten
    }

    fn small_after_the_last_large(sizes: &[u64]) -> usize {
        sizes.iter().rev().take_while(|size| **size < LARGE).count()
    }

    proptest! {
        #[test]
        fn few_remain_and_little_is_rewritten(appends in prop::collection::vec(
            prop_oneof![8 => 0..2_000_u64, 4 => 2_000..200_000_u64, 2 => 200_000..LARGE, 1 => LARGE..=TARGET], 1..400,
        ), lag in 1..40_usize) {
            let (mut sizes, mut rewritten, mut appended) = (Vec::new(), 0, 0);
            for (index, size) in appends.into_iter().enumerate() {
                sizes.push(size);
                // What is below a tier's size counts as that: merging has a fixed cost.
                appended += size.max(TIER_BYTES);
                if index % lag == 0 {
                    rewritten += run(&mut sizes);
                }
            }
            rewritten += run(&mut sizes);
            let large = sizes.iter().filter(|size| **size >= LARGE).count();
            prop_assert!(small_after_the_last_large(&sizes) <= (FACTOR - 1) * TIERS);
            prop_assert!(sizes.len() <= large * 2 + (FACTOR - 1) * TIERS, "{sizes:?}");
            prop_assert!(rewritten <= appended * 2 * TIERS as u64, "rewrote {rewritten} of {appended}");
        }
    }

    #[test]
    fn a_hundred_thousand_small_appends_end_in_few_segments() {
        let (mut sizes, mut rewritten) = (Vec::new(), 0);
        for _ in 0..100_000 {
            sizes.push(640);
            rewritten += run(&mut sizes);
        }
        assert!(sizes.len() <= 42, "{}", sizes.len());
        assert!(rewritten <= 100_000 * 640 * 8, "{rewritten}");
    }
}
