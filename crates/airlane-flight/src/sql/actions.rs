//! The actions of Flight SQL: prepared statements, and what there is not.

use std::time::Instant;

use airlane_exchange::Exchange;
use airlane_model::{Caller, Error, QueryTicket, Result};
use airlane_segment::TableSchema;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, ProstMessageExt,
};
use bytes::Bytes;
use prost::Message as _;

use super::info::planned;
use super::{COMMAND_BYTES_MAX, Prepared, not_implemented, unreadable};
use crate::service::body::check_size;
use crate::service::info::encapsulated;

/// Prepares a statement: it is planned, and nothing is computed.
///
/// # Errors
/// Those of [`Exchange::plan_query`]; `rate_limited`.
pub(crate) async fn prepare(
    exchange: &Exchange,
    caller: &Caller,
    prepared: &Prepared,
    body: &Bytes,
) -> Result<Vec<u8>> {
    let request: ActionCreatePreparedStatementRequest = unpacked("CreatePreparedStatement", body)?;
    if request.transaction_id.is_some_and(|id| !id.is_empty()) {
        return Err(transactions());
    }
    let (rows, parameters) = planned(exchange, caller, QueryTicket::new(request.query.clone())).await?;
    let parameters = TableSchema::from_arrow(&parameters)?;
    let handle = prepared.keep(caller, exchange.chance(), request.query, Instant::now())?;
    let result = ActionCreatePreparedStatementResult {
        prepared_statement_handle: handle.into(),
        dataset_schema: encapsulated(&rows),
        parameter_schema: encapsulated(&parameters),
    };
    Ok(result.as_any().encode_to_vec())
}

/// Forgets a prepared statement.
///
/// # Errors
/// `message_invalid`.
pub(crate) fn close(caller: &Caller, prepared: &Prepared, body: &Bytes) -> Result<()> {
    let request: ActionClosePreparedStatementRequest = unpacked("ClosePreparedStatement", body)?;
    prepared.close(caller, &request.prepared_statement_handle);
    Ok(())
}

/// What begins or ends a transaction is answered.
pub(crate) fn transactions() -> Error {
    not_implemented("transactions").hint("each statement is kept whole or not at all; leave autocommit on")
}

fn unpacked<M: ProstMessageExt + prost::Message + Default>(action: &str, body: &Bytes) -> Result<M> {
    check_size(action, body, COMMAND_BYTES_MAX, "send less text")?;
    let any = Any::decode(body.clone()).map_err(|error| unreadable("an action").source(error))?;
    let unpacked = any.unpack().map_err(|error| unreadable("an action").source(error))?;
    unpacked.ok_or_else(|| unreadable("an action"))
}
