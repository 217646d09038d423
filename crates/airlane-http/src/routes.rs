//! All HTTP paths, in one list.

use airlane_model::{Caller, Error, Result, codes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Json, Router};

use crate::problem::Problem;
use crate::readiness::Report;
use crate::{HttpState, metrics};

const INDEX_PATH: &str = "/";
const HEALTH_PATH: &str = "/healthz";
const READINESS_PATH: &str = "/readyz";
const METRICS_PATH: &str = "/metrics";

/// The routes of the door. Whom a request is from stands in its extensions; without a caller there it may do nothing.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route(INDEX_PATH, get(index))
        .route(HEALTH_PATH, get(|| async { "ok\n" }))
        .route(READINESS_PATH, get(readyz))
        .route(METRICS_PATH, get(metrics_text))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(state)
}

/// Whether a path is for probes, which bring no credentials and learn nothing of any table.
pub fn is_probe(path: &str) -> bool {
    [HEALTH_PATH, READINESS_PATH].contains(&path)
}

/// Whether a path is for whoever watches the server, also while it stops.
pub fn is_watching(path: &str) -> bool {
    is_probe(path) || path == METRICS_PATH
}

/// All paths there are.
pub const PATHS: [&str; 4] = [INDEX_PATH, HEALTH_PATH, READINESS_PATH, METRICS_PATH];

/// What requests to [`PATHS`] are called, each at its place, and one to any other path at the end.
pub fn names() -> impl Iterator<Item = &'static str> {
    PATHS.into_iter().chain(["no such path"])
}

/// The place of a path among the [`names`].
pub fn name_of(path: &str) -> usize {
    PATHS.iter().position(|known| *known == path).unwrap_or(PATHS.len())
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

async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let report = Report::of(state.readiness.checks());
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn metrics_text(
    State(state): State<HttpState>,
    caller: Option<Extension<Caller>>,
) -> Result<impl IntoResponse, Problem> {
    let Extension(caller) = caller.unwrap_or_else(|| Extension(Caller::nobody()));
    caller.check_admin().map_err(Problem)?;
    (state.refresh_metrics)();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render()))
}

async fn unknown(method: Method, uri: Uri) -> Problem {
    let message = format!("there is no `{method} {}`", uri.path().escape_debug());
    let error = Error::new(codes::ROUTE_NOT_FOUND, message);
    Problem(error.hint("there are GET /, /healthz, /readyz and /metrics; tables are read and put over Arrow Flight"))
}

#[cfg(test)]
mod tests;
