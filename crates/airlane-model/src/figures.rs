//! How a server does: what the action `status` answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::table::TableInfo;

/// The figures of a server at one moment. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerFigures {
    /// The version of the program.
    pub version: String,
    /// How long it has run.
    pub uptime_seconds: f64,
    /// Why it is not ready; empty when it is.
    pub reasons: Vec<String>,
    /// Resident memory, mapped files among it.
    pub memory_bytes: u64,
    /// The memory budget.
    pub budget_bytes: u64,
    /// What is taken from it, by use.
    pub budget_used: BTreeMap<String, u64>,
    /// Ephemeral tables that are on disk, for lack of memory.
    pub spilled_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Processor time.
    pub cpu_seconds: f64,
    /// Requests that have ended.
    pub requests: u64,
    /// Those of them that did not end well.
    pub requests_failed: u64,
    /// Requests that run, streams among them, by their names.
    pub open: BTreeMap<String, u64>,
    /// Rows that puts have brought.
    pub rows_in: u64,
    /// Rows that reads have sent.
    pub rows_out: u64,
    /// Bytes that puts have brought.
    pub bytes_in: u64,
    /// Bytes that reads have sent.
    pub bytes_out: u64,
    /// All tables.
    pub tables: u64,
    /// The segments of their current versions.
    pub segments: u64,
    /// The bytes of their current versions.
    pub table_bytes: u64,
    /// The largest tables of those that the caller may read, the largest first.
    pub largest: Vec<TableFigures>,
    /// Of the same the most read ones since the start, the most read first.
    pub most_read: Vec<TableFigures>,
}

/// A table and how it is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TableFigures {
    /// The table.
    #[serde(flatten)]
    pub info: TableInfo,
    /// Reads that run.
    pub reads_open: u64,
    /// Reads that were begun since the start.
    pub reads: u64,
}
