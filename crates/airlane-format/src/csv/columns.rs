//! Fields become columns of their types, and nothing is rounded, cut or shifted on the way.
//!
//! The parsers of arrow-csv do that in places: fractions of a second that the unit of a column does not have, digits of a
//! decimal beyond its scale, and offsets of moments in columns without a zone. They are refused here.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder, StringViewBuilder};
use arrow_array::timezone::Tz;
use arrow_array::types::*;
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_buffer::{ArrowNativeType, i256};
use arrow_cast::parse::Parser;
use arrow_schema::{DataType, Field, TimeUnit};

use super::cells::Cells;
use super::moments;
use super::numbers::{Numbers, scaled};

/// A column of a file.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) field: Field,
    /// Whether a schema fixes its type. Otherwise its values are all written alike.
    pub(super) is_given: bool,
}

/// A field that is no value of its column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) row: usize,
    pub(super) what: String,
}

/// Whether fields can be values of a type.
pub(super) fn takes(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Dictionary(_, values) => matches!(values.as_ref(), T::Utf8 | T::LargeUtf8),
        T::Decimal32(_, scale) | T::Decimal64(_, scale) | T::Decimal128(_, scale) | T::Decimal256(_, scale) => {
            *scale >= 0
        }
        T::Timestamp(_, Some(zone)) => zone.parse::<Tz>().is_ok(),
        T::Boolean
        | T::Float32
        | T::Float64
        | T::Date32
        | T::Date64
        | T::Time32(_)
        | T::Time64(_)
        | T::Timestamp(_, None)
        | T::Utf8
        | T::LargeUtf8
        | T::Utf8View => true,
        other => other.is_integer(),
    }
}

/// Makes columns of fields.
#[derive(Debug)]
pub(super) struct Maker {
    numbers: Numbers,
    nulls: Vec<String>,
}

impl Maker {
    pub(super) fn new(options: &super::CsvOptions) -> Self {
        Self { numbers: Numbers::new(options), nulls: options.nulls.clone() }
    }

    /// Whether a field is a null.
    pub(super) fn is_null(&self, text: &str) -> bool {
        text.is_empty() || self.nulls.iter().any(|null| null == text)
    }

    /// A column.
    pub(super) fn make(&self, cells: &Cells<'_>, index: usize, column: &Column) -> Result<ArrayRef, Misfit> {
        use DataType as T;
        let one = One { maker: self, cells, index, column };
        match column.field.data_type() {
            T::Boolean => one.flags(),
            T::Int8 => one.whole::<Int8Type>(),
            T::Int16 => one.whole::<Int16Type>(),
            T::Int32 => one.whole::<Int32Type>(),
            T::Int64 => one.whole::<Int64Type>(),
            T::UInt8 => one.whole::<UInt8Type>(),
            T::UInt16 => one.whole::<UInt16Type>(),
            T::UInt32 => one.whole::<UInt32Type>(),
            T::UInt64 => one.whole::<UInt64Type>(),
            T::Float32 => one.number::<Float32Type>(|text| finite::<Float32Type>(text, f32::is_infinite)),
            T::Float64 => one.number::<Float64Type>(|text| finite::<Float64Type>(text, f64::is_infinite)),
            T::Decimal32(precision, scale) => {
                one.number::<Decimal32Type>(|text| scaled(text, *precision, *scale)?.parse().ok())
            }
            T::Decimal64(precision, scale) => {
                one.number::<Decimal64Type>(|text| scaled(text, *precision, *scale)?.parse().ok())
            }
            T::Decimal128(precision, scale) => {
                one.number::<Decimal128Type>(|text| scaled(text, *precision, *scale)?.parse().ok())
            }
            T::Decimal256(precision, scale) => {
                one.number::<Decimal256Type>(|text| i256::from_string(&scaled(text, *precision, *scale)?))
            }
            T::Date32 => one.value::<Date32Type>(moments::date),
            T::Date64 => one.value::<Date64Type>(|text| Some(i64::from(moments::date(text)?) * 86_400_000)),
            T::Time32(TimeUnit::Second) => one.time::<Time32SecondType>(1_000_000_000),
            T::Time32(_) => one.time::<Time32MillisecondType>(1_000_000),
            T::Time64(TimeUnit::Nanosecond) => one.time::<Time64NanosecondType>(1),
            T::Time64(_) => one.time::<Time64MicrosecondType>(1_000),
            T::Timestamp(TimeUnit::Second, zone) => one.moments::<TimestampSecondType>(zone.as_deref()),
            T::Timestamp(TimeUnit::Millisecond, zone) => one.moments::<TimestampMillisecondType>(zone.as_deref()),
            T::Timestamp(TimeUnit::Microsecond, zone) => one.moments::<TimestampMicrosecondType>(zone.as_deref()),
            T::Timestamp(TimeUnit::Nanosecond, zone) => one.moments::<TimestampNanosecondType>(zone.as_deref()),
            T::LargeUtf8 => {
                let mut builder = LargeStringBuilder::new();
                one.strings(|text| builder.append_option(text))?;
                Ok(Arc::new(builder.finish()))
            }
            T::Utf8View => {
                let mut builder = StringViewBuilder::new();
                one.strings(|text| builder.append_option(text))?;
                Ok(Arc::new(builder.finish()))
            }
            T::Dictionary(_, _) => {
                let texts = one.texts()?;
                arrow_cast::cast(&texts, column.field.data_type())
                    .map_err(|error| Misfit { row: 0, what: crate::error::message_of(error) })
            }
            _ => one.texts(),
        }
    }
}

/// One column that is made.
struct One<'a> {
    maker: &'a Maker,
    cells: &'a Cells<'a>,
    index: usize,
    column: &'a Column,
}

impl One<'_> {
    /// Every field, or none for a null.
    fn each<'b>(&'b self, mut take: impl FnMut(Option<&'b str>) -> Option<()>) -> Result<(), Misfit> {
        for (row, text) in self.cells.column(self.index).enumerate() {
            let is_null = self.maker.is_null(text);
            if is_null && !self.column.field.is_nullable() {
                return Err(Misfit { row, what: "is a null, and the column has none".to_owned() });
            }
            if take((!is_null).then_some(text)).is_none() {
                return Err(Misfit { row, what: format!("is not of type {}", self.column.field.data_type()) });
            }
        }
        Ok(())
    }

    fn value<T: ArrowPrimitiveType>(&self, read: impl Fn(&str) -> Option<T::Native>) -> Result<ArrayRef, Misfit> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.cells.rows())
            .with_data_type(self.column.field.data_type().clone());
        self.each(|text| {
            match text {
                None => builder.append_null(),
                Some(text) => builder.append_value(read(text)?),
            }
            Some(())
        })?;
        Ok(Arc::new(builder.finish()))
    }

    fn number<T: ArrowPrimitiveType>(&self, read: impl Fn(&str) -> Option<T::Native>) -> Result<ArrayRef, Misfit> {
        self.value::<T>(|text| read(&self.maker.numbers.plain(text)?))
    }

    fn whole<T: ArrowPrimitiveType + Parser>(&self) -> Result<ArrayRef, Misfit> {
        self.number::<T>(T::parse)
    }

    fn time<T: ArrowPrimitiveType>(&self, step: i64) -> Result<ArrayRef, Misfit> {
        self.value::<T>(|text| {
            let nanos = moments::time(text)?;
            if nanos % step == 0 { T::Native::from_usize(usize::try_from(nanos / step).ok()?) } else { None }
        })
    }

    fn moments<T: ArrowTimestampType>(&self, zone: Option<&str>) -> Result<ArrayRef, Misfit> {
        let parsed: Option<Tz> = zone.and_then(|zone| zone.parse().ok());
        self.value::<T>(|text| {
            let moment = moments::moment(text, parsed)?;
            // Where the file alone tells the type, moments and wall times are not mixed.
            let is_alike = self.column.is_given || moment.has_offset == zone.is_some();
            moment.in_units(T::UNIT).filter(|_| is_alike)
        })
    }

    fn flags(&self) -> Result<ArrayRef, Misfit> {
        let mut builder = BooleanBuilder::with_capacity(self.cells.rows());
        self.each(|text| {
            builder.append_option(match text {
                None => None,
                Some(text) => Some(flag(text)?),
            });
            Some(())
        })?;
        Ok(Arc::new(builder.finish()))
    }

    fn strings<'b>(&'b self, mut take: impl FnMut(Option<&'b str>)) -> Result<(), Misfit> {
        self.each(|text| {
            take(text);
            Some(())
        })
    }

    fn texts(&self) -> Result<ArrayRef, Misfit> {
        let mut builder = StringBuilder::with_capacity(self.cells.rows(), 0);
        self.strings(|text| builder.append_option(text))?;
        Ok(Arc::new(builder.finish()))
    }
}

/// `true` and `false`, in any case.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.len() {
        4 if text.eq_ignore_ascii_case("true") => Some(true),
        5 if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A number of a float, and not one beyond what it can hold.
pub(super) fn finite<T: Parser>(text: &str, is_infinite: impl Fn(T::Native) -> bool) -> Option<T::Native>
where
    T::Native: Display,
{
    T::parse(text).filter(|value| !is_infinite(*value) || !text.bytes().any(|byte| byte.is_ascii_digit()))
}
