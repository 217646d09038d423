//! The process's metrics, rendered as Prometheus text.
//!
//! The doors count with the macros of the `metrics` crate; the recorder behind them is one for the process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once for the process; later calls do nothing.
pub fn install() {
    RECORDER.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Fails only where the program has installed a recorder of its own, which then gets the counts.
        let _ = metrics::set_global_recorder(recorder);
        handle
    });
}

/// The counts so far, in the text format of Prometheus.
pub(crate) fn render() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}
