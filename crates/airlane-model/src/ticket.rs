//! Tickets: what a program passes on so that another can read.
//!
//! ```text
//! prices@7?rows=0-1000         plain: readable text, and the reader's own rights decide
//! ~1f0c22aa.eyJp….Jx0a…        signed: whoever holds it may read what it says, until it expires
//! sql:SELECT …                 a query: its rows are computed when it is read, with the reader's own rights
//! ```

mod plain;
mod query;
mod signed;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, codes};
use crate::name::TableName;
use crate::table::Version;

pub use plain::PlainTicket;
pub use query::QueryTicket;
pub use signed::{Pass, ReadPart, ReadsAllowed, SignedTicket};

/// A ticket of either form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ticket {
    /// Says what to read.
    Plain(PlainTicket),
    /// Says it to the server that signed it.
    Signed(SignedTicket),
    /// Says what to compute.
    Query(QueryTicket),
}

impl Ticket {
    /// The plain ticket for the current version of a table.
    pub fn current(table: TableName) -> Self {
        Self::Plain(PlainTicket::current(table))
    }

    /// The plain ticket for one version of a table.
    pub fn version(table: TableName, version: Version) -> Self {
        Self::Plain(PlainTicket { version: Some(version), ..PlainTicket::current(table) })
    }

    /// Reads a ticket from the bytes of a Flight ticket.
    ///
    /// # Errors
    /// `ticket_invalid`, `table_name_invalid`, `not_implemented`.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.parse(),
            Err(error) => Err(Error::new(
                codes::TICKET_INVALID,
                format!("a ticket of {} bytes is not UTF-8 at byte {}", bytes.len(), error.valid_up_to()),
            )
            .hint(plain::HINT)),
        }
    }
}

impl FromStr for Ticket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(signed) = SignedTicket::of(text) {
            return Ok(Self::Signed(signed));
        }
        match QueryTicket::of(text)? {
            Some(query) => Ok(Self::Query(query)),
            None => text.parse().map(Self::Plain),
        }
    }
}

/// The ticket itself. A signed one is a secret: it belongs into answers, never into logs.
impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(plain) => plain.fmt(f),
            Self::Signed(signed) => f.write_str(signed.expose()),
            Self::Query(query) => query.fmt(f),
        }
    }
}

impl From<PlainTicket> for Ticket {
    fn from(plain: PlainTicket) -> Self {
        Self::Plain(plain)
    }
}

impl From<QueryTicket> for Ticket {
    fn from(query: QueryTicket) -> Self {
        Self::Query(query)
    }
}

impl From<SignedTicket> for Ticket {
    fn from(signed: SignedTicket) -> Self {
        Self::Signed(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_tells_the_form() {
        for text in ["prices@7?rows=0-5", "sql:SELECT ~1", "~1f0c22aa.eyJ9.AAAA", "~", "~ \u{1f41f}"] {
            let ticket: Ticket = text.parse().expect(text);
            assert_eq!(matches!(ticket, Ticket::Signed(_)), text.starts_with('~'));
            assert_eq!(matches!(ticket, Ticket::Query(_)), text.starts_with("sql:"));
            assert_eq!(ticket.to_string(), text);
        }
        assert_eq!(Ticket::parse_bytes(b"pri\xffces").expect_err("bytes").code(), codes::TICKET_INVALID);
        assert_eq!(Ticket::parse_bytes(b"~\xff").expect_err("bytes").code(), codes::TICKET_INVALID);
    }
}
