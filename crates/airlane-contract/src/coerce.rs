//! Casts that lose nothing.
//!
//! Which types are cast to which is decided once, from the schema: [`plan`]. Whether a value survives is decided for each
//! one: it is cast there and back, and must be what it was.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType};
use arrow_select::take::take;

use crate::format::TimeFormat;
use crate::types::is_same;

mod text;

/// How a column is cast.
#[derive(Debug)]
pub(crate) struct Cast {
    to: DataType,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Types that differ in names only.
    Rename,
    /// A cast that either succeeds or leaves a null.
    Whole,
    /// A cast that may round: there and back.
    Verified,
    /// A time without a zone: first its unit, then the zone.
    Zone(DataType),
    /// Integers as floats, up to where floats are no longer dense.
    Float {
        bits: u32,
    },
    Text(Option<TimeFormat>),
    /// Through another type.
    Then(Box<Cast>, Box<Cast>),
    /// The values of a dictionary, then its indices.
    Decode(Box<Cast>),
}

/// What came out: the column, and which rows lost their value.
pub(crate) struct Cooked {
    pub(crate) column: ArrayRef,
    pub(crate) bad: Option<BooleanBuffer>,
}

/// How values of one type become those of another, `None` where that would mean something else.
///
/// The time zone of a time without one is that of `to`.
pub(crate) fn plan(from: &DataType, to: &DataType, format: Option<&TimeFormat>) -> Option<Cast> {
    use DataType as T;
    let cast = |step| Some(Cast { to: to.clone(), step });
    if is_same(from, to) {
        return cast(Step::Rename);
    }
    match (from, to) {
        (T::Dictionary(_, values), _) => {
            let inner = match to {
                T::Dictionary(_, _) => {
                    let decode = plan(from, values, format)?;
                    return cast(Step::Then(Box::new(decode), Box::new(plan(values, to, format)?)));
                }
                to => plan(values, to, format)?,
            };
            cast(Step::Decode(Box::new(inner)))
        }
        (T::RunEndEncoded(_, values), _) => {
            let decode = Cast { to: values.data_type().clone(), step: Step::Whole };
            cast(Step::Then(Box::new(decode), Box::new(plan(values.data_type(), to, format)?)))
        }
        (_, T::Dictionary(_, values)) => {
            let inner = plan(from, values, format)?;
            cast(Step::Then(Box::new(inner), Box::new(Cast { to: to.clone(), step: Step::Whole })))
        }
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View) => cast(Step::Whole),
        (
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_),
            T::Binary | T::LargeBinary | T::BinaryView,
        )
        | (T::Binary | T::LargeBinary, T::FixedSizeBinary(_)) => cast(Step::Whole),
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, _) if text::takes(to) => cast(Step::Text(format.cloned())),
        (T::Timestamp(_, None), T::Timestamp(unit, Some(_))) => cast(Step::Zone(T::Timestamp(*unit, None))),
        (T::Timestamp(_, Some(_)), T::Timestamp(_, None)) => None,
        _ if from.is_integer() && to.is_integer() => cast(Step::Whole),
        (_, T::Float16) if from.is_integer() => cast(Step::Float { bits: 11 }),
        (_, T::Float32) if from.is_integer() => cast(Step::Float { bits: 24 }),
        (_, T::Float64) if from.is_integer() => cast(Step::Float { bits: 53 }),
        (T::Timestamp(_, _), T::Timestamp(_, _))
        | (T::Date32, T::Date64)
        | (T::Date64, T::Date32)
        | (T::Date32 | T::Date64, T::Timestamp(_, None))
        | (T::Timestamp(_, None), T::Date32 | T::Date64)
        | (T::Time32(_) | T::Time64(_), T::Time32(_) | T::Time64(_))
        | (T::Duration(_), T::Duration(_)) => cast(Step::Verified),
        _ if is_number(from) && is_number(to) => cast(Step::Verified),
        _ => None,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_floating() || data_type.is_decimal()
}

impl Cast {
    /// Whether the values stay as they are.
    pub(crate) fn is_rename(&self) -> bool {
        matches!(self.step, Step::Rename)
    }

    /// Casts a column. A value that does not survive is null.
    ///
    /// # Errors
    /// For a column that cannot be cast as a whole: texts of more than 2 GiB, a dictionary whose index is too small.
    pub(crate) fn run(&self, column: &ArrayRef) -> Result<Cooked, ArrowError> {
        match &self.step {
            Step::Rename if column.data_type() == &self.to => Ok(Cooked { column: column.clone(), bad: None }),
            Step::Rename => {
                let data = column.to_data().into_builder().data_type(self.to.clone()).build()?;
                Ok(Cooked { column: arrow_array::make_array(data), bad: None })
            }
            Step::Whole => Ok(finish(column, safe(column, &self.to)?, None)),
            Step::Verified => {
                let there = safe(column, &self.to)?;
                let back = safe(&there, column.data_type())?;
                let lost = differs(column, &back)?;
                Ok(finish(column, there, lost))
            }
            Step::Zone(naive) => {
                let inner = Cast { to: naive.clone(), step: Step::Verified };
                let Cooked { column: there, bad } = inner.run(column)?;
                Ok(finish(column, safe(&there, &self.to)?, bad))
            }
            Step::Float { bits } => {
                let wide = safe(column, &DataType::Decimal128(20, 0))?;
                let limit = 1_i128 << bits;
                let values = wide.as_primitive::<arrow_array::types::Decimal128Type>().values();
                let lost = values
                    .iter()
                    .any(|value| value.abs() > limit)
                    .then(|| BooleanBuffer::collect_bool(values.len(), |row| values[row].abs() > limit));
                Ok(finish(column, safe(column, &self.to)?, lost))
            }
            Step::Text(format) => Ok(finish(column, text::read(column, &self.to, format.as_ref())?, None)),
            Step::Then(first, second) => {
                let first = first.run(column)?;
                let second = second.run(&first.column)?;
                Ok(Cooked { column: second.column, bad: either(first.bad, second.bad) })
            }
            Step::Decode(inner) => {
                let dictionary = column.as_any_dictionary();
                let values = inner.run(dictionary.values())?;
                let decoded = take(&values.column, dictionary.keys(), None)?;
                // Values that no row has may be lost.
                let bad = match values.bad {
                    None => None,
                    Some(bad) => {
                        let rows = take(&BooleanArray::new(bad, None), dictionary.keys(), None)?;
                        some_set(by_valid(rows.as_boolean().values(), rows.as_ref()))
                    }
                };
                Ok(Cooked { column: decoded, bad })
            }
        }
    }
}

fn safe(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() })
}

/// Nulls where the value was lost, and says so.
fn finish(from: &ArrayRef, to: ArrayRef, lost: Option<BooleanBuffer>) -> Cooked {
    let came = from.logical_nulls();
    let went = to.logical_nulls();
    let new_nulls = went.filter(|went| went.null_count() > came.as_ref().map_or(0, |came| came.null_count()));
    let vanished = new_nulls.map(|went| match &came {
        None => !went.inner(),
        Some(came) => &!went.inner() & came.inner(),
    });
    let lost = lost.map(|lost| by_valid(&lost, from.as_ref()));
    Cooked { column: to, bad: either(vanished, lost).and_then(some_set) }
}

/// The rows of a mask whose value is not null.
fn by_valid(mask: &BooleanBuffer, column: &dyn Array) -> BooleanBuffer {
    match column.logical_nulls() {
        None => mask.clone(),
        Some(nulls) => mask & nulls.inner(),
    }
}

fn some_set(mask: BooleanBuffer) -> Option<BooleanBuffer> {
    (mask.count_set_bits() > 0).then_some(mask)
}

/// The rows of one mask or the other.
pub(crate) fn either(own: Option<BooleanBuffer>, other: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (own, other) {
        (Some(own), Some(other)) => Some(&own | &other),
        (own, other) => own.or(other),
    }
}

/// Where two columns of one type differ, whatever their nulls. Zeros of both signs are one value here, and so are all
/// NaNs.
fn differs(own: &ArrayRef, other: &ArrayRef) -> Result<Option<BooleanBuffer>, ArrowError> {
    let mask = match own.data_type() {
        DataType::Float16 => floats::<Float16Type>(own, other, f64::from),
        DataType::Float32 => floats::<Float32Type>(own, other, f64::from),
        DataType::Float64 => floats::<Float64Type>(own, other, |value| value),
        _ => arrow_ord::cmp::neq(own, other)?.values().clone(),
    };
    Ok(some_set(mask))
}

fn floats<T: ArrowPrimitiveType>(own: &ArrayRef, other: &ArrayRef, wide: fn(T::Native) -> f64) -> BooleanBuffer {
    let (own, other): (&PrimitiveArray<T>, &PrimitiveArray<T>) = (own.as_primitive(), other.as_primitive());
    BooleanBuffer::collect_bool(own.len(), |row| {
        let (own, other) = (wide(own.values()[row]), wide(other.values()[row]));
        own != other && !(own.is_nan() && other.is_nan())
    })
}

/// A column of nulls, for one that is not there.
pub(crate) fn nulls(data_type: &DataType, rows: usize) -> ArrayRef {
    arrow_array::new_null_array(data_type, rows)
}

/// A column of one type, shared.
pub(crate) fn shared<A: Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

#[cfg(test)]
mod tests;
