//! What the routes need.

use std::sync::Arc;

use airlane_exchange::Exchange;
use airlane_exchange::words::Figures;
use airlane_format::ReadOptions;
use airlane_gate::Patience;

use crate::readiness::Check;
use crate::upload::parts::Uploads;

/// Tells whether the server is ready.
pub trait Readiness: Send + Sync {
    /// What was looked at, each with what is wrong. It is ready when none is failing.
    fn checks(&self) -> Vec<Check>;
}

/// What the routes need.
#[derive(Clone)]
pub struct HttpState {
    /// The tables.
    pub exchange: Exchange,
    /// The uploads that can be gone on with.
    pub uploads: Uploads,
    /// How uploads are read, but for what each says of itself.
    pub reading: ReadOptions,
    /// What tells one life of the server from another.
    pub life: String,
    /// How long clients may take to send.
    pub patience: Patience,
    /// Tells how the server does.
    pub figures: Arc<dyn Figures>,
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
