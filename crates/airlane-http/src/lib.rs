//! The HTTP door: health, readiness and metrics. The only crate that knows HTTP routes.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /` | what this is, as text |
//! | `GET /healthz` | `200 ok` while the process runs |
//! | `GET /readyz` | `200` when requests will be served, else `503`, with each check as JSON |
//! | `GET /metrics` | Prometheus text, to callers who have the right `admin` for all namespaces |
//!
//! Errors are problem documents (RFC 9457), which name their code in the header `airlane-code` too.

pub mod metrics;
mod problem;
mod readiness;
mod routes;

use std::sync::Arc;

pub use problem::refusal;
pub use readiness::{Check, Health};
pub use routes::{PATHS, is_probe, is_watching, name_of, names, router};

/// Tells whether the server is ready.
pub trait Readiness: Send + Sync {
    /// What was looked at, each with what is wrong. It is ready when none is failing.
    fn checks(&self) -> Vec<Check>;
}

/// What the routes need.
#[derive(Clone)]
pub struct HttpState {
    /// Asked by `/readyz`.
    pub readiness: Arc<dyn Readiness>,
    /// Called before the metrics are rendered, for those that are counted elsewhere.
    pub refresh_metrics: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for HttpState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpState").finish_non_exhaustive()
    }
}
