//! Texts into values. A text that is not wholly one, or has more digits than the type, is lost.

use std::str::FromStr;

use arrow_array::builder::BooleanBuilder;
use arrow_array::cast::AsArray;
use arrow_array::timezone::Tz;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, i256};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use chrono::format::{Parsed, parse};
use chrono::{Datelike, TimeZone, Timelike, Utc};

use super::shared;
use crate::format::TimeFormat;
use crate::value::{self, Value, in_units};

/// Whether texts become values of a type.
pub(super) fn takes(to: &DataType) -> bool {
    use DataType as T;
    to.is_integer()
        || to.is_decimal()
        || matches!(
            to,
            T::Boolean
                | T::Float32
                | T::Float64
                | T::Date32
                | T::Date64
                | T::Time32(_)
                | T::Time64(_)
                | T::Timestamp(_, _)
        )
}

/// Reads a column of texts.
pub(super) fn read(column: &ArrayRef, to: &DataType, format: Option<&TimeFormat>) -> Result<ArrayRef, ArrowError> {
    let texts: Vec<Option<&str>> = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().collect(),
        _ => column.as_string_view().iter().collect(),
    };
    Ok(match to {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(texts.len());
            for text in texts {
                builder.append_option(text.and_then(flag));
            }
            shared(builder.finish())
        }
        DataType::Int8 => numbers::<Int8Type>(&texts),
        DataType::Int16 => numbers::<Int16Type>(&texts),
        DataType::Int32 => numbers::<Int32Type>(&texts),
        DataType::Int64 => numbers::<Int64Type>(&texts),
        DataType::UInt8 => numbers::<UInt8Type>(&texts),
        DataType::UInt16 => numbers::<UInt16Type>(&texts),
        DataType::UInt32 => numbers::<UInt32Type>(&texts),
        DataType::UInt64 => numbers::<UInt64Type>(&texts),
        DataType::Float32 => values::<Float32Type>(&texts, to, |text| finite(text).map(|value| value as f32)),
        DataType::Float64 => values::<Float64Type>(&texts, to, finite),
        DataType::Decimal32(_, _) => whole::<Decimal32Type>(&texts, to, |wide| wide.to_i128()?.try_into().ok()),
        DataType::Decimal64(_, _) => whole::<Decimal64Type>(&texts, to, |wide| wide.to_i128()?.try_into().ok()),
        DataType::Decimal128(_, _) => whole::<Decimal128Type>(&texts, to, |wide| wide.to_i128()),
        DataType::Decimal256(_, _) => whole::<Decimal256Type>(&texts, to, Some),
        DataType::Date32 => days::<Date32Type>(&texts, to, format, |days| days.try_into().ok()),
        DataType::Date64 => days::<Date64Type>(&texts, to, format, |days| days.checked_mul(86_400_000)),
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(&texts, to, format),
        DataType::Time32(_) => times::<Time32MillisecondType>(&texts, to, format),
        DataType::Time64(TimeUnit::Nanosecond) => times::<Time64NanosecondType>(&texts, to, format),
        DataType::Time64(_) => times::<Time64MicrosecondType>(&texts, to, format),
        DataType::Timestamp(unit, zone) => {
            let read = moments(*unit, zone.as_deref(), format)?;
            match unit {
                TimeUnit::Second => values::<TimestampSecondType>(&texts, to, read),
                TimeUnit::Millisecond => values::<TimestampMillisecondType>(&texts, to, read),
                TimeUnit::Microsecond => values::<TimestampMicrosecondType>(&texts, to, read),
                TimeUnit::Nanosecond => values::<TimestampNanosecondType>(&texts, to, read),
            }
        }
        other => return Err(ArrowError::CastError(format!("texts are not cast to {other}"))),
    })
}

fn values<T: ArrowPrimitiveType>(
    texts: &[Option<&str>],
    to: &DataType,
    read: impl Fn(&str) -> Option<T::Native>,
) -> ArrayRef {
    let column: PrimitiveArray<T> = texts.iter().map(|text| text.and_then(&read)).collect();
    shared(column.with_data_type(to.clone()))
}

fn numbers<T: ArrowPrimitiveType>(texts: &[Option<&str>]) -> ArrayRef
where
    T::Native: FromStr,
{
    values::<T>(texts, &T::DATA_TYPE, |text| text.parse().ok())
}

fn whole<T: ArrowPrimitiveType>(
    texts: &[Option<&str>],
    to: &DataType,
    narrow: impl Fn(i256) -> Option<T::Native>,
) -> ArrayRef {
    values::<T>(texts, to, |text| match value::read(text, to) {
        Ok(Value::Whole(wide)) => narrow(wide),
        _ => None,
    })
}

/// The words of a boolean, in any case.
fn flag(text: &str) -> Option<bool> {
    match text.len() {
        4 if text.eq_ignore_ascii_case("true") => Some(true),
        5 if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn parsed(text: &str, format: &TimeFormat) -> Option<Parsed> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, format.items().iter()).ok().map(|()| parsed)
}

fn days<T: ArrowPrimitiveType>(
    texts: &[Option<&str>],
    to: &DataType,
    format: Option<&TimeFormat>,
    narrow: impl Fn(i64) -> Option<T::Native>,
) -> ArrayRef {
    let epoch = i64::from(chrono::DateTime::UNIX_EPOCH.num_days_from_ce());
    values::<T>(texts, to, |text| {
        let date = match format {
            Some(format) => parsed(text, format)?.to_naive_date().ok()?,
            None => chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?,
        };
        narrow(i64::from(date.num_days_from_ce()) - epoch)
    })
}

fn times<T: ArrowPrimitiveType>(texts: &[Option<&str>], to: &DataType, format: Option<&TimeFormat>) -> ArrayRef {
    let unit = match to {
        DataType::Time32(unit) | DataType::Time64(unit) => *unit,
        _ => TimeUnit::Nanosecond,
    };
    values::<T>(texts, to, |text| {
        let nanos = match format {
            Some(format) => {
                let time = parsed(text, format)?.to_naive_time().ok()?;
                i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond())
            }
            None => arrow_cast::parse::string_to_time_nanoseconds(text).ok()?,
        };
        T::Native::from_usize(in_units(nanos.into(), unit)?.to_i128()?.try_into().ok()?)
    })
}

/// Reads moments: those without an offset are local in the column's zone, and UTC without one.
fn moments(
    unit: TimeUnit,
    zone: Option<&str>,
    format: Option<&TimeFormat>,
) -> Result<impl Fn(&str) -> Option<i64> + use<>, ArrowError> {
    let zone: Option<Tz> = zone.map(str::parse).transpose()?;
    let format = format.cloned();
    let step = i128::from(1_000_000_000 / value::units_per_second(unit));
    Ok(move |text: &str| {
        let moment = match (&format, &zone) {
            (None, None) => arrow_cast::parse::string_to_datetime(&Utc, text).ok()?,
            (None, Some(zone)) => arrow_cast::parse::string_to_datetime(zone, text).ok()?.to_utc(),
            (Some(format), _) if format.has_offset() => parsed(text, format)?.to_datetime().ok()?.to_utc(),
            (Some(format), zone) => {
                let parsed = parsed(text, format)?;
                // A pattern of a date alone means its midnight.
                let local = match parsed.to_naive_datetime_with_offset(0) {
                    Ok(local) => local,
                    Err(_) => parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0)?,
                };
                match zone {
                    None => local.and_utc(),
                    Some(zone) => zone.from_local_datetime(&local).single()?.to_utc(),
                }
            }
        };
        let nanos = i128::from(moment.timestamp()) * 1_000_000_000 + i128::from(moment.timestamp_subsec_nanos());
        if nanos % step == 0 { i64::try_from(nanos / step).ok() } else { None }
    })
}
