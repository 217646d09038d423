//! What there is, as the rows that Flight SQL prescribes.

use std::sync::Arc;

use airlane_exchange::{CATALOG, Exchange};
use airlane_model::{Caller, Error, PlainTicket, Result, TableInfo, codes};
use arrow_array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use arrow_schema::{DataType, Field, Schema};

use super::{facts, not_implemented, types};

/// The kind of every table.
const TABLE: &str = "TABLE";

/// The rows of a command.
///
/// # Errors
/// `not_implemented` for a command that does not ask what there is.
pub(super) fn batch(exchange: &Exchange, caller: &Caller, command: Command) -> Result<RecordBatch> {
    match command {
        Command::CommandGetCatalogs(query) => catalogs(query).map_err(fault),
        Command::CommandGetDbSchemas(query) => schemas(exchange, caller, query).map_err(fault),
        Command::CommandGetTables(query) => tables(exchange, caller, query),
        Command::CommandGetTableTypes(query) => table_types(query).map_err(fault),
        Command::CommandGetSqlInfo(query) => query.into_builder(facts::facts()?).build().map_err(fault),
        Command::CommandGetXdbcTypeInfo(query) => types::types()?.record_batch(query.data_type).map_err(fault),
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(Arc::new(primary_keys()))),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(Arc::new(foreign_keys()))),
        _ => Err(not_implemented("commands of Flight SQL other than statements and what there is")),
    }
}

fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    rows.append(CATALOG);
    rows.build()
}

fn schemas(exchange: &Exchange, caller: &Caller, query: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut names: Vec<String> =
        exchange.list(caller, "").iter().map(|table| table.table.namespace().to_owned()).collect();
    names.sort();
    names.dedup();
    let mut rows = query.into_builder();
    names.iter().for_each(|name| rows.append(CATALOG, name));
    rows.build()
}

fn tables(exchange: &Exchange, caller: &Caller, query: CommandGetTables) -> Result<RecordBatch> {
    let has_schema = query.include_schema;
    let mut rows = query.into_builder();
    let nothing = Schema::empty();
    for TableInfo { table, .. } in exchange.list(caller, "") {
        let described = match has_schema {
            false => None,
            true => match exchange.describe(caller, &PlainTicket::current(table.clone())) {
                Ok(described) => Some(described.schema),
                // Dropped since the list was made.
                Err(_) => continue,
            },
        };
        let columns = described.as_ref().map_or(&nothing, |schema| schema.arrow().as_ref());
        rows.append(CATALOG, table.namespace(), table.in_namespace(), TABLE, columns).map_err(fault)?;
    }
    rows.build().map_err(fault)
}

fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut rows = query.into_builder();
    rows.append(TABLE);
    rows.build()
}

/// As the comment of `CommandGetPrimaryKeys` in `FlightSql.proto` has it.
fn primary_keys() -> Schema {
    Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ])
}

/// As the comments of `CommandGetExportedKeys`, `CommandGetImportedKeys` and `CommandGetCrossReference` have it.
fn foreign_keys() -> Schema {
    Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ])
}

fn fault(error: FlightError) -> Error {
    Error::new(codes::INTERNAL, "what there is cannot be told").source(error)
}
