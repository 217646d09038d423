//! Rows that go by themselves: those of the first segments of a table, when all of them are older than its `window`.
//!
//! ```text
//! segments   [ 09:00 | 09:50 | 10:10 | 10:20 10:20 10:21 ]  ← when the newest row of each was put; window 1h, now 11:00
//! gone       [ 09:00 | 09:50 ]
//! merges         ↑       ↑       ↑      └─ of one span: they come to be one segment
//!                └───────┴───────┴─ segments of different spans stay apart
//! ```
//!
//! A segment goes when its newest row is old enough. A merge joins only what was put in one span of an eighth of the window,
//! so no row stays for longer than nine eighths of it, and a table has segments of ten spans at most.

use std::time::Duration;

use airlane_model::{Retention, TimeSpan};

use crate::content::Content;
use crate::slot::SegmentRef;
use crate::uptime::Uptime;

/// Spans in a window.
const SPANS: u32 = 8;

/// The shortest span: of a window of milliseconds each put would else stay a segment of its own until the next sweep.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// Which segments may be joined: those of the same span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u64);

impl Span {
    /// The span in which the newest row of a segment was put. Without a window all times are one; and so are those whose rows
    /// are to go, so that there are never many spans, whatever keeps the rows from going.
    pub(crate) fn of(retention: &Retention, put: Uptime, now: Uptime) -> Self {
        let Some(window) = retention.rows_window() else { return Self(0) };
        if end_of(put, window) <= now {
            return Self(0);
        }
        let span = (window.as_duration() / SPANS).max(SPAN_MIN);
        Self(put.as_micros() / u64::try_from(span.as_micros()).unwrap_or(u64::MAX) + 1)
    }
}

impl Content {
    /// When rows of it are to go next, as things stand. What damaged facts say ends no rows.
    pub(crate) fn rows_due(&self) -> Option<Uptime> {
        let window = self.retention.rows_window().filter(|_| self.damage.is_none())?;
        let first = self.segments.iter().find(|segment| segment.rows() > 0)?;
        Some(end_of(first.uptime(), window))
    }

    /// How many of its first segments have nothing but rows that are to go.
    pub(crate) fn old_segments(&self, now: Uptime) -> usize {
        let Some(window) = self.retention.rows_window().filter(|_| self.damage.is_none()) else { return 0 };
        let old = |segment: &&SegmentRef| segment.rows() == 0 || end_of(segment.uptime(), window) <= now;
        let count = self.segments.iter().take_while(old).count();
        // Those without rows are of no age: they go with others alone.
        let last = self.segments[..count].iter().rposition(|segment| segment.rows() > 0);
        last.map_or(0, |last| last + 1)
    }
}

fn end_of(put: Uptime, window: TimeSpan) -> Uptime {
    put.saturating_add(window.as_duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Uptime {
        Uptime::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_window_has_few_spans_and_none_is_longer_than_an_eighth() {
        for window in ["1ms", "3s", "1m", "8h", "30d"] {
            let retention = Retention { window: window.parse().ok(), ..Retention::default() };
            let length = retention.window.unwrap_or_default().as_duration();
            let (now, step) = (at(400 * 86_400), (length / 100).max(Duration::from_micros(1)));
            let puts: Vec<_> =
                (0..=300).map(|part| Uptime::from_micros(now.as_micros() - (step * part).as_micros() as u64)).collect();
            let mut spans: Vec<_> = puts.iter().map(|put| Span::of(&retention, *put, now)).collect();
            for (span, put) in spans.iter().zip(&puts) {
                assert_eq!(*span == Span(0), now.saturating_since(*put) >= length, "{window}");
                let other = puts.iter().filter(|other| Span::of(&retention, **other, now) == *span && *span != Span(0));
                let apart = other.map(|other| other.saturating_since(*put)).max().unwrap_or_default();
                assert!(apart <= (length / SPANS).max(SPAN_MIN), "{window}: {apart:?}");
            }
            spans.dedup();
            assert!(spans.len() <= 10, "{window}: {}", spans.len());
        }
    }

    #[test]
    fn without_a_window_all_times_are_one() {
        let pinned = Retention { window: "1h".parse().ok(), pinned: true, ..Retention::default() };
        for retention in [Retention::default(), pinned] {
            assert_eq!(Span::of(&retention, at(5), at(6)), Span::of(&retention, at(9_999), at(9_999_999)));
        }
    }
}
