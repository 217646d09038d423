//! The JSON schemas of what is written as text.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::limits::NAME_BYTES_MAX;
use crate::{RowRange, TableId, TableName, TimeSpan};

macro_rules! text {
    ($name:ident, $description:literal, $pattern:literal $(, $key:ident: $value:expr)?) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $description,
                    "pattern": $pattern
                    $(, stringify!($key): $value)?
                })
            }
        }
    };
}

text!(
    TableName,
    "The name of a table: up to eight parts with `/` between them. The first is the namespace.",
    "^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,7}$",
    maxLength: NAME_BYTES_MAX
);
text!(TableId, "The identity of a table: a name that was dropped and made again has another.", "^[0-9a-f]{32}$");
text!(TimeSpan, "A time: a number and a unit.", "^[0-9]+(ms|s|m|h|d)$");
text!(RowRange, "The first row and the row after the last one.", "^[0-9]+-[0-9]+$");
