//! FlightInfo and schemas of commands, and the rows of those that ask what there is.

use std::time::Instant;

use airlane_exchange::{Exchange, ReadStream};
use airlane_model::{Caller, Error, QueryTicket, Result, codes};
use airlane_segment::TableSchema;
use arrow_flight::sql::Command;
use arrow_flight::{FlightDescriptor, FlightInfo};
use arrow_schema::{DataType, Field, Schema};

use super::prepared::{Prepared, ticket};
use super::{metadata, not_implemented};
use crate::service::info::{of_command, of_query};

/// The column of what a statement did that changes tables and was asked as a query.
const ROWS: &str = "rows";

/// The info of a command.
///
/// # Errors
/// Those of [`Exchange::plan_query`] and [`Exchange::execute`]; `statement_not_found`; `not_implemented`.
pub(crate) async fn info(
    exchange: &Exchange,
    caller: &Caller,
    prepared: &Prepared,
    command: Command,
    descriptor: FlightDescriptor,
    is_plain: bool,
) -> Result<FlightInfo> {
    let (sql, values) = match command {
        Command::CommandStatementQuery(query) => (query.query, None),
        Command::CommandPreparedStatementQuery(query) => {
            prepared.find(caller, &query.prepared_statement_handle, Instant::now())?
        }
        command => {
            let batch = metadata::batch(exchange, caller, command)?;
            let schema = TableSchema::from_arrow(batch.schema_ref())?;
            return Ok(of_command(&schema, batch.num_rows(), descriptor));
        }
    };
    let query = ticket(sql, values.as_ref())?;
    if !Exchange::is_change(&query)? {
        return of_query(exchange, caller, &query, descriptor, is_plain).await;
    }
    // Drivers that do not know what a statement does ask it as a query. It is done now, and once: whoever reads the rows again
    // reads the number again.
    let changed = exchange.execute(caller, &query).await?;
    let done = QueryTicket::new(format!("SELECT CAST({} AS BIGINT) AS {ROWS}", changed.rows));
    of_query(exchange, caller, &done, descriptor, is_plain).await
}

/// The schema of a command's rows. Nothing is done.
///
/// # Errors
/// As [`info`].
pub(crate) async fn schema(
    exchange: &Exchange,
    caller: &Caller,
    prepared: &Prepared,
    command: Command,
) -> Result<TableSchema> {
    let sql = match command {
        Command::CommandStatementQuery(query) => query.query,
        Command::CommandPreparedStatementQuery(query) => {
            prepared.find(caller, &query.prepared_statement_handle, Instant::now())?.0
        }
        command => return TableSchema::from_arrow(metadata::batch(exchange, caller, command)?.schema_ref()),
    };
    planned(exchange, caller, QueryTicket::new(sql)).await.map(|(schema, _)| schema)
}

/// The columns of a statement, and those of its parameters.
pub(super) async fn planned(exchange: &Exchange, caller: &Caller, query: QueryTicket) -> Result<(TableSchema, Schema)> {
    if Exchange::is_change(&query)? {
        let changed = Schema::new(vec![Field::new(ROWS, DataType::Int64, false)]);
        let parameters = exchange.parameters_of_change(caller, &query).await?;
        return Ok((TableSchema::from_arrow(&changed)?, parameters.as_ref().clone()));
    }
    let plan = exchange.plan_query(caller, &query).await?;
    Ok((plan.schema, plan.parameters.as_ref().clone()))
}

/// The rows of a command that asks what there is.
///
/// # Errors
/// `not_implemented` for others: what a query gives has a ticket of its own.
pub(crate) fn answer(exchange: &Exchange, caller: &Caller, command: Command) -> Result<ReadStream> {
    match command {
        Command::TicketStatementQuery(_) => {
            Err(Error::new(codes::TICKET_INVALID, "a ticket of a statement that this server did not give")
                .hint("pass the ticket on as GetFlightInfo gave it"))
        }
        Command::CommandStatementQuery(_) | Command::CommandPreparedStatementQuery(_) => {
            Err(not_implemented("tickets that are statements")
                .hint("ask GetFlightInfo for the ticket of the statement"))
        }
        command => exchange.answer_with(metadata::batch(exchange, caller, command)?),
    }
}
