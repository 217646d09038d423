//! The HTTP door: tables by REST, health, readiness and metrics. The only crate that knows HTTP routes.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /` | what this is, as text |
//! | `GET /healthz` | `200 ok` while the process runs |
//! | `GET /readyz` | `200` when requests will be served, else `503`, with each check as JSON |
//! | `GET /metrics` | Prometheus text, to callers who have the right `admin` for all namespaces |
//! | `GET /v1/openapi.json` | all requests, as an OpenAPI document |
//! | `GET /docs` | the same as a page to try them |
//!
//! Errors are problem documents (RFC 9457), which name their code in the header `airlane-code` too.

mod body;
mod changes;
mod contracts;
mod download;
mod encoding;
mod media;
pub mod metrics;
mod openapi;
mod page;
mod problem;
mod readiness;
mod request;
mod routes;
mod state;
mod tables;
mod tickets;
mod upload;

pub use problem::refusal;
pub use readiness::{Check, Health};
pub use routes::{ROUTES, Route, is_probe, is_stream, is_watching, name_of, router};
pub use state::{HttpState, Readiness};
pub use upload::parts::Uploads;
