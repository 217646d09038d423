//! How statements name tables.
//!
//! ```text
//! prices            eu.prices            "eu/fx/spot"            eu."fx/spot"
//! prices@7          eu.prices@7          "eu/fx/spot@7"          prices VERSION AS OF 7
//! ```
//!
//! The schema of a name is its namespace. As in any SQL, letters without quotes are small ones.

use airlane_model::name::NAMESPACE_DEFAULT;
use airlane_model::{Error, PlainTicket, Result, TableId, TableName, Version, codes};
use datafusion::common::TableReference;

/// The catalog that all tables are in.
pub const CATALOG: &str = "airlane";

/// A table as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableRef {
    /// Its name.
    pub table: TableName,
    /// The version, where the statement says one.
    pub version: Option<Version>,
    /// The identity that the table must have, where the statement says one: `"prices@7?id=…"`.
    pub table_id: Option<TableId>,
}

impl TableRef {
    /// By the schema and the name in it.
    ///
    /// # Errors
    /// `table_name_invalid`, `ticket_invalid` for a version that is none.
    pub(crate) fn of(schema: &str, name: &str) -> Result<Self> {
        let text = if schema == NAMESPACE_DEFAULT { name.to_owned() } else { format!("{schema}/{name}") };
        let PlainTicket { table, version, table_id, rows } = text.parse()?;
        if rows.is_some() {
            return Err(Error::new(
                codes::TICKET_INVALID,
                format!("`{text}` names rows, and a query reads a table whole"),
            )
            .hint("use OFFSET and LIMIT"));
        }
        Ok(Self { table, version, table_id })
    }

    /// By a reference.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn of_reference(reference: &TableReference) -> Result<Self> {
        Self::of(reference.schema().unwrap_or(NAMESPACE_DEFAULT), reference.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_namespaces_and_a_name_may_be_a_path() {
        for (schema, name, table, version) in [
            ("default", "prices", "prices", None),
            ("default", "eu/prices", "eu/prices", None),
            ("eu", "prices", "eu/prices", None),
            ("eu", "fx/spot@7", "eu/fx/spot", Version::new(7)),
            ("default", "prices@7", "prices", Version::new(7)),
        ] {
            let found = TableRef::of(schema, name).expect(name);
            assert_eq!((found.table.as_str(), found.version), (table, version));
        }
        for (schema, name) in
            [("default", "../x"), ("default", "prices@0"), ("default", "prices?rows=0-1"), ("", "x"), ("e u", "x")]
        {
            assert!(TableRef::of(schema, name).is_err(), "{schema} {name}");
        }
        assert_eq!("eu/fx/spot".parse::<TableName>().expect("a name").in_namespace(), "fx/spot");
        assert_eq!("prices".parse::<TableName>().expect("a name").in_namespace(), "prices");
    }
}
