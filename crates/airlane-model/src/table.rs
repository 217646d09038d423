//! What a table is, seen from outside: versions, durability, receipts.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result, codes};
use crate::id::TableId;
use crate::name::TableName;
use crate::retention::Retention;

/// The number of a committed content of a table, from 1 per table id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The first version of a table.
    pub const FIRST: Self = Self(1);

    /// From its number; zero is no version.
    pub fn new(number: u64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a put gives a table a new content or adds to the one it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PutMode {
    /// The new version holds the rows of this put only.
    #[default]
    Replace,
    /// The new version holds the rows of the old one and then those of this put.
    Append,
}

impl FromStr for PutMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "replace" => Ok(Self::Replace),
            "append" => Ok(Self::Append),
            _ => Err(Error::new(codes::OPTION_INVALID, format!("`{}` is no put mode", text.escape_debug()))
                .hint("valid modes: replace, append")),
        }
    }
}

impl fmt::Display for PutMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replace => "replace",
            Self::Append => "append",
        })
    }
}

/// What a table survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Kept in memory: gone with the server.
    Ephemeral,
    /// On the local disk, fsynced, before the put is acknowledged: survives `kill -9` and power loss.
    Durable,
}

impl FromStr for Durability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ephemeral" => Ok(Self::Ephemeral),
            "durable" => Ok(Self::Durable),
            "replicated" => Err(Error::new(codes::NOT_IMPLEMENTED, "durability `replicated` is not implemented")
                .hint("valid durabilities: ephemeral, durable")),
            _ => Err(Error::new(codes::OPTION_INVALID, format!("`{}` is no durability", text.escape_debug()))
                .hint("valid durabilities: ephemeral, durable")),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ephemeral => "ephemeral",
            Self::Durable => "durable",
        })
    }
}

/// A half-open range of row positions, from 0. Written `0-1000`: the first thousand rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowRange {
    /// The first row.
    pub start: u64,
    /// The row after the last one.
    pub end: u64,
}

impl RowRange {
    /// A range from `start` up to, not including, `end`.
    ///
    /// # Errors
    /// `rows_out_of_range` when it begins after its end.
    pub fn new(start: u64, end: u64) -> Result<Self> {
        if start > end {
            return Err(Error::new(codes::ROWS_OUT_OF_RANGE, format!("row range {start}-{end} begins after its end"))
                .hint("a range is from the first row up to, not including, the last: rows=0-1000"));
        }
        Ok(Self { start, end })
    }

    /// The number of rows.
    pub fn rows(self) -> u64 {
        self.end - self.start
    }
}

impl From<RowRange> for Range<u64> {
    fn from(range: RowRange) -> Self {
        range.start..range.end
    }
}

impl fmt::Display for RowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl FromStr for RowRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let ends = text.split_once('-').and_then(|(start, end)| Some((number(start)?, number(end)?)));
        let (start, end) = ends.ok_or_else(|| {
            Error::new(codes::TICKET_INVALID, format!("`{}` is no row range", text.escape_debug()))
                .hint("write the first row and the row after the last: 0-1000")
        })?;
        Self::new(start, end)
    }
}

/// As its text.
impl Serialize for RowRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a put is answered with when it is committed; the last `PutResult` carries it as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The table's name.
    pub table: TableName,
    /// The table's identity.
    pub table_id: TableId,
    /// The version that the put committed.
    pub version: Version,
    /// The rows of that version.
    pub rows: u64,
    /// The bytes of that version: the bodies of its record batches and dictionaries, which is what a reader receives.
    pub bytes: u64,
    /// The rows that this put brought.
    pub rows_put: u64,
    /// The durability reached.
    pub durability: Durability,
    /// The ticket that reads this version.
    pub ticket: String,
    /// What a data contract had to say, where one is bound to the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractReceipt>,
}

/// What a data contract had to say of a put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractReceipt {
    /// The version of the contract, as it was registered; 0 for one that comes with Airlane.
    pub registered_version: u64,
    /// The ticket of the rows that were set aside, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_ticket: Option<String>,
    /// The contract, the mode, what was cast, how many rows broke which rule, and what nobody checked.
    #[serde(flatten)]
    pub report: serde_json::Map<String, serde_json::Value>,
}

/// A version of a table that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionInfo {
    /// Its number.
    pub version: Version,
    /// Its rows.
    pub rows: u64,
    /// The bodies of record batches and dictionaries when it was committed; merging may have made them fewer.
    pub bytes: u64,
    /// When it was committed.
    pub committed: Timestamp,
}

/// A table, as listing and describing show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableInfo {
    /// The table's name.
    pub table: TableName,
    /// The table's identity.
    pub table_id: TableId,
    /// The current version.
    pub version: Version,
    /// The rows of the current version.
    pub rows: u64,
    /// The bytes of the current version: the bodies of its record batches and dictionaries.
    pub bytes: u64,
    /// The segments of the current version.
    pub segments: u64,
    /// The table's durability.
    pub durability: Durability,
    /// When the name was created.
    pub created: Timestamp,
    /// When the current version was committed.
    pub committed: Timestamp,
    /// How long the table is kept; absent where nothing limits it.
    #[serde(default, skip_serializing_if = "Retention::is_none")]
    pub retention: Retention,
    /// When the table expires if it is neither put nor read before, as the wall clock stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whose the table is, for the owner and for callers with `admin`; absent for others, and where callers are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The ticket that reads the current version.
    pub ticket: String,
}
