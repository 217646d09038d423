//! What enforcing a contract did to a put; a part of its receipt.

use serde::{Deserialize, Serialize};

use crate::NotChecked;

/// What enforcing a contract did to a put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The contract's name.
    pub contract: String,
    /// The version that its document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `reject`, `coerce` or `quarantine`.
    pub mode: String,
    /// Rows that were taken.
    pub rows: u64,
    /// Rows that were set aside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_rejected: u64,
    /// Columns that were cast.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub casts: Vec<CastReport>,
    /// Optional columns that did not come, and hold nulls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Whether the columns came in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reordered: bool,
    /// How many rows broke which rule. A row that breaks two counts for both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<RuleReport>,
    /// Rules of the document that nobody checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<NotChecked>,
}

/// A column that was cast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CastReport {
    /// The column.
    pub column: String,
    /// The type that came.
    pub from: String,
    /// The type of the contract.
    pub to: String,
    /// Values that were cast: those that are not null.
    pub values: u64,
}

/// A rule and how many rows broke it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The column.
    pub column: String,
    /// The rule, as in the column `_rule` of rejected rows.
    pub rule: String,
    /// Rows.
    pub rows: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
