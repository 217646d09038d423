//! What a signed ticket is asked for, and what it says.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use airlane_model::{RowRange, TableId, TableName, Ticket, Timestamp, Version};
use serde::{Deserialize, Serialize};

/// What a signed ticket is to let read; what is absent stays as the other ticket has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketOptions {
    /// The columns, in the order in which they are to be read.
    pub columns: Option<Vec<String>>,
    /// The rows, by their positions in the version.
    pub rows: Option<RowRange>,
    /// How long it can be used, in whole seconds.
    pub ttl: Option<Duration>,
    /// The caller who alone may use it.
    pub caller: Option<String>,
    /// How often it can be read.
    pub reads: Option<NonZeroU64>,
    /// Has a read count from its beginning on, whatever becomes of the reader.
    pub at_most_once: bool,
}

impl TicketOptions {
    /// The body of the action.
    pub(crate) fn request(&self, ticket: &Ticket) -> String {
        let mut body = self.object();
        body["ticket"] = ticket.to_string().into();
        body.to_string()
    }

    pub(crate) fn object(&self) -> serde_json::Value {
        let mut body = serde_json::json!({});
        if let Some(columns) = &self.columns {
            body["columns"] = serde_json::json!(columns);
        }
        if let Some(rows) = self.rows {
            body["rows"] = serde_json::json!(rows);
        }
        if let Some(ttl) = self.ttl {
            body["ttl"] = serde_json::json!(format!("{}s", ttl.as_secs()));
        }
        if let Some(caller) = &self.caller {
            body["caller"] = serde_json::json!(caller);
        }
        if let Some(reads) = self.reads {
            body["reads"] = serde_json::json!(reads);
        }
        if self.at_most_once {
            body["at_most_once"] = true.into();
        }
        body
    }
}

/// A signed ticket and what it says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTicketInfo {
    /// The ticket: to be passed on, and to be kept out of logs.
    pub ticket: String,
    /// The table.
    pub table: TableName,
    /// The table's identity.
    pub table_id: TableId,
    /// The version.
    pub version: Version,
    /// The rows that it lets read.
    pub rows: u64,
    /// The columns; all when absent.
    pub columns: Option<Vec<String>>,
    /// From when on it is refused; never when absent.
    pub expires: Option<Timestamp>,
    /// The caller who alone may use it; anybody when absent.
    pub caller: Option<String>,
    /// How often it, and all that was narrowed from it together, can be read; without a count when absent.
    #[serde(default)]
    pub reads: Option<NonZeroU64>,
    /// Whether a read counts from its beginning on.
    #[serde(default)]
    pub at_most_once: bool,
}

/// What a rotation of the keys that sign tickets has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotation {
    /// The key that signs now, as tickets name it.
    pub key: String,
    /// The keys that open tickets, this one among them.
    pub keys: u64,
    /// The keys that were forgotten, with all that they had signed.
    pub revoked: u64,
}

impl fmt::Debug for SignedTicketInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket: _, table, version, rows, columns, expires, caller, reads, .. } = self;
        f.debug_struct("SignedTicketInfo")
            .field("table", table)
            .field("version", version)
            .field("rows", rows)
            .field("columns", columns)
            .field("expires", expires)
            .field("caller", caller)
            .field("reads", reads)
            .finish_non_exhaustive()
    }
}
