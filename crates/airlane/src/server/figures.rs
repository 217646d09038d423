//! The figures of the action `status`: what the metrics say, in one answer.

use std::sync::Arc;

use airlane_exchange::Exchange;
use airlane_http::Readiness;
use airlane_http::metrics::{Sample, samples};
use airlane_model::figures::ServerFigures;
use airlane_store::Store;
use tokio::time::Instant;

use super::metrics;
use super::status::ServerStatus;

/// Tells the figures of a server.
#[derive(Debug)]
pub(super) struct Figures {
    store: Store,
    exchange: Exchange,
    status: Arc<ServerStatus>,
    begun: Instant,
}

impl Figures {
    /// Of a server that begins now.
    pub(super) fn new(store: Store, exchange: Exchange, status: Arc<ServerStatus>) -> Self {
        Self { store, exchange, status, begun: Instant::now() }
    }
}

impl airlane_exchange::words::Figures for Figures {
    fn now(&self) -> ServerFigures {
        metrics::refresh(&self.store, &self.exchange);
        let failing = self.status.checks().into_iter().filter(|check| check.health == airlane_http::Health::Failing);
        let mut figures = ServerFigures {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.begun.elapsed().as_secs_f64(),
            reasons: failing.map(|check| check.message.into_owned()).collect(),
            ..ServerFigures::default()
        };
        samples(|sample| add(&mut figures, sample));
        figures
    }
}

fn add(figures: &mut ServerFigures, sample: &Sample<'_>) {
    let count = whole(sample.value);
    match (sample.name, sample.label("direction")) {
        ("airlane_requests_total", _) => {
            figures.requests += count;
            if sample.label("kind") != Some("ok") {
                figures.requests_failed += count;
            }
        }
        ("airlane_requests_open", _) if count > 0 => {
            figures.open.insert(sample.label("rpc").unwrap_or_default().to_owned(), count);
        }
        ("airlane_flight_rows_total", Some("in")) => figures.rows_in = count,
        ("airlane_flight_rows_total", Some("out")) => figures.rows_out = count,
        ("airlane_flight_bytes_total", Some("in")) => figures.bytes_in = count,
        ("airlane_flight_bytes_total", Some("out")) => figures.bytes_out = count,
        ("airlane_tables", _) => figures.tables += count,
        ("airlane_segments", _) => figures.segments += count,
        ("airlane_table_bytes", _) => figures.table_bytes += count,
        ("airlane_memory_limit_bytes", _) => figures.budget_bytes = count,
        ("airlane_memory_bytes", _) => {
            figures.budget_used.insert(sample.label("use").unwrap_or_default().to_owned(), count);
        }
        ("airlane_memory_spilled_bytes", _) => figures.spilled_bytes = count,
        ("process_resident_memory_bytes", _) => figures.memory_bytes = count,
        ("process_open_fds", _) => figures.descriptors = count,
        ("process_cpu_seconds_total", _) => figures.cpu_seconds = sample.value,
        _ => {}
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
fn whole(value: f64) -> u64 {
    value as u64
}
