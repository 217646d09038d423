//! Query tickets: what to compute.
//!
//! ```text
//! SELECT * FROM prices                                            of the tables as they are when it is read
//! sql:SELECT * FROM prices                                        the same
//! query:{"sql":"SELECT * FROM prices","at":["prices@7?id=…"]}     of the versions that it names
//! ```
//!
//! Such a ticket is readable text, and the rights of its reader decide, as with every plain ticket.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::plain::PlainTicket;
use crate::error::{Error, Result, codes};

/// What a query begins with that is a ticket as it stands. No table name holds a space.
const BEGINNINGS: [&str; 2] = ["select", "with"];
const TEXT: &str = "sql:";
const OBJECT: &str = "query:";

/// A query, and what it was planned with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryTicket {
    /// The statement.
    pub sql: String,
    /// The tables whose versions are settled; others are read as they are.
    pub at: Vec<PlainTicket>,
    /// Values of the parameters: an Arrow IPC stream of one row, in base64.
    pub values: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    sql: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    at: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<String>,
}

impl QueryTicket {
    /// Of the tables as they are.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), at: Vec::new(), values: None }
    }

    /// The query that a text is, if it is one.
    ///
    /// # Errors
    /// `ticket_invalid`, `table_name_invalid` for what has the beginning of one.
    pub(super) fn of(text: &str) -> Result<Option<Self>> {
        if let Some(sql) = text.strip_prefix(TEXT) {
            return Ok(Some(Self::new(sql)));
        }
        if let Some(object) = text.strip_prefix(OBJECT) {
            let Object { sql, at, values } = serde_json::from_str(object).map_err(|error| {
                Error::new(codes::TICKET_INVALID, format!("the ticket of a query cannot be read: {error}"))
                    .hint("pass it on as it was given, or write sql:SELECT …")
            })?;
            let at = at.iter().map(|text| text.parse()).collect::<Result<_>>()?;
            return Ok(Some(Self { sql, at, values }));
        }
        let begins = |word: &&str| {
            let (head, rest) = text.split_at_checked(word.len()).unwrap_or((text, ""));
            head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)
        };
        Ok(BEGINNINGS.iter().any(begins).then(|| Self::new(text)))
    }
}

impl fmt::Display for QueryTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sql, at, values } = self;
        if at.is_empty() && values.is_none() {
            return write!(f, "{TEXT}{sql}");
        }
        let at = at.iter().map(ToString::to_string).collect();
        let object = Object { sql: sql.clone(), at, values: values.clone() };
        // Texts can be written as JSON.
        write!(f, "{OBJECT}{}", serde_json::to_string(&object).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_reads() {
        for (text, printed) in [
            ("sql:SELECT 1", "sql:SELECT 1"),
            ("SELECT 1", "sql:SELECT 1"),
            ("select\n1", "sql:select\n1"),
            ("With a AS (SELECT 1) SELECT * FROM a", "sql:With a AS (SELECT 1) SELECT * FROM a"),
            ("sql:", "sql:"),
            (r#"query:{"sql":"SELECT 1"}"#, "sql:SELECT 1"),
            (
                r#"query:{"sql":"SELECT \"x\"","at":["eu/prices@7?id=00112233445566778899aabbccddeeff"],"values":"QQ=="}"#,
                r#"query:{"sql":"SELECT \"x\"","at":["eu/prices@7?id=00112233445566778899aabbccddeeff"],"values":"QQ=="}"#,
            ),
        ] {
            let ticket = QueryTicket::of(text).expect(text).expect("a query");
            assert_eq!(ticket.to_string(), printed);
            assert_eq!(QueryTicket::of(printed).expect(printed), Some(ticket));
        }
        for text in ["prices", "select", "selects", "with", "within", "eu/select", "SELECT*"] {
            assert_eq!(QueryTicket::of(text).expect(text), None, "{text}");
        }
        for text in ["query:", "query:{}", r#"query:{"sql":"x","at":["../x"]}"#, r#"query:{"sql":"x","y":1}"#] {
            assert!(QueryTicket::of(text).is_err(), "{text}");
        }
    }
}
