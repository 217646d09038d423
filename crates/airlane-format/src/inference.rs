//! What a sample of a file decided about the types of its columns, and why.

use schemars::JsonSchema;
use serde::Serialize;

/// What the first part of a file decided about the types of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Inference {
    /// The rows that were looked at.
    pub rows: u64,
    /// Whether these were all rows.
    pub is_whole: bool,
    /// The columns, in their order.
    pub columns: Vec<InferredColumn>,
}

/// A column, and what decided its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InferredColumn {
    /// Its name.
    pub name: String,
    /// Its type, as Arrow writes it.
    pub r#type: String,
    /// How many of the rows have no value.
    pub nulls: u64,
    /// Why it has this type: what all values are, or the first that is something else.
    pub why: String,
}
