//! What statements in SQL did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::TableName;
use crate::table::Receipt;

/// What a statement did that changes tables.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct StatementResult {
    /// Rows that were put.
    pub rows: u64,
    /// The receipt of what was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The tables that were dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<TableName>,
}
