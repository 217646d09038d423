//! The process's metrics, rendered as Prometheus text.
//!
//! The doors count with the macros of the `metrics` crate; the recorder behind them is one for the process.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once for the process; later calls do nothing.
pub fn install() {
    RECORDER.get_or_init(|| {
        let recorder = recorder();
        let handle = recorder.handle();
        // Fails only where the program has installed a recorder of its own, which then gets the counts.
        let _ = metrics::set_global_recorder(recorder);
        handle
    });
}

/// The bounds of all histograms, in seconds: from a read of a few rows to a stream of minutes.
const BUCKETS: [f64; 19] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

fn recorder() -> PrometheusRecorder {
    // Fails only where there are no bounds.
    PrometheusBuilder::new().set_buckets(&BUCKETS).unwrap_or_default().build_recorder()
}

/// Sorts in what was measured since the last time. To be called again and again: until then each measure costs memory.
pub fn upkeep() {
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}

/// The counts so far, in the text format of Prometheus.
pub(crate) fn render() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}
