//! Time and chance, handed in so that a test can set the one and replay the other.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, codes};

/// A moment of wall time, in microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This moment plus a duration; saturates at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }
}

/// Reads how long something lives: a whole number and a unit, `s`, `m`, `h` or `d`.
///
/// # Errors
/// `option_invalid`.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let units = [('s', 1_u64), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let found = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let seconds = found.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let seconds = seconds.and_then(|(number, seconds)| number.parse::<u64>().ok()?.checked_mul(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        Error::new(codes::OPTION_INVALID, format!("`{}` is no duration", text.escape_debug()))
            .hint("a whole number and a unit: 30s, 10m, 8h or 7d")
    })
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;
}

/// Gives random bytes.
pub trait Chance: Send + Sync + fmt::Debug {
    /// Fills `bytes` with random ones, good enough for ids that must not be guessed.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The machine's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("8h", 28_800), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(parse_duration(text).expect(text).as_secs(), seconds);
        }
        for text in ["", "s", "10", "-1s", "+1s", "1.5h", "1 h", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(text).expect_err(text).code(), codes::OPTION_INVALID, "{text}");
        }
    }
}
