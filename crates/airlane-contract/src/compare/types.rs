//! How two types stand to each other.

use arrow_schema::{DataType, TimeUnit};

use crate::types::is_same;
use crate::value::units_per_second;

/// The new type, seen from the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Same,
    /// The same values, laid out in another way.
    Encoding,
    /// Every value of the old type is one of the new.
    Wider,
    /// Every value of the new type is one of the old.
    Narrower,
    Other,
}

pub(super) fn relation(old: &DataType, new: &DataType) -> Relation {
    let (old, new) = (decoded(old), decoded(new));
    if is_same(old, new) {
        return Relation::Same;
    }
    match (holds(new, old), holds(old, new)) {
        (true, true) => Relation::Encoding,
        (true, false) => Relation::Wider,
        (false, true) => Relation::Narrower,
        (false, false) => Relation::Other,
    }
}

fn decoded(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => decoded(values),
        DataType::RunEndEncoded(_, values) => decoded(values.data_type()),
        other => other,
    }
}

/// Whether every value of `small` is one of `large`.
fn holds(large: &DataType, small: &DataType) -> bool {
    use DataType as T;
    if let (Some((low, high)), Some((own_low, own_high))) = (integers(small), integers(large)) {
        return own_low <= low && high <= own_high;
    }
    if let (Some((digits, scale)), Some((own_digits, own_scale))) = (decimal(small), decimal(large)) {
        return own_scale >= scale && own_digits - own_scale >= digits - scale;
    }
    if let (Some((low, high)), Some((digits, scale))) = (integers(small), decimal(large)) {
        let whole = u32::try_from(digits - scale).ok().and_then(|whole| 10_i128.checked_pow(whole));
        return scale >= 0 && whole.is_none_or(|whole| -whole < low && high < whole);
    }
    match (small, large) {
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View)
        | (T::Binary | T::LargeBinary | T::BinaryView, T::Binary | T::LargeBinary | T::BinaryView)
        | (T::FixedSizeBinary(_), T::Binary | T::LargeBinary | T::BinaryView)
        | (T::Float16, T::Float32 | T::Float64)
        | (T::Float32, T::Float64)
        | (T::Date32, T::Date64)
        | (T::Date32 | T::Date64, T::Timestamp(_, None)) => true,
        (T::Timestamp(unit, zone), T::Timestamp(own_unit, own_zone)) => {
            zone.is_some() == own_zone.is_some() && finer(*own_unit, *unit)
        }
        (T::Time32(unit) | T::Time64(unit), T::Time32(own) | T::Time64(own)) => finer(*own, *unit),
        (T::Duration(unit), T::Duration(own)) => finer(*own, *unit),
        (_, T::Float64) => integers(small).is_some_and(|(low, high)| -(1 << 53) <= low && high <= 1 << 53),
        (_, T::Float32) => integers(small).is_some_and(|(low, high)| -(1 << 24) <= low && high <= 1 << 24),
        _ => false,
    }
}

fn finer(own: TimeUnit, other: TimeUnit) -> bool {
    units_per_second(own) >= units_per_second(other)
}

fn integers(data_type: &DataType) -> Option<(i128, i128)> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

/// Digits in all, and behind the point.
fn decimal(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((i32::from(*precision), i32::from(*scale))),
        _ => None,
    }
}
