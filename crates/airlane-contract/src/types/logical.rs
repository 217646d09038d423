//! `logicalType`: the standard's coarse types, and which Arrow type each means where no physical one is given.

use arrow_schema::{DataType, TimeUnit};

/// The standard's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logical {
    String,
    Date,
    Timestamp,
    Time,
    Number,
    Integer,
    Object,
    Array,
    Boolean,
    Map,
}

impl Logical {
    /// The type of a name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "time" => Self::Time,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "object" => Self::Object,
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "map" => Self::Map,
            _ => return None,
        })
    }

    /// The type that it means by itself; `None` for those that have children.
    ///
    /// `format` is that of `logicalTypeOptions` (`i32`, `u64`, `f32`); `zone` the time zone of a timestamp.
    pub(crate) fn data_type(self, format: Option<&str>, zone: Option<&str>) -> Result<Option<DataType>, String> {
        Ok(Some(match self {
            Self::String => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)),
            Self::Integer => match format {
                None | Some("i64") => DataType::Int64,
                Some("i8") => DataType::Int8,
                Some("i16") => DataType::Int16,
                Some("i32") => DataType::Int32,
                Some("u8") => DataType::UInt8,
                Some("u16") => DataType::UInt16,
                Some("u32") => DataType::UInt32,
                Some("u64") => DataType::UInt64,
                Some(other) => return Err(format!("`{other}` is not one of i8, i16, i32, i64, u8, u16, u32, u64")),
            },
            Self::Number => match format {
                None | Some("f64") => DataType::Float64,
                Some("f32") => DataType::Float32,
                Some(other) => return Err(format!("`{other}` is neither f32 nor f64")),
            },
            Self::Object | Self::Array | Self::Map => return Ok(None),
        }))
    }
}

/// The coarse name of a type, `None` where the standard has none.
pub(crate) fn logical_name(data_type: &DataType) -> Option<&'static str> {
    use DataType as T;
    Some(match data_type {
        T::Boolean => "boolean",
        _ if data_type.is_integer() => "integer",
        _ if data_type.is_floating() || data_type.is_decimal() => "number",
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "string",
        T::Date32 | T::Date64 => "date",
        T::Time32(_) | T::Time64(_) => "time",
        T::Timestamp(_, _) => "timestamp",
        T::Struct(_) => "object",
        T::List(_) | T::LargeList(_) | T::ListView(_) | T::LargeListView(_) | T::FixedSizeList(_, _) => "array",
        T::Dictionary(_, values) => return logical_name(values),
        T::RunEndEncoded(_, values) => return logical_name(values.data_type()),
        _ => return None,
    })
}
