//! Rows, bytes and rate while a table moves: on stderr, and only when that is a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;

const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Counts what moves. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    rows: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to count; `rows_total` gives the bar a length. Silent where nobody watches, or when `quiet`.
    pub(crate) fn begin(quiet: bool, rows_total: Option<u64>) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(rows_total, ProgressDrawTarget::stderr());
            let template = match rows_total {
                Some(_) => "{bar:30} {percent:>3}%  {msg}",
                None => "{spinner} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━━ "));
            }
            bar.enable_steady_tick(REDRAW_INTERVAL);
            bar
        });
        Self { rows: Arc::default(), bytes: Arc::default(), begun: Instant::now(), bar }
    }

    /// Counts a batch.
    pub(crate) fn add(&self, batch: &RecordBatch) {
        let rows = self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed) + batch.num_rows() as u64;
        if let Some(bar) = &self.bar {
            let payload_bytes = airlane_client::payload_bytes(batch);
            let bytes = self.bytes.fetch_add(payload_bytes, Ordering::Relaxed) + payload_bytes;
            let rate = (bytes as f64 / self.begun.elapsed().as_secs_f64().max(1e-3)) as u64;
            bar.set_position(rows);
            bar.set_message(format!(
                "{}  {}  {}/s",
                human::counted(rows, "row"),
                human::bytes(bytes),
                human::bytes(rate)
            ));
        }
    }

    /// Takes the bar away, and tells what was counted.
    pub(crate) fn end(&self) -> Moved {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        Moved { rows: self.rows.load(Ordering::Relaxed), time: self.begun.elapsed() }
    }
}

/// What moved, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) rows: u64,
    pub(crate) time: Duration,
}
