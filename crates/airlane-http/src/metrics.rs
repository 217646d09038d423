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

/// One value of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The metric's name, for a histogram with its ending.
    pub name: &'a str,
    labels: &'a str,
    /// The value.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// The value of a label. Those of this program hold neither quotes nor commas.
    pub fn label(&self, key: &str) -> Option<&'a str> {
        let mut labels = self.labels.split(',').filter_map(|label| label.split_once('='));
        labels.find(|(known, _)| *known == key).map(|(_, value)| value.trim_matches('"'))
    }

    fn parse(line: &'a str) -> Option<Self> {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        Some(Self { name, labels: labels.trim_end_matches('}'), value: value.parse().ok()? })
    }
}

/// Each value that would be rendered. The recorder of the `metrics` crate can be read by its text alone.
pub fn samples(mut each: impl FnMut(&Sample<'_>)) {
    let text = render();
    text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).for_each(|sample| each(&sample));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_sample_with_its_labels() {
        let sample =
            Sample::parse("airlane_requests_total{rpc=\"DoGet\",kind=\"ok\",code=\"ok\"} 17").expect("a sample");
        assert_eq!(
            (sample.name, sample.label("rpc"), sample.label("kind")),
            ("airlane_requests_total", Some("DoGet"), Some("ok"))
        );
        assert_eq!((sample.value, sample.label("absent")), (17.0, None));
        let sample = Sample::parse("process_cpu_seconds_total 0.25").expect("a sample");
        assert_eq!((sample.name, sample.value, sample.label("rpc")), ("process_cpu_seconds_total", 0.25, None));
        assert!(Sample::parse("").is_none() && Sample::parse("word").is_none());
    }
}
