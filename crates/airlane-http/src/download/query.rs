//! `POST /v1/sql`: a statement, answered as a download of its rows, or done where it changes tables.

use airlane_exchange::Exchange;
use airlane_exchange::words::StatementRequest;
use airlane_model::Result;
use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Asked;
use crate::body::read_json;
use crate::problem::Problem;

pub(crate) async fn run(asked: Asked, body: Body) -> Result<Response, Problem> {
    let statement: StatementRequest = read_json(body, &asked.state.patience, StatementRequest::HINT).await?;
    let query = statement.ticket()?;
    if !Exchange::is_change(&query)? {
        return asked.answer(&query.into()).await;
    }
    let changed = asked.state.exchange.execute(&asked.caller, &query).await?;
    Ok((StatusCode::CREATED, Json(changed)).into_response())
}
