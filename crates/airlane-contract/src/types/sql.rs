//! Names that databases give to types, as documents of the standard have them.

use arrow_schema::{DataType, TimeUnit};

/// The type of a name of SQL, in any case. Lengths, as in `VARCHAR(20)`, are taken by [`length`].
pub(super) fn read(text: &str) -> Option<DataType> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.split('(').next().unwrap_or_default().trim_end();
    let found = match name {
        "BOOLEAN" => DataType::Boolean,
        "TINYINT" => DataType::Int8,
        "SMALLINT" | "INT2" => DataType::Int16,
        "INT" | "INTEGER" | "INT4" => DataType::Int32,
        "BIGINT" => DataType::Int64,
        "REAL" | "FLOAT4" => DataType::Float32,
        "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" | "FLOAT8" => DataType::Float64,
        "TEXT" | "CLOB" => DataType::Utf8,
        "VARCHAR" | "CHARACTER VARYING" | "CHAR" | "NVARCHAR" => return length(text).map(|_| DataType::Utf8),
        "BLOB" | "BYTEA" | "VARBINARY" => DataType::Binary,
        "DATE" => DataType::Date32,
        "TIME" => DataType::Time64(TimeUnit::Microsecond),
        "TIMESTAMP" | "DATETIME" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    };
    (name.len() == upper.len()).then_some(found)
}

/// The length in `VARCHAR(20)`: `Some(None)` for a type without one, `None` where it is no length.
pub(crate) fn length(text: &str) -> Option<Option<u64>> {
    match text.trim().split_once('(') {
        None => Some(None),
        Some((name, rest)) => {
            let is_text = ["varchar", "character varying", "char", "nvarchar"]
                .iter()
                .any(|known| name.trim_end().eq_ignore_ascii_case(known));
            let inside = rest.trim_end().strip_suffix(')')?.trim();
            if !is_text || inside.eq_ignore_ascii_case("max") {
                return Some(None);
            }
            inside.parse().ok().map(Some)
        }
    }
}
