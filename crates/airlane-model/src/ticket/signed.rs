//! Signed tickets: the text, and what it says to the server that signed it.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::PlainTicket;
use crate::clock::Timestamp;
use crate::id::{ReadId, TableId, TicketId};
use crate::name::TableName;
use crate::table::{RowRange, Version};

/// The text of a signed ticket, which begins with `~`. Only the server that signed it can tell whether it is one.
///
/// Whoever has it can read, so it does not show itself; who needs the text says so with [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SignedTicket(Box<str>);

impl SignedTicket {
    /// What the text begins with.
    pub const MARK: char = '~';

    /// The text of a ticket, if it is of this form.
    pub fn of(text: &str) -> Option<Self> {
        text.starts_with(Self::MARK).then(|| Self(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedTicket(~…)")
    }
}

/// What a signed ticket lets its holder read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// Of the ticket and of all that were narrowed from it.
    pub id: TicketId,
    /// The name that the table had.
    pub table: TableName,
    /// The table that it must be.
    pub table_id: TableId,
    /// The version to read.
    pub version: Version,
    /// The columns to read, in this order; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// The rows to read; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowRange>,
    /// When it was signed.
    pub issued: Timestamp,
    /// From when on it is refused; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The caller who alone may use it; anybody when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// How often it can be read; without a count when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<ReadsAllowed>,
    /// The read that this is a part of; a read of its own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadPart>,
}

/// How often a ticket, and all that were narrowed from it together, can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadsAllowed {
    /// So often.
    pub max: NonZeroU64,
    /// No renewal passes this end, after which the count may be forgotten.
    pub until: Timestamp,
    /// A read counts from its beginning on, whatever becomes of the reader.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_most_once: bool,
}

/// A part of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadPart {
    /// The read.
    pub id: ReadId,
    /// All rows of the read: when they are delivered, it is at its end.
    pub rows: RowRange,
}

impl Pass {
    /// The plain ticket of the same rows.
    pub fn plain(&self) -> PlainTicket {
        PlainTicket {
            table: self.table.clone(),
            version: Some(self.version),
            table_id: Some(self.table_id),
            rows: self.rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_a_signed_ticket_does_not_show_itself() {
        let ticket = SignedTicket::of("~canary").expect("one");
        assert!(!format!("{ticket:?}").contains("canary"));
        assert_eq!(ticket.expose(), "~canary");
        assert_eq!(SignedTicket::of("canary"), None);
    }

    #[test]
    fn a_pass_is_written_as_it_is_read() {
        let pass = Pass {
            id: TicketId::from_bytes([1; 16]),
            table: "eu/prices".parse().expect("a name"),
            table_id: TableId::from_bytes([2; 16]),
            version: Version::FIRST,
            columns: Some(vec!["a".into(), "ü".into()]),
            rows: Some(RowRange { start: 5, end: 10 }),
            issued: Timestamp::from_micros(7),
            expires: Some(Timestamp::from_micros(8)),
            caller: Some("ci".into()),
            reads: Some(ReadsAllowed { max: NonZeroU64::MIN, until: Timestamp::from_micros(9), at_most_once: true }),
            read: Some(ReadPart { id: ReadId::from_bytes([3; 16]), rows: RowRange { start: 0, end: 10 } }),
        };
        let bare =
            Pass { columns: None, rows: None, expires: None, caller: None, reads: None, read: None, ..pass.clone() };
        for pass in [bare, pass] {
            let text = serde_json::to_string(&pass).expect("JSON");
            assert_eq!(serde_json::from_str::<Pass>(&text).expect("a pass"), pass, "{text}");
        }
    }
}
