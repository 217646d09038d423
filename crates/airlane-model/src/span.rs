//! Lengths of time with units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result, codes};

/// A length of time in whole milliseconds. Reads `500ms`, `10s`, `2m`, `1h`, `7d`; prints the largest unit that
/// divides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(Duration);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A thousand years: what is longer is a slip of the pen, and would not fit where times are counted.
const MILLIS_MAX: u64 = 365_000 * 86_400_000;

impl TimeSpan {
    /// From a duration; parts of a millisecond are left out, and more than a thousand years are a thousand.
    pub fn new(duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(Duration::from_millis(millis.min(MILLIS_MAX)))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeSpan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = UNITS.iter().find_map(|(unit, millis)| {
            let digits = text.strip_suffix(unit)?.trim_end();
            let valid = digits.bytes().all(|b| b.is_ascii_digit());
            valid.then(|| digits.parse::<u64>().ok()?.checked_mul(*millis)).flatten()
        });
        let parsed = parsed.filter(|millis| *millis <= MILLIS_MAX);
        parsed.map(|millis| Self(Duration::from_millis(millis))).ok_or_else(|| {
            Error::new(codes::OPTION_INVALID, format!("`{}` is no duration", text.escape_debug()))
                .hint("a whole number and a unit: 30s, 10m, 8h or 7d")
        })
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        match UNITS.iter().rev().find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", millis / factor),
            None => f.write_str("0s"),
        }
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_units() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("10s", 10_000, "10s"),
            ("120 s", 120_000, "2m"),
            ("0s", 0, "0s"),
            ("24h", 86_400_000, "1d"),
            ("36h", 129_600_000, "36h"),
            ("365000d", MILLIS_MAX, "365000d"),
        ] {
            let span: TimeSpan = text.parse().expect(text);
            assert_eq!(span.as_duration(), Duration::from_millis(millis), "{text}");
            assert_eq!(span.to_string(), printed, "{text}");
            assert_eq!(TimeSpan::new(span.as_duration()), span);
        }
        for text in ["", "10", "s", "-1s", "1.5s", "99999999999999999999h", "+1s", "365001d", "1w"] {
            let error = text.parse::<TimeSpan>().expect_err(text);
            assert_eq!(error.code(), codes::OPTION_INVALID, "{text}");
        }
        assert_eq!(TimeSpan::new(Duration::MAX).to_string(), "365000d");
    }
}
