//! A statement, read and weighed before anything is planned.
//!
//! The memory and the stack of planning are not bounded by the engine (threat Q2, Q3), so what is too large is refused by
//! what it looks like: its bytes, its operators, its nesting, and the tables that it reads once unfolded.

mod tokens;
mod unfolded;

use airlane_model::{Error, Result, TableName, codes};
use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    CreateTable, Ident, Insert, ObjectName, ObjectType, Query, Statement as Ast, TableObject,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use crate::error;
use crate::limits::NESTING_MAX;
use crate::name::TableRef;

const FORMS: &str = "there are SELECT, EXPLAIN, CREATE TABLE … AS, INSERT INTO and DROP TABLE";

/// A statement that gives rows, or that changes tables.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `SELECT`, `VALUES`, `EXPLAIN`, `SHOW TABLES`, `DESCRIBE`.
    Rows(Select),
    /// What the tables are after it is not what they were.
    Change(Change),
}

/// A statement that gives rows.
#[derive(Clone, Debug)]
pub struct Select(pub(crate) Box<Parsed>);

/// The rows of an `INSERT INTO`: they become columns of the table, cast to its types.
#[derive(Clone, Debug)]
pub struct Inserted(pub(crate) Box<Parsed>);

/// A statement that changes tables, to be done by who may put them.
#[derive(Clone, Debug)]
pub enum Change {
    /// `CREATE TABLE … AS`.
    Create {
        /// The table.
        table: TableName,
        /// Its rows.
        rows: Select,
        /// `OR REPLACE`: whatever is there is replaced.
        is_replacing: bool,
        /// `IF NOT EXISTS`: a table that is there stays as it is.
        is_if_absent: bool,
    },
    /// `INSERT INTO`.
    Insert {
        /// The table.
        table: TableName,
        /// The rows, as the table's.
        rows: Inserted,
    },
    /// `DROP TABLE`.
    Drop {
        /// The tables.
        tables: Vec<TableName>,
        /// `IF EXISTS`: those that are not there are no error.
        is_if_there: bool,
    },
}

impl Statement {
    /// Reads a text that is one statement.
    ///
    /// # Errors
    /// `sql_invalid` with the place; `statement_refused`; `statement_too_large`; `table_name_invalid`.
    pub fn parse(text: &str) -> Result<Self> {
        let tokens = tokens::of(text)?;
        // Parentheses are counted already; the parser goes deeper than they are nested.
        let parser =
            DFParserBuilder::new(tokens).with_dialect(&GenericDialect {}).with_recursion_limit(4 * NESTING_MAX);
        let parsed = parser.build().and_then(|mut parser| parser.parse_statements()).map_err(error::of_planning)?;
        let mut parsed = parsed.into_iter();
        let (Some(statement), None) = (parsed.next(), parsed.next()) else {
            return Err(Error::new(codes::SQL_INVALID, "a text is one statement, and this is none or several")
                .hint("send statements one at a time"));
        };
        Self::of(statement)
    }

    fn of(parsed: Parsed) -> Result<Self> {
        match parsed {
            Parsed::Statement(ast) => match *ast {
                Ast::CreateTable(create) => created(create).map(Self::Change),
                Ast::Insert(insert) => inserted(insert).map(Self::Change),
                Ast::Drop { object_type: ObjectType::Table, if_exists, names, .. } => {
                    let tables = names.iter().map(table_of).collect::<Result<_>>()?;
                    Ok(Self::Change(Change::Drop { tables, is_if_there: if_exists }))
                }
                Ast::Query(query) => select(query).map(Self::Rows),
                ast @ (Ast::ShowTables { .. } | Ast::ShowColumns { .. } | Ast::ExplainTable { .. }) => {
                    Ok(Self::Rows(Select(Box::new(Parsed::Statement(Box::new(ast))))))
                }
                other => Err(refused(&other.to_string())),
            },
            Parsed::Explain(explain) => match Self::of(*explain.statement.clone())? {
                Self::Rows(_) => Ok(Self::Rows(Select(Box::new(Parsed::Explain(explain))))),
                Self::Change(_) => Err(refused("EXPLAIN of a change").hint("explain the SELECT in it")),
            },
            other => Err(refused(&other.to_string())),
        }
    }
}

fn select(query: Box<Query>) -> Result<Select> {
    unfolded::check(&query)?;
    Ok(Select(Box::new(Parsed::Statement(Box::new(Ast::Query(query))))))
}

fn created(create: CreateTable) -> Result<Change> {
    let is_more = create.temporary
        || create.external
        || create.location.is_some()
        || create.file_format.is_some()
        || create.like.is_some()
        || create.clone.is_some()
        || !create.columns.is_empty()
        || !create.constraints.is_empty();
    let Some(query) = create.query.filter(|_| !is_more) else {
        return Err(Error::new(codes::STATEMENT_REFUSED, "a table is made of the rows of a query and of nothing else")
            .hint("write CREATE TABLE name AS SELECT …, with casts where types matter"));
    };
    Ok(Change::Create {
        table: table_of(&create.name)?,
        rows: select(query)?,
        is_replacing: create.or_replace,
        is_if_absent: create.if_not_exists,
    })
}

fn inserted(insert: Insert) -> Result<Change> {
    let is_more = insert.or.is_some()
        || insert.ignore
        || insert.replace_into
        || insert.overwrite
        || insert.on.is_some()
        || insert.returning.is_some()
        || insert.partitioned.is_some()
        || !insert.assignments.is_empty();
    let (TableObject::TableName(name), Some(query), false) = (&insert.table, &insert.source, is_more) else {
        return Err(Error::new(
            codes::STATEMENT_REFUSED,
            "rows are inserted at the end of a table and in no other way",
        )
        .hint("write INSERT INTO name SELECT …, or INSERT INTO name VALUES …"));
    };
    unfolded::check(query)?;
    let table = table_of(name)?;
    Ok(Change::Insert { table, rows: Inserted(Box::new(Parsed::Statement(Box::new(Ast::Insert(insert))))) })
}

fn table_of(name: &ObjectName) -> Result<TableName> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(normal)).collect();
    let found = match parts.as_deref() {
        Some([table]) => TableRef::of(airlane_model::name::NAMESPACE_DEFAULT, table)?,
        Some([schema, table]) => TableRef::of(schema, table)?,
        Some([catalog, schema, table]) if catalog == crate::name::CATALOG => TableRef::of(schema, table)?,
        _ => {
            return Err(Error::new(codes::SQL_INVALID, format!("`{name}` names no table"))
                .hint("write a name as prices, eu.prices or \"eu/fx/spot\""));
        }
    };
    if found.version.is_some() || found.table_id.is_some() {
        return Err(Error::new(codes::STATEMENT_REFUSED, format!("`{name}` is a version, which stays as it is"))
            .hint(format!("name the table: {}", found.table)));
    }
    Ok(found.table)
}

/// As SQL reads it: small letters, unless in quotes.
pub(crate) fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn refused(statement: &str) -> Error {
    let words: Vec<&str> = statement.split_whitespace().take(3).collect();
    Error::new(codes::STATEMENT_REFUSED, format!("`{}` is nothing that a statement may do here", words.join(" ")))
        .hint(FORMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_give_rows_or_change_tables() {
        for text in [
            "SELECT 1",
            "select * from prices; ",
            "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW TABLES",
            "DESCRIBE prices",
            "SELECT * FROM eu.prices VERSION AS OF 7 p",
            "SELECT * FROM prices@7",
        ] {
            assert!(matches!(Statement::parse(text), Ok(Statement::Rows(_))), "{text}: {:?}", Statement::parse(text));
        }
        let Ok(Statement::Change(Change::Create { table, is_replacing, is_if_absent, .. })) =
            Statement::parse("CREATE OR REPLACE TABLE eu.fx AS SELECT 1")
        else {
            panic!("a change")
        };
        assert_eq!((table.as_str(), is_replacing, is_if_absent), ("eu/fx", true, false));
        let Ok(Statement::Change(Change::Insert { table, .. })) =
            Statement::parse("INSERT INTO Prices (A, \"B\") VALUES (1, 2)")
        else {
            panic!("a change")
        };
        assert_eq!(table.as_str(), "prices");
        let Ok(Statement::Change(Change::Drop { tables, is_if_there })) =
            Statement::parse("DROP TABLE IF EXISTS \"eu/a\", b")
        else {
            panic!("a change")
        };
        assert_eq!(tables.iter().map(TableName::as_str).collect::<Vec<_>>(), ["eu/a", "b"]);
        assert!(is_if_there);
    }

    #[test]
    fn q1_q6_what_reaches_out_or_changes_settings_is_refused() {
        for text in [
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "COPY prices TO 's3://bucket/x' STORED AS CSV",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
            "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
            "SET datafusion.execution.batch_size = 1",
            "RESET datafusion.execution.batch_size",
            "SHOW ALL",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "DEALLOCATE p",
            "CREATE VIEW v AS SELECT 1",
            "CREATE DATABASE d",
            "CREATE SCHEMA s",
            "CREATE FUNCTION f() RETURNS INT RETURN 1",
            "CREATE TABLE t (a INT)",
            "CREATE TEMPORARY TABLE t AS SELECT 1",
            "DROP VIEW v",
            "DROP SCHEMA s",
            "DELETE FROM prices",
            "UPDATE prices SET a = 1",
            "TRUNCATE TABLE prices",
            "INSERT OVERWRITE prices SELECT 1",
            "START TRANSACTION",
            "ATTACH 'x' AS y",
            "LOAD 'x'",
            "INSTALL x",
            "EXPLAIN INSERT INTO prices VALUES (1)",
            "INSERT INTO prices@7 VALUES (1)",
            "DROP TABLE prices@7",
        ] {
            let error = Statement::parse(text).expect_err(text);
            assert!([codes::STATEMENT_REFUSED, codes::SQL_INVALID].contains(&error.code()), "{text}: {error}");
        }
    }

    #[test]
    fn a_fault_of_syntax_has_its_place() {
        let error = Statement::parse("SELECT a\n  FROM t WHERE )").expect_err("no statement");
        assert_eq!(error.code(), codes::SQL_INVALID);
        assert_eq!(error.place(), Some("line 2, column 16"), "{error}");
        for text in ["", ";", "SELECT 1; SELECT 2", "SELECT 'x", "\0", "SELECT 1 FROM \u{1f41f}"] {
            assert!(Statement::parse(text).is_err(), "{text}");
        }
    }
}
