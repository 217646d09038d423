//! What happens to tables, for whoever watches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::TableId;
use crate::name::TableName;
use crate::table::{Durability, PutMode, Version};

/// Something that happened to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableChange {
    /// When, by the wall clock.
    pub time: Timestamp,
    /// The table.
    pub table: TableName,
    /// Its identity; absent for what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_id: Option<TableId>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What happened to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Happening {
    /// A put was committed.
    Committed {
        /// The version that it made.
        version: Version,
        /// The rows of that version.
        rows: u64,
        /// The rows that the put brought.
        rows_put: u64,
        /// The bytes of that version.
        bytes: u64,
        /// Replace or append.
        mode: PutMode,
        /// What the version survives.
        durability: Durability,
    },
    /// The table was dropped.
    Dropped,
    /// The table has expired.
    Expired {
        /// The rule of retention by which it did.
        reason: String,
    },
    /// Old rows are gone, by the rule `window`.
    Trimmed {
        /// The version without them.
        version: Version,
        /// How many went.
        rows: u64,
    },
    /// A put was refused.
    Refused {
        /// The code of the error.
        code: String,
        /// What it says.
        message: String,
    },
}

impl Happening {
    /// Its name, as `change` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed { .. } => "committed",
            Self::Dropped => "dropped",
            Self::Expired { .. } => "expired",
            Self::Trimmed { .. } => "trimmed",
            Self::Refused { .. } => "refused",
        }
    }
}
