//! Plain tickets: readable text that says what to read.
//!
//! ```text
//! prices                       the current version
//! prices@7                     version 7
//! eu/prices@7?rows=0-1000      its first thousand rows
//! prices@7?id=<32 hex>         only if the table is still the one with this id
//! ```
//!
//! Further forms of the design (`plan:…`, `PLAN-123`) are recognised and answered
//! `not_implemented`, so that they can never become table names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, codes};
use crate::id::TableId;
use crate::name::{TableName, is_run};
use crate::table::{RowRange, Version};

pub(super) const HINT: &str = "a ticket is text such as prices, prices@7 or prices@7?rows=0-1000";

/// A parsed plain ticket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlainTicket {
    /// The table to read.
    pub table: TableName,
    /// The version to read; the current one when absent.
    pub version: Option<Version>,
    /// The identity that the table must have.
    pub table_id: Option<TableId>,
    /// The rows to read; all when absent.
    pub rows: Option<RowRange>,
}

impl PlainTicket {
    /// A ticket for the current version of a table.
    pub fn current(table: TableName) -> Self {
        Self { table, version: None, table_id: None, rows: None }
    }
}

impl fmt::Display for PlainTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.table)?;
        if let Some(version) = self.version {
            write!(f, "@{version}")?;
        }
        let mut separator = '?';
        if let Some(id) = self.table_id {
            write!(f, "{separator}id={id}")?;
            separator = '&';
        }
        if let Some(rows) = self.rows {
            write!(f, "{separator}rows={rows}")?;
        }
        Ok(())
    }
}

impl FromStr for PlainTicket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        refuse_later_forms(text)?;
        let (target, options) = text.split_once('?').map_or((text, None), |(target, options)| (target, Some(options)));
        let (name, version) = target.split_once('@').map_or((target, None), |(name, version)| (name, Some(version)));
        let version = version.map(parse_version).transpose()?;
        let mut ticket = Self { version, ..Self::current(TableName::parse(name)?) };
        for option in options.into_iter().flat_map(|options| options.split('&')) {
            ticket.set_option(option)?;
        }
        Ok(ticket)
    }
}

impl PlainTicket {
    fn set_option(&mut self, option: &str) -> Result<()> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let repeated = match key {
            "id" => self.table_id.replace(value.parse()?).is_some(),
            "rows" => self.rows.replace(value.parse()?).is_some(),
            _ => {
                let message = format!("a ticket has the unknown option `{}`", key.escape_debug());
                return Err(Error::new(codes::TICKET_INVALID, message).hint("valid options: id, rows"));
            }
        };
        if repeated {
            return Err(Error::new(codes::TICKET_INVALID, format!("a ticket has the option `{key}` twice")).hint(HINT));
        }
        Ok(())
    }
}

fn parse_version(text: &str) -> Result<Version> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let version = if digits { text.parse().ok().and_then(Version::new) } else { None };
    version.ok_or_else(|| {
        Error::new(codes::TICKET_INVALID, format!("`{}` is no version", text.escape_debug()))
            .hint("versions are whole numbers from 1: prices@7")
    })
}

fn refuse_later_forms(text: &str) -> Result<()> {
    if !text.starts_with("plan:") && !is_run(text) {
        return Ok(());
    }
    Err(Error::new(codes::NOT_IMPLEMENTED, "calculation plans are not implemented")
        .hint("read a table by its name: prices"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_reads() {
        for text in [
            "prices",
            "prices@7",
            "eu/prices@18446744073709551615",
            "prices?rows=0-1000",
            "prices@7?id=00112233445566778899aabbccddeeff&rows=5-5",
        ] {
            assert_eq!(text.parse::<PlainTicket>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_ticket() {
        for text in [
            "",
            "@7",
            "prices@",
            "prices@0",
            "prices@-1",
            "prices@+7",
            "prices@7@8",
            "prices?",
            "prices?rows",
            "prices?rows=5-1",
            "prices?rows=1-2&rows=1-2",
            "prices?rows=+1-2",
            "prices?limit=3",
            "prices@7?id=xyz",
            "../x",
            "prices@99999999999999999999",
        ] {
            let error = text.parse::<PlainTicket>().expect_err(text);
            assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn names_the_forms_that_come_later() {
        for text in ["plan:forecast?region=EU", "PLAN-123"] {
            assert_eq!(text.parse::<PlainTicket>().expect_err(text).code(), codes::NOT_IMPLEMENTED, "{text}");
        }
    }
}
