//! Numbers for people.

use std::time::Duration;

use airlane_model::{Retention, Timestamp};

/// `336776` → `336,776`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Bytes in decimal units: `512 B`, `29.9 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be printed as 1000 belongs to the next unit.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// `412 µs`, `41.2 ms`, `4.12 s`, `2 min 5 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2} s"),
        s => format!("{} min {} s", s as u64 / 60, s as u64 % 60),
    }
}

/// Gigabytes per second, without the unit.
pub(crate) fn gigabytes_per_second(bytes: u64, duration: Duration) -> String {
    let rate = bytes as f64 / 1e9 / duration.as_secs_f64().max(1e-9);
    match rate {
        r if r >= 0.1 => format!("{r:.2}"),
        r => format!("{r:.4}"),
    }
}

/// `ttl=1h versions=3 (until 2026-11-20 19:40:05 UTC)`, or that there is no rule.
pub(crate) fn retention(retention: &Retention, expires: Option<Timestamp>) -> String {
    match (retention.is_none(), expires) {
        (true, _) => "until it is dropped".to_owned(),
        (false, None) => retention.to_string(),
        (false, Some(expires)) => format!("{retention} (until {})", moment(expires)),
    }
}

/// `2026-11-20 19:40:05 UTC`.
pub(crate) fn moment(timestamp: Timestamp) -> String {
    chrono::DateTime::from_timestamp_micros(timestamp.as_micros())
        .map_or_else(|| "?".to_owned(), |moment| moment.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (336_776, "336,776"), (1_234_567, "1,234,567")]
        {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(0, "row"), "0 rows");
        let sizes = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_950, "1.0 MB"), (29_900_000, "29.9 MB")];
        for (number, text) in sizes {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
        for (micros, text) in [(412, "412 µs"), (41_200, "41.2 ms"), (4_120_000, "4.12 s"), (125_000_000, "2 min 5 s")]
        {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        assert_eq!(gigabytes_per_second(2_500_000_000, Duration::from_secs(2)), "1.25");
        assert_eq!(gigabytes_per_second(10_000_000, Duration::from_secs(1)), "0.0100");
        assert_eq!(moment(Timestamp::from_micros(0)), "1970-01-01 00:00:00 UTC");
    }
}
