//! All routes, in one list.

use airlane_model::{Error, Result, codes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, head, patch, post, put};
use axum::{Json, Router};

use crate::problem::Problem;
use crate::readiness::Report;
use crate::request::From;
use crate::upload::parts;
use crate::{HttpState, changes, contracts, download, metrics, openapi, page, tables, tickets, upload};

/// A request that is answered.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method and its path, where the last part in braces stands for all that follows.
    pub name: &'static str,
    /// Whether it is a stream of data, one way or the other.
    pub is_stream: bool,
}

const fn call(name: &'static str) -> Route {
    Route { name, is_stream: false }
}

const fn stream(name: &'static str) -> Route {
    Route { name, is_stream: true }
}

/// All there are.
pub const ROUTES: [Route; 34] = [
    call("GET /"),
    call("GET /healthz"),
    call("GET /readyz"),
    call("GET /metrics"),
    call("GET /v1/tables"),
    stream("GET /v1/tables/{name}"),
    call("HEAD /v1/tables/{name}"),
    stream("PUT /v1/tables/{name}"),
    stream("POST /v1/tables/{name}"),
    call("DELETE /v1/tables/{name}"),
    stream("GET /v1/tickets/{ticket}"),
    call("HEAD /v1/tickets/{ticket}"),
    call("POST /v1/tickets"),
    stream("POST /v1/sql"),
    call("GET /v1/schemas/{name}"),
    call("GET /v1/versions/{name}"),
    call("GET /v1/stats/{name}"),
    call("GET /v1/retention/{name}"),
    call("PATCH /v1/retention/{name}"),
    call("HEAD /v1/uploads/{id}"),
    stream("PATCH /v1/uploads/{id}"),
    call("DELETE /v1/uploads/{id}"),
    call("GET /v1/contracts"),
    call("PUT /v1/contracts/{name}"),
    call("GET /v1/contracts/{name}"),
    call("GET /v1/contract-changes/{name}"),
    call("PUT /v1/bindings"),
    call("DELETE /v1/bindings"),
    stream("GET /v1/changes"),
    call("GET /v1/status"),
    call("POST /v1/keys/rotate"),
    call("GET /v1/openapi.json"),
    call("GET /docs"),
    call("GET /docs/{file}"),
];

/// What answers a route.
fn handler(name: &str) -> Option<MethodRouter<HttpState>> {
    Some(match name {
        "GET /" => get(index),
        "GET /healthz" => get(|| async { "ok\n" }),
        "GET /readyz" => get(readyz),
        "GET /metrics" => get(metrics_text),
        "GET /v1/tables" => get(tables::list),
        "GET /v1/tables/{name}" => get(download::table),
        "HEAD /v1/tables/{name}" => head(download::head_of_table),
        "PUT /v1/tables/{name}" => put(upload::put),
        "POST /v1/tables/{name}" => post(upload::put),
        "DELETE /v1/tables/{name}" => delete(tables::drop_table),
        "GET /v1/tickets/{ticket}" => get(download::ticket),
        "HEAD /v1/tickets/{ticket}" => head(download::head_of_ticket),
        "POST /v1/tickets" => post(tickets::sign),
        "POST /v1/sql" => post(download::query::run),
        "GET /v1/schemas/{name}" => get(tables::schema),
        "GET /v1/versions/{name}" => get(tables::versions),
        "GET /v1/stats/{name}" => get(tables::statistics),
        "GET /v1/retention/{name}" => get(tables::retention),
        "PATCH /v1/retention/{name}" => patch(tables::set_retention),
        "HEAD /v1/uploads/{id}" => head(parts::look),
        "PATCH /v1/uploads/{id}" => patch(parts::part),
        "DELETE /v1/uploads/{id}" => delete(parts::cancel),
        "GET /v1/contracts" => get(contracts::list),
        "PUT /v1/contracts/{name}" => put(contracts::register),
        "GET /v1/contracts/{name}" => get(contracts::show),
        "GET /v1/contract-changes/{name}" => get(contracts::differences),
        "PUT /v1/bindings" => put(contracts::bind),
        "DELETE /v1/bindings" => delete(contracts::unbind),
        "GET /v1/changes" => get(changes::events),
        "GET /v1/status" => get(tickets::status),
        "POST /v1/keys/rotate" => post(tickets::rotate_keys),
        "GET /v1/openapi.json" => get(openapi::json),
        "GET /docs" => get(page::page),
        "GET /docs/{file}" => get(page::file),
        _ => return None,
    })
}

/// The routes of the door. Whom a request is from stands in its extensions; without a caller there it may do nothing.
pub fn router(state: HttpState) -> Router {
    let mut router = Router::new();
    for Route { name, .. } in ROUTES {
        let (Some((_, path)), Some(handler)) = (name.split_once(' '), handler(name)) else { continue };
        router = router.route(&path.replace('{', "{*"), handler);
    }
    router.fallback(unknown).method_not_allowed_fallback(unknown).with_state(state)
}

const HEALTH_PATH: &str = "/healthz";
const READINESS_PATH: &str = "/readyz";
const METRICS_PATH: &str = "/metrics";

/// Whether a path is for probes, which bring no credentials and learn nothing of any table.
pub fn is_probe(path: &str) -> bool {
    [HEALTH_PATH, READINESS_PATH].contains(&path)
}

/// Whether a path is for whoever watches the server, also while it stops.
pub fn is_watching(path: &str) -> bool {
    is_probe(path) || path == METRICS_PATH
}

/// The place of a request among the [`ROUTES`]; behind the last for one that is not answered.
pub fn name_of(method: &Method, path: &str) -> usize {
    let is_it = |route: &Route| {
        let Some((of, pattern)) = route.name.split_once(' ') else { return false };
        let fits = match pattern.split_once('{') {
            Some((beginning, _)) => path.len() > beginning.len() && path.starts_with(beginning),
            None => path == pattern,
        };
        of == method.as_str() && fits
    };
    ROUTES.iter().position(is_it).unwrap_or(ROUTES.len())
}

/// Whether a request is a stream of data.
pub fn is_stream(method: &Method, path: &str) -> bool {
    ROUTES.get(name_of(method, path)).is_some_and(|route| route.is_stream)
}

const INDEX: &str = "\
Airlane: Arrow tables by ticket.

This port speaks Arrow Flight (gRPC) and HTTP. Over Flight:

    import pyarrow.flight
    client = pyarrow.flight.connect(\"grpc://<this host>:<this port>\")
    table = client.do_get(pyarrow.flight.Ticket(b\"<name>\")).read_all()

Over HTTP:

    curl -T prices.csv http://<this host>:<this port>/v1/tables/prices
    curl \"http://<this host>:<this port>/v1/tables/prices?format=csv&limit=10\"

GET /docs is a page with all requests, and GET /v1/openapi.json tells them to programs. GET /v1/tables lists the tables; GET /healthz, /readyz and /metrics tell how the server does.
";

async fn index() -> impl IntoResponse {
    INDEX
}

async fn readyz(State(state): State<HttpState>) -> impl IntoResponse {
    let report = Report::of(state.readiness.checks());
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn metrics_text(State(state): State<HttpState>, From(caller): From) -> Result<impl IntoResponse, Problem> {
    caller.check_admin()?;
    (state.refresh_metrics)();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::render()))
}

async fn unknown(method: Method, uri: Uri) -> Problem {
    let message = format!("there is no `{method} {}`", uri.path().escape_debug());
    let error = Error::new(codes::ROUTE_NOT_FOUND, message);
    Problem(error.hint("GET / tells what there is: tables are at /v1/tables/{name}"))
}

#[cfg(test)]
pub(crate) mod tests;
