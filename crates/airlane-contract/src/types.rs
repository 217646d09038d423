//! Column types: Arrow's, in words that a document can hold.
//!
//! `physicalType` is a type in the words of [`write`], which covers every type of Arrow, or in those of SQL.
//! `logicalType` alone means one type each, see [`logical`].

use arrow_schema::{DataType, IntervalUnit, TimeUnit, UnionMode};

mod logical;
mod read;
mod sql;

pub(crate) use logical::{Logical, logical_name};
pub(crate) use read::read;
pub(crate) use sql::length as sql_length;

/// Levels of nesting, as the store has them.
pub(crate) const LEVELS_MAX: usize = 32;
/// Columns of a contract, and fields of all of its types.
pub(crate) const COLUMNS_MAX: usize = 10_000;

/// The types without parameters.
const PLAIN: [(&str, DataType); 22] = [
    ("null", DataType::Null),
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("string", DataType::Utf8),
    ("large_string", DataType::LargeUtf8),
    ("string_view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("large_binary", DataType::LargeBinary),
    ("binary_view", DataType::BinaryView),
    ("date32", DataType::Date32),
    ("date64", DataType::Date64),
    ("interval(month_day_nano)", DataType::Interval(IntervalUnit::MonthDayNano)),
];

/// Units of time.
const UNITS: [(&str, TimeUnit); 4] = [
    ("s", TimeUnit::Second),
    ("ms", TimeUnit::Millisecond),
    ("us", TimeUnit::Microsecond),
    ("ns", TimeUnit::Nanosecond),
];

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

fn interval_name(unit: IntervalUnit) -> &'static str {
    match unit {
        IntervalUnit::YearMonth => "year_month",
        IntervalUnit::DayTime => "day_time",
        IntervalUnit::MonthDayNano => "month_day_nano",
    }
}

/// A text that stands in quotes, with the escapes of JSON.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The type in words: `int32`, `decimal128(12, 4)`, `timestamp(us, "UTC")`, `list<string>`,
/// `struct<"a": int32 not null, "b": string>`. [`read`] reads it back, but for the names inside lists, maps and runs,
/// which mean nothing, and metadata.
pub fn write(data_type: &DataType) -> String {
    use DataType as T;
    if let Some((name, _)) = PLAIN.iter().find(|(_, plain)| plain == data_type) {
        return (*name).to_owned();
    }
    let child = |field: &arrow_schema::FieldRef| {
        format!("{}{}", write(field.data_type()), if field.is_nullable() { "" } else { " not null" })
    };
    let named = |field: &arrow_schema::FieldRef| format!("{}: {}", quote(field.name()), child(field));
    match data_type {
        T::Timestamp(unit, None) => format!("timestamp({})", unit_name(*unit)),
        T::Timestamp(unit, Some(zone)) => format!("timestamp({}, {})", unit_name(*unit), quote(zone)),
        T::Time32(unit) => format!("time32({})", unit_name(*unit)),
        T::Time64(unit) => format!("time64({})", unit_name(*unit)),
        T::Duration(unit) => format!("duration({})", unit_name(*unit)),
        T::Interval(unit) => format!("interval({})", interval_name(*unit)),
        T::FixedSizeBinary(width) => format!("fixed_binary({width})"),
        T::Decimal32(precision, scale) => format!("decimal32({precision}, {scale})"),
        T::Decimal64(precision, scale) => format!("decimal64({precision}, {scale})"),
        T::Decimal128(precision, scale) => format!("decimal128({precision}, {scale})"),
        T::Decimal256(precision, scale) => format!("decimal256({precision}, {scale})"),
        T::List(item) => format!("list<{}>", child(item)),
        T::LargeList(item) => format!("large_list<{}>", child(item)),
        T::ListView(item) => format!("list_view<{}>", child(item)),
        T::LargeListView(item) => format!("large_list_view<{}>", child(item)),
        T::FixedSizeList(item, size) => format!("fixed_list({size})<{}>", child(item)),
        T::Struct(fields) => format!("struct<{}>", fields.iter().map(named).collect::<Vec<_>>().join(", ")),
        T::Map(entries, sorted) => {
            let word = if *sorted { "sorted_map" } else { "map" };
            match entries.data_type() {
                T::Struct(pair) if pair.len() == 2 => {
                    format!("{word}<{}, {}>", write(pair[0].data_type()), child(&pair[1]))
                }
                // No schema that was judged has one.
                other => format!("{word}<{}>", write(other)),
            }
        }
        T::Union(fields, mode) => {
            let word = if *mode == UnionMode::Dense { "dense" } else { "sparse" };
            let fields: Vec<String> = fields.iter().map(|(id, field)| format!("{id} {}", named(field))).collect();
            format!("union({word})<{}>", fields.join(", "))
        }
        T::Dictionary(index, values) => format!("dictionary({})<{}>", write(index), write(values)),
        T::RunEndEncoded(ends, values) => format!("run_end_encoded({})<{}>", write(ends.data_type()), child(values)),
        // Those of `PLAIN`.
        other => other.to_string(),
    }
}

/// Whether two types are one, but for the names inside lists, maps and runs, which differ between writers and mean
/// nothing, and metadata.
pub(crate) fn is_same(own: &DataType, other: &DataType) -> bool {
    own == other || write(own) == write(other)
}

#[cfg(test)]
mod tests;
