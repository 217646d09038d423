//! Single values of a document: bounds and enumerations, exact, and in the form that a column has them.
//!
//! A value is kept as it is written. It must be one of its column's type without loss: `0.5` is no value of an
//! `int32`, `1.005` none of a `decimal128(10, 2)`.

use std::cmp::Ordering;

use arrow_array::temporal_conversions::{MICROSECONDS, MILLISECONDS, NANOSECONDS};
use arrow_array::timezone::Tz;
use arrow_buffer::i256;
use arrow_cast::parse::{string_to_datetime, string_to_time_nanoseconds};
use arrow_schema::{DataType, TimeUnit};
use chrono::{Datelike, NaiveDate, Utc};

/// A value, in the form that columns of its type hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    /// Integers; and times, dates, durations and decimals as the integers that a column has for them.
    Whole(i256),
    Float(f64),
    Text(String),
}

/// Days from the first of January of the year 1 to that of 1970.
const EPOCH_DAYS: i32 = 719_163;

/// Reads a value of a type.
///
/// # Errors
/// A sentence that says why it is none.
pub(crate) fn read(text: &str, data_type: &DataType) -> Result<Value, String> {
    use DataType as T;
    let found = match data_type {
        T::Boolean => match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        T::Utf8 | T::LargeUtf8 | T::Utf8View => Some(Value::Text(text.to_owned())),
        T::Float16 | T::Float32 | T::Float64 => float(text, data_type),
        _ if data_type.is_integer() => decimal(text, 0).filter(|whole| fits(*whole, data_type)).map(Value::Whole),
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal128(precision, scale)
        | T::Decimal256(precision, scale) => {
            decimal(text, *scale).filter(|whole| digits(*whole) <= usize::from(*precision)).map(Value::Whole)
        }
        T::Date32 => date(text).map(|days| Value::Whole(i256::from_i128(days.into()))),
        T::Date64 => date(text).map(|days| Value::Whole(i256::from_i128(i128::from(days) * 86_400_000))),
        T::Time32(unit) | T::Time64(unit) => {
            let nanos = string_to_time_nanoseconds(text).ok();
            nanos.and_then(|nanos| in_units(nanos.into(), *unit)).map(Value::Whole)
        }
        T::Timestamp(unit, zone) => timestamp(text, *unit, zone.as_deref()).map(Value::Whole),
        T::Duration(_) => decimal(text, 0).filter(|whole| whole.to_i128().is_some()).map(Value::Whole),
        T::Dictionary(_, values) => return read(text, values),
        T::RunEndEncoded(_, values) => return read(text, values.data_type()),
        _ => return Err(format!("a single value of the type {} is not understood", crate::types::write(data_type))),
    };
    found.ok_or_else(|| {
        let shown = crate::yaml::shorten(text);
        format!("`{shown}` is no value of the type {}", crate::types::write(data_type))
    })
}

/// The order of two values of one kind, `None` where they are of two.
pub(crate) fn order(own: &Value, other: &Value) -> Option<Ordering> {
    match (own, other) {
        (Value::Whole(own), Value::Whole(other)) => Some(own.cmp(other)),
        (Value::Float(own), Value::Float(other)) => own.partial_cmp(other),
        _ => None,
    }
}

fn float(text: &str, data_type: &DataType) -> Option<Value> {
    // What `f64` takes and a document does not mean by a number: `inf`, `nan`, `infinity`.
    if text.bytes().any(|byte| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E')) {
        return None;
    }
    let value = match data_type {
        DataType::Float16 => half::f16::from_f64(text.parse().ok()?).to_f64(),
        DataType::Float32 => text.parse::<f32>().ok()?.into(),
        _ => text.parse::<f64>().ok()?,
    };
    value.is_finite().then_some(Value::Float(value))
}

/// A decimal number times 10 to the `scale`, where that is whole: `1.50` at scale 1 is 15.
///
/// `None` for what is no number, has more digits behind the point, or more than 76 digits.
pub(crate) fn decimal(text: &str, scale: i8) -> Option<i256> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (is_negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0').collect();
    // The value is `digits` times 10 to the `shift`.
    let mut shift = i64::from(exponent) - fraction.len() as i64 + i64::from(scale);
    while shift < 0 && digits.last() == Some(&b'0') {
        digits.pop();
        shift += 1;
    }
    if digits.is_empty() {
        return Some(i256::ZERO);
    }
    if shift < 0 || digits.len() as i64 + shift > 76 {
        return None;
    }
    digits.resize(digits.len() + shift as usize, b'0');
    if is_negative {
        digits.insert(0, b'-');
    }
    i256::from_string(std::str::from_utf8(&digits).ok()?)
}

/// Decimal digits of a number.
fn digits(whole: i256) -> usize {
    whole.to_string().trim_start_matches('-').len()
}

/// Whether an integer type holds the number.
fn fits(whole: i256, data_type: &DataType) -> bool {
    let Some(whole) = whole.to_i128() else { return false };
    match data_type {
        DataType::Int8 => i8::try_from(whole).is_ok(),
        DataType::Int16 => i16::try_from(whole).is_ok(),
        DataType::Int32 => i32::try_from(whole).is_ok(),
        DataType::Int64 => i64::try_from(whole).is_ok(),
        DataType::UInt8 => u8::try_from(whole).is_ok(),
        DataType::UInt16 => u16::try_from(whole).is_ok(),
        DataType::UInt32 => u32::try_from(whole).is_ok(),
        _ => u64::try_from(whole).is_ok(),
    }
}

/// Days since 1970 of a date as `2026-11-30`.
fn date(text: &str) -> Option<i32> {
    let parsed = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(parsed.num_days_from_ce() - EPOCH_DAYS)
}

/// A moment in the unit of a column: a text without an offset is local in the column's zone, and UTC without one.
pub(crate) fn timestamp(text: &str, unit: TimeUnit, zone: Option<&str>) -> Option<i256> {
    let moment = match zone {
        None => string_to_datetime(&Utc, text).ok()?,
        Some(zone) => string_to_datetime(&zone.parse::<Tz>().ok()?, text).ok()?.to_utc(),
    };
    let nanos = i128::from(moment.timestamp()) * i128::from(NANOSECONDS) + i128::from(moment.timestamp_subsec_nanos());
    let whole = in_units(nanos, unit)?;
    i64::try_from(whole.to_i128()?).ok().map(|whole| i256::from_i128(whole.into()))
}

/// Nanoseconds in a unit, where that is whole.
pub(crate) fn in_units(nanos: i128, unit: TimeUnit) -> Option<i256> {
    let step = i128::from(NANOSECONDS / units_per_second(unit));
    (nanos % step == 0).then(|| i256::from_i128(nanos / step))
}

/// How many of a unit are a second.
pub(crate) fn units_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => MILLISECONDS,
        TimeUnit::Microsecond => MICROSECONDS,
        TimeUnit::Nanosecond => NANOSECONDS,
    }
}

#[cfg(test)]
mod tests;
