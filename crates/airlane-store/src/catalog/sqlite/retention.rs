//! A retention as a column: for each rule that there is its number and its value, 8 bytes each, little-endian. So a rule
//! that comes later takes no new layout, and a version that does not know it can tell.

use std::num::NonZeroU64;
use std::time::Duration;

use airlane_model::{Retention, TimeSpan};

/// In microseconds.
const TTL: u64 = 1;
/// In microseconds.
const IDLE: u64 = 2;
const VERSIONS: u64 = 3;
/// Always 1.
const PINNED: u64 = 4;
const READS: u64 = 5;
/// In microseconds.
const WINDOW: u64 = 6;

pub(super) fn write_retention(retention: &Retention) -> Vec<u8> {
    let micros = |span: TimeSpan| u64::try_from(span.as_duration().as_micros()).unwrap_or(u64::MAX);
    let rules = [
        (TTL, retention.ttl.map(micros)),
        (IDLE, retention.idle.map(micros)),
        (VERSIONS, retention.versions.map(NonZeroU64::get)),
        (PINNED, retention.pinned.then_some(1)),
        (READS, retention.reads.map(NonZeroU64::get)),
        (WINDOW, retention.window.map(micros)),
    ];
    let fields = rules.into_iter().filter_map(|(rule, value)| Some([rule, value?])).flatten();
    fields.flat_map(u64::to_le_bytes).collect()
}

/// `None` when it has a rule that is not known here.
pub(super) fn read_retention(bytes: &[u8]) -> Option<Retention> {
    let (fields, rest) = bytes.as_chunks::<8>();
    let (pairs, odd) = fields.as_chunks::<2>();
    if !rest.is_empty() || !odd.is_empty() {
        return None;
    }
    let span = |micros| TimeSpan::new(Duration::from_micros(micros));
    let mut retention = Retention::default();
    for [rule, value] in pairs {
        let value = u64::from_le_bytes(*value);
        match u64::from_le_bytes(*rule) {
            TTL => retention.ttl = Some(span(value)),
            IDLE => retention.idle = Some(span(value)),
            VERSIONS => retention.versions = Some(NonZeroU64::new(value)?),
            PINNED => retention.pinned = true,
            WINDOW => retention.window = Some(span(value)),
            READS => retention.reads = Some(NonZeroU64::new(value)?),
            _ => return None,
        }
    }
    Some(retention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d13_rules_come_back_and_unknown_ones_are_told() {
        let some = Retention { ttl: Some(TimeSpan::new(Duration::from_secs(1))), pinned: true, ..Retention::default() };
        let all =
            Retention { idle: "7d".parse().ok(), versions: NonZeroU64::new(3), reads: NonZeroU64::new(1), ..some };
        let window = Retention { window: "30d".parse().ok(), ..all };
        for retention in [Retention::default(), some, all, window] {
            assert_eq!(read_retention(&write_retention(&retention)), Some(retention));
        }
        let later = [9_u64, 1].map(u64::to_le_bytes).concat();
        for bytes in [&later[..], &later[..15], &later[..8], &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(read_retention(bytes), None, "{bytes:?}");
        }
    }
}
