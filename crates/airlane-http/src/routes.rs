//! All HTTP paths, in one list.

use airlane_model::{Error, codes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::problem::Problem;
use crate::{HttpState, metrics};

/// The routes of the door.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(state)
}

const INDEX: &str = "\
Airlane: Arrow tables by ticket.

This port speaks Arrow Flight (gRPC) and HTTP. Tables are put and read over Flight:

    import pyarrow.flight
    client = pyarrow.flight.connect(\"grpc://<this host>:<this port>\")
    table = client.do_get(pyarrow.flight.Ticket(b\"<name>\")).read_all()

Over HTTP: GET /healthz, GET /readyz, GET /metrics.
";

async fn index() -> impl IntoResponse {
    INDEX
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
}

async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let reasons = state.readiness.reasons();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, reasons }))
}

async fn metrics_text() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render())
}

async fn unknown(method: Method, uri: Uri) -> Problem {
    let message = format!("there is no `{method} {}`", uri.path().escape_debug());
    let error = Error::new(codes::ROUTE_NOT_FOUND, message);
    Problem(error.hint("there are GET /, /healthz, /readyz and /metrics; tables are read and put over Arrow Flight"))
}

#[cfg(test)]
mod tests;
