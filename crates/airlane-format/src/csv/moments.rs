//! Dates and moments in texts, exact: what has no place in the type of a column is no value of it.

use arrow_array::timezone::Tz;
use arrow_array::types::Date32Type;
use arrow_cast::parse::{Parser, string_to_datetime, string_to_time_nanoseconds};
use arrow_schema::TimeUnit;
use chrono::Utc;

const DATE_CHARS: usize = "2013-01-01".len();
const DAY_SECONDS: i64 = 86_400;

/// A moment as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since 1970, in UTC where there is an offset.
    seconds: i64,
    nanos: u32,
    /// Whether it is written with an offset from UTC.
    pub(super) has_offset: bool,
    /// Digits of the fraction of its second.
    pub(super) digits: u8,
}

impl Moment {
    /// In a unit; none where that is not exact.
    pub(super) fn in_units(self, unit: TimeUnit) -> Option<i64> {
        let (per_second, step) = match unit {
            TimeUnit::Second => (1, 1_000_000_000),
            TimeUnit::Millisecond => (1_000, 1_000_000),
            TimeUnit::Microsecond => (1_000_000, 1_000),
            TimeUnit::Nanosecond => (1_000_000_000, 1),
        };
        if !self.nanos.is_multiple_of(step) {
            return None;
        }
        // The whole may fit where the seconds alone do not: before 1970 the fraction counts up.
        let whole = i128::from(self.seconds) * per_second + i128::from(self.nanos / step);
        i64::try_from(whole).ok()
    }
}

/// `2013-01-01`, in days since 1970.
pub(super) fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() == DATE_CHARS {
        return i32::try_from(days(bytes)?).ok();
    }
    // Years of more than four digits have a sign.
    if bytes.first().is_some_and(|sign| matches!(sign, b'+' | b'-')) { Date32Type::parse(text) } else { None }
}

/// `2013-01-01T05:00:00`, with a fraction or an offset or without; a blank may stand for the `T`. What is local is local in the
/// zone, and UTC without one.
pub(super) fn moment(text: &str, zone: Option<Tz>) -> Option<Moment> {
    match usual(text.as_bytes()) {
        Some(moment) if moment.has_offset || zone.is_none() => Some(moment),
        _ => unusual(text, zone),
    }
}

fn unusual(text: &str, zone: Option<Tz>) -> Option<Moment> {
    let has_offset = has_offset(text);
    let moment = match zone {
        None => string_to_datetime(&Utc, text).ok()?,
        Some(zone) => string_to_datetime(&zone, text).ok()?.to_utc(),
    };
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    Some(Moment {
        seconds: moment.timestamp(),
        nanos: moment.timestamp_subsec_nanos(),
        has_offset,
        digits: u8::try_from(digits).ok()?,
    })
}

/// Whether there is a `Z`, an offset or the name of a zone behind the date.
fn has_offset(text: &str) -> bool {
    let rest = text.get(DATE_CHARS + 1..).unwrap_or_default();
    rest.bytes().any(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'+' | b'-'))
}

/// `05:00:00`, in nanoseconds since midnight.
pub(super) fn time(text: &str) -> Option<i64> {
    string_to_time_nanoseconds(text).ok()
}

/// The forms that nearly all files have.
fn usual(bytes: &[u8]) -> Option<Moment> {
    let days = days(bytes.get(..DATE_CHARS)?)?;
    let mut moment = Moment { seconds: days * DAY_SECONDS, nanos: 0, has_offset: false, digits: 0 };
    let rest = &bytes[DATE_CHARS..];
    if rest.is_empty() {
        return Some(moment);
    }
    let [b'T' | b't' | b' ', hour_tens, hour, b':', minute_tens, minute, b':', second_tens, second, rest @ ..] = rest
    else {
        return None;
    };
    let (hour, minute, second) = (two(*hour_tens, *hour)?, two(*minute_tens, *minute)?, two(*second_tens, *second)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    moment.seconds += hour * 3600 + minute * 60 + second;
    let mut rest = rest;
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let value = fraction[..digits].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        moment.nanos = value * 10_u32.pow(9 - digits as u32);
        moment.digits = digits as u8;
        rest = &fraction[digits..];
    }
    let (sign, offset) = match rest {
        [] => return Some(moment),
        [b'Z' | b'z'] => (1, 0),
        [sign @ (b'+' | b'-'), tens, hour] => (signum(*sign), two(*tens, *hour)? * 3600),
        [sign @ (b'+' | b'-'), tens, hour, b':', minute_tens, minute]
        | [sign @ (b'+' | b'-'), tens, hour, minute_tens, minute] => {
            let minutes = two(*minute_tens, *minute)?;
            if minutes > 59 {
                return None;
            }
            (signum(*sign), two(*tens, *hour)? * 3600 + minutes * 60)
        }
        _ => return None,
    };
    if offset >= DAY_SECONDS {
        return None;
    }
    moment.seconds -= sign * offset;
    moment.has_offset = true;
    Some(moment)
}

fn signum(sign: u8) -> i64 {
    if sign == b'-' { -1 } else { 1 }
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// `2013-01-01`, in days since 1970.
fn days(bytes: &[u8]) -> Option<i64> {
    let [a, b, c, d, b'-', e, f, b'-', g, h] = bytes else { return None };
    let (year, month, day) = (two(*a, *b)? * 100 + two(*c, *d)?, two(*e, *f)?, two(*g, *h)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil: years that begin in March.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read_as_arrow_reads_them() {
        let mut seen = 0;
        for date in ["1970-01-01", "2000-02-29", "1969-12-31", "0001-03-01", "9999-12-31", "2013-11-07"] {
            assert_eq!(super::date(date), Date32Type::parse(date), "{date}");
            for rest in [
                "",
                "T05:06:07",
                " 23:59:59",
                "T05:06:07.5",
                "T00:00:00.123456789",
                "T05:06:07Z",
                "T05:06:07+02:00",
                " 05:06:07.25-0930",
                "t05:06:07z",
                " 05:06:07+02",
            ] {
                let text = format!("{date}{rest}");
                let found = usual(text.as_bytes()).expect("a usual form");
                // The shortest form of an offset is not one of Arrow's everywhere.
                let Ok(expected) = string_to_datetime(&Utc, &text) else { continue };
                assert_eq!(
                    (found.seconds, found.nanos),
                    (expected.timestamp(), expected.timestamp_subsec_nanos()),
                    "{text}"
                );
                seen += 1;
            }
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn what_is_no_date_or_moment_is_none() {
        for text in ["2013-02-29", "2013-13-01", "2013-00-01", "2013-1-1", "13-01-01", "2013-01-01x", "", "2013-01-0a"]
        {
            assert_eq!(date(text), None, "{text}");
        }
        for text in [
            "2013-01-01T24:00:00",
            "2013-01-01T05:60:00",
            "2013-01-01T05:00:00+25:00",
            "2013-01-01T05:00:00.",
            "2013-01-01T05:00:00.1234567890",
            "x",
        ] {
            assert_eq!(usual(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn units_are_exact() {
        let half = moment("2013-01-01T00:00:00.5", None).expect("a moment");
        assert_eq!(half.in_units(TimeUnit::Second), None);
        assert_eq!(half.in_units(TimeUnit::Millisecond), Some(1_356_998_400_500));
        assert_eq!(moment("9999-12-31", None).expect("a moment").in_units(TimeUnit::Nanosecond), None, "too far");
        let berlin: Tz = "Europe/Berlin".parse().expect("a zone");
        let local = moment("1970-01-01T01:00:00", Some(berlin)).expect("a moment");
        assert_eq!((local.in_units(TimeUnit::Second), local.has_offset), (Some(0), false));
    }
}
