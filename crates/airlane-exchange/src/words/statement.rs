//! A statement in SQL as a request.

use std::sync::Arc;

use airlane_model::{Error, QueryTicket, Result, codes};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, RecordBatch, StringArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::values;

/// A statement, and values for its parameters.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementRequest {
    /// The statement.
    pub sql: String,
    /// Values for `?`, or `$1`, `$2` …, in their order: numbers, texts, booleans or nulls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Value>,
}

impl StatementRequest {
    /// What to send instead of what is none.
    pub const HINT: &'static str =
        "send {\"sql\": \"SELECT …\"}, with \"parameters\": [1, \"eu\"] where the statement has some";

    /// The ticket of the statement.
    ///
    /// # Errors
    /// `option_invalid` for a parameter that is a list or an object; `limit_exceeded`.
    pub fn ticket(self) -> Result<QueryTicket> {
        if self.parameters.is_empty() {
            return Ok(QueryTicket::new(self.sql));
        }
        let columns =
            (1..).zip(&self.parameters).map(|(number, value)| Ok((format!("${number}"), array(number, value)?)));
        let columns: Vec<(String, ArrayRef)> = columns.collect::<Result<_>>()?;
        let row =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, value)| (name, value, true)));
        let row = row.map_err(|error| Error::new(codes::OPTION_INVALID, error.to_string()))?;
        Ok(QueryTicket { values: Some(values::write(&row)?), ..QueryTicket::new(self.sql) })
    }
}

fn array(number: usize, value: &Value) -> Result<ArrayRef> {
    Ok(match value {
        Value::Null => Arc::new(NullArray::new(1)),
        Value::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Value::Number(value) => match (value.as_i64(), value.as_f64()) {
            (Some(whole), _) => Arc::new(Int64Array::from(vec![whole])),
            (None, Some(value)) => Arc::new(Float64Array::from(vec![value])),
            (None, None) => return Err(no_value(number)),
        },
        Value::Array(_) | Value::Object(_) => return Err(no_value(number)),
    })
}

fn no_value(number: usize) -> Error {
    let message = format!("parameter {number} is no number, text, boolean or null");
    Error::new(codes::OPTION_INVALID, message).hint("put lists and objects as a table, and join it")
}
