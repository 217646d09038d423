//! Which rows of a column break a rule: one pass over the column for each, and a mask only when there is such a row.
//!
//! Nulls break no rule but `required`. NaN is in no range and no enumeration.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, BooleanArray, StringArrayType};
use arrow_buffer::{BooleanBuffer, i256};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use arrow_select::take::take;
use regex::Regex;

use crate::model::{Bound, Values};
use crate::value::Value;

/// A rule of the values of a column.
#[derive(Clone, Debug)]
pub(super) enum Test {
    NotNull,
    Range { low: Option<Bound>, high: Option<Bound> },
    MultipleOf(i256),
    OneOf(Set),
    NoneOf(Set),
    Pattern(Regex),
    Length { min: u64, max: u64 },
}

/// Values to look up.
#[derive(Clone, Debug)]
pub(super) struct Set {
    texts: HashSet<String>,
    /// Few texts are faster compared than hashed.
    few: Vec<String>,
    whole: Vec<i256>,
    floats: Vec<f64>,
    flags: [bool; 2],
}

impl Set {
    pub(super) fn new(values: &Values) -> Self {
        const FEW: usize = 12;
        let mut set =
            Self { texts: HashSet::new(), few: Vec::new(), whole: Vec::new(), floats: Vec::new(), flags: [false; 2] };
        for value in &values.values {
            match value {
                Value::Bool(flag) => set.flags[usize::from(*flag)] = true,
                Value::Whole(whole) => set.whole.push(*whole),
                Value::Float(float) => set.floats.push(*float),
                Value::Text(text) => {
                    set.texts.insert(text.clone());
                }
            }
        }
        if set.texts.len() <= FEW {
            set.few = set.texts.iter().cloned().collect();
        }
        set.whole.sort_unstable();
        set
    }

    fn has_text(&self, text: &str) -> bool {
        match self.few.is_empty() {
            true => self.texts.contains(text),
            false => self.few.iter().any(|own| own == text),
        }
    }
}

/// The rows of a column that break a rule; `None` when none does.
pub(super) fn broken(test: &Test, column: &ArrayRef) -> Option<BooleanBuffer> {
    let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    if let Test::NotNull = test {
        return nulls.map(|nulls| !nulls.inner());
    }
    let mask = match column.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            // Values that no row has may break a rule.
            let bad = broken(test, dictionary.values())?;
            let rows = take(&BooleanArray::new(bad, None), dictionary.keys(), None).ok()?;
            rows.as_boolean().values().clone()
        }
        DataType::RunEndEncoded(_, values) => {
            let plain = arrow_cast::cast(column, values.data_type()).ok()?;
            return broken(test, &plain);
        }
        _ => plain(test, column)?,
    };
    let mask = match &nulls {
        Some(nulls) => &mask & nulls.inner(),
        None => mask,
    };
    (mask.count_set_bits() > 0).then_some(mask)
}

/// The rows whose value breaks the rule, whatever there is under nulls. `None` when there is none for sure.
fn plain(test: &Test, column: &ArrayRef) -> Option<BooleanBuffer> {
    match column.data_type() {
        DataType::Utf8 => texts(test, column.as_string::<i32>()),
        DataType::LargeUtf8 => texts(test, column.as_string::<i64>()),
        DataType::Utf8View => texts(test, column.as_string_view()),
        DataType::Boolean => flags(test, column.as_boolean()),
        DataType::Float16 => floats::<Float16Type>(test, column),
        DataType::Float32 => floats::<Float32Type>(test, column),
        DataType::Float64 => floats::<Float64Type>(test, column),
        _ => match test {
            Test::Length { min, max } => lengths(column, *min, *max),
            _ => wholes(test, column),
        },
    }
}

fn texts<'a>(test: &Test, column: impl StringArrayType<'a>) -> Option<BooleanBuffer> {
    // A null may have any text under it, but never one that cannot be read.
    let mask = |bad: &dyn Fn(&str) -> bool| BooleanBuffer::collect_bool(column.len(), |row| bad(column.value(row)));
    Some(match test {
        Test::OneOf(set) => match set.few.is_empty() {
            true => mask(&|text| !set.texts.contains(text)),
            false => BooleanBuffer::collect_bool(column.len(), |row| {
                let text = column.value(row);
                !set.few.iter().any(|own| own == text)
            }),
        },
        Test::NoneOf(set) => mask(&|text| set.has_text(text)),
        Test::Pattern(pattern) => mask(&|text| !pattern.is_match(text)),
        Test::Length { min, max } => {
            // A character has one to four bytes.
            let bad = |text: &str| {
                let bytes = text.len() as u64;
                bytes < *min
                    || (bytes > *max || bytes < min.saturating_mul(4)) && {
                        let chars = text.chars().count() as u64;
                        chars < *min || chars > *max
                    }
            };
            BooleanBuffer::collect_bool(column.len(), |row| bad(column.value(row)))
        }
        _ => return None,
    })
}

fn flags(test: &Test, column: &BooleanArray) -> Option<BooleanBuffer> {
    let has = |set: &Set| {
        let [no, yes] = set.flags;
        BooleanBuffer::collect_bool(column.len(), |row| if column.value(row) { yes } else { no })
    };
    match test {
        Test::OneOf(set) => Some(!&has(set)),
        Test::NoneOf(set) => Some(has(set)),
        _ => None,
    }
}

fn floats<T: ArrowPrimitiveType>(test: &Test, column: &ArrayRef) -> Option<BooleanBuffer>
where
    T::Native: Into<f64>,
{
    let values = column.as_primitive::<T>().values();
    let wide = |row: usize| -> f64 { values[row].into() };
    match test {
        Test::Range { low, high } => {
            let end = |bound: &Option<Bound>| match bound {
                Some(Bound { value: Value::Float(value), is_inside, .. }) => Some((*value, *is_inside)),
                _ => None,
            };
            // The next float inward stands for an end that is not in the range.
            let low = end(low).map_or(f64::NEG_INFINITY, |(low, inside)| if inside { low } else { low.next_up() });
            let high = end(high).map_or(f64::INFINITY, |(high, inside)| if inside { high } else { high.next_down() });
            let is_bad = |value: f64| !((value >= low) & (value <= high));
            let any = values.iter().fold(false, |any, value| any | is_bad((*value).into()));
            any.then(|| BooleanBuffer::collect_bool(values.len(), |row| is_bad(wide(row))))
        }
        Test::OneOf(set) => Some(BooleanBuffer::collect_bool(values.len(), |row| !set.floats.contains(&wide(row)))),
        Test::NoneOf(set) => Some(BooleanBuffer::collect_bool(values.len(), |row| set.floats.contains(&wide(row)))),
        _ => None,
    }
}

/// Integers, and what is kept as integers.
fn wholes(test: &Test, column: &ArrayRef) -> Option<BooleanBuffer> {
    macro_rules! by_type {
        ($($pattern:pat => $type:ty),+ $(,)?) => {
            match column.data_type() {
                $($pattern => whole::<$type>(test, column),)+
                _ => None,
            }
        };
    }
    use DataType as T;
    by_type! {
        T::Int8 => Int8Type, T::Int16 => Int16Type, T::Int32 => Int32Type, T::Int64 => Int64Type,
        T::UInt8 => UInt8Type, T::UInt16 => UInt16Type, T::UInt32 => UInt32Type, T::UInt64 => UInt64Type,
        T::Decimal32(_, _) => Decimal32Type, T::Decimal64(_, _) => Decimal64Type,
        T::Decimal128(_, _) => Decimal128Type, T::Decimal256(_, _) => Decimal256Type,
        T::Date32 => Date32Type, T::Date64 => Date64Type,
        T::Time32(TimeUnit::Second) => Time32SecondType, T::Time32(_) => Time32MillisecondType,
        T::Time64(TimeUnit::Nanosecond) => Time64NanosecondType, T::Time64(_) => Time64MicrosecondType,
        T::Timestamp(TimeUnit::Second, _) => TimestampSecondType,
        T::Timestamp(TimeUnit::Millisecond, _) => TimestampMillisecondType,
        T::Timestamp(TimeUnit::Microsecond, _) => TimestampMicrosecondType,
        T::Timestamp(TimeUnit::Nanosecond, _) => TimestampNanosecondType,
        T::Duration(TimeUnit::Second) => DurationSecondType,
        T::Duration(TimeUnit::Millisecond) => DurationMillisecondType,
        T::Duration(TimeUnit::Microsecond) => DurationMicrosecondType,
        T::Duration(TimeUnit::Nanosecond) => DurationNanosecondType,
        T::Interval(IntervalUnit::YearMonth) => IntervalYearMonthType,
    }
}

/// An integer from a wide one.
trait Narrow: Sized {
    fn narrow(wide: i256) -> Option<Self>;
}

macro_rules! narrow {
    ($($native:ty),+) => {
        $(impl Narrow for $native {
            fn narrow(wide: i256) -> Option<Self> {
                wide.to_i128()?.try_into().ok()
            }
        })+
    };
}
narrow!(i8, i16, i32, i64, i128, u8, u16, u32, u64);

impl Narrow for i256 {
    fn narrow(wide: i256) -> Option<Self> {
        Some(wide)
    }
}

fn whole<T: ArrowPrimitiveType>(test: &Test, column: &ArrayRef) -> Option<BooleanBuffer>
where
    T::Native: Narrow + ArrowNativeTypeOp + Ord,
{
    let values = column.as_primitive::<T>().values();
    match test {
        Test::Range { low, high } => {
            let ends = ends::<T::Native>(low.as_ref(), high.as_ref());
            let Some((low, high)) = ends else { return Some(BooleanBuffer::new_set(values.len())) };
            let is_bad = |value: T::Native| (value < low) | (value > high);
            let any = values.iter().fold(false, |any, value| any | is_bad(*value));
            any.then(|| BooleanBuffer::collect_bool(values.len(), |row| is_bad(values[row])))
        }
        Test::MultipleOf(step) => {
            let step = T::Native::narrow(*step)?;
            let zero = T::Native::narrow(i256::ZERO)?;
            Some(BooleanBuffer::collect_bool(values.len(), |row| {
                values[row].mod_checked(step).is_ok_and(|rest| rest != zero)
            }))
        }
        Test::OneOf(set) => {
            let own: Vec<T::Native> = set.whole.iter().filter_map(|wide| T::Native::narrow(*wide)).collect();
            Some(BooleanBuffer::collect_bool(values.len(), |row| own.binary_search(&values[row]).is_err()))
        }
        Test::NoneOf(set) => {
            let own: Vec<T::Native> = set.whole.iter().filter_map(|wide| T::Native::narrow(*wide)).collect();
            Some(BooleanBuffer::collect_bool(values.len(), |row| own.binary_search(&values[row]).is_ok()))
        }
        _ => None,
    }
}

/// The least and the greatest value of a range, `None` where there is none.
fn ends<N: Narrow + ArrowNativeTypeOp>(low: Option<&Bound>, high: Option<&Bound>) -> Option<(N, N)> {
    let end = |bound: Option<&Bound>, step: i256, open: N| match bound {
        Some(Bound { value: Value::Whole(value), is_inside, .. }) => {
            N::narrow(if *is_inside { *value } else { value.wrapping_add(step) })
        }
        _ => Some(open),
    };
    Some((end(low, i256::ONE, N::MIN_TOTAL_ORDER)?, end(high, i256::MINUS_ONE, N::MAX_TOTAL_ORDER)?))
}

fn lengths(column: &ArrayRef, min: u64, max: u64) -> Option<BooleanBuffer> {
    let mask = |length: &dyn Fn(usize) -> u64| {
        BooleanBuffer::collect_bool(column.len(), |row| {
            let length = length(row);
            length < min || length > max
        })
    };
    Some(match column.data_type() {
        DataType::Binary => mask(&|row| column.as_binary::<i32>().value_length(row) as u64),
        DataType::LargeBinary => mask(&|row| column.as_binary::<i64>().value_length(row) as u64),
        DataType::BinaryView => mask(&|row| column.as_binary_view().value(row).len() as u64),
        DataType::FixedSizeBinary(width) => mask(&|_| *width as u64),
        DataType::List(_) => mask(&|row| column.as_list::<i32>().value_length(row) as u64),
        DataType::LargeList(_) => mask(&|row| column.as_list::<i64>().value_length(row) as u64),
        DataType::ListView(_) => mask(&|row| column.as_list_view::<i32>().value_size(row) as u64),
        DataType::LargeListView(_) => mask(&|row| column.as_list_view::<i64>().value_size(row) as u64),
        DataType::FixedSizeList(_, size) => mask(&|_| *size as u64),
        DataType::Map(_, _) => mask(&|row| column.as_map().value_length(row) as u64),
        _ => return None,
    })
}
