//! What the door counts beside the requests, which the gate counts.
//!
//! | metric | labels | what |
//! | --- | --- | --- |
//! | `airlane_flight_bytes_total`, `airlane_flight_rows_total` | `direction` | DoGet (`out`) and DoPut (`in`) |
//! | `airlane_flight_panics_total` | | faults of the server that were caught |

use std::sync::Arc;

use airlane_model::{Caller, Trail};
use metrics::{Counter, counter};

/// The counters, made once so that a call costs no look-up. The recorder must be there before. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    bytes_in: Counter,
    bytes_out: Counter,
    rows_in: Counter,
    rows_out: Counter,
    panics: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            bytes_in: counter!("airlane_flight_bytes_total", "direction" => "in"),
            bytes_out: counter!("airlane_flight_bytes_total", "direction" => "out"),
            rows_in: counter!("airlane_flight_rows_total", "direction" => "in"),
            rows_out: counter!("airlane_flight_rows_total", "direction" => "out"),
            panics: counter!("airlane_flight_panics_total"),
        }
    }
}

impl Metrics {
    /// What a read sends.
    pub(crate) fn sent(&self, caller: &Caller) -> Traffic {
        Traffic { bytes: self.bytes_out.clone(), rows: self.rows_out.clone(), trail: caller.trail().cloned() }
    }

    /// What a put takes.
    pub(crate) fn received(&self, caller: &Caller) -> Traffic {
        Traffic { bytes: self.bytes_in.clone(), rows: self.rows_in.clone(), trail: caller.trail().cloned() }
    }

    /// Counts a fault of the server that was caught.
    pub(crate) fn count_panic(&self) {
        self.panics.increment(1);
    }
}

/// Bytes and rows in one direction, of a request and in all.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    bytes: Counter,
    rows: Counter,
    trail: Option<Arc<Trail>>,
}

impl Traffic {
    /// Counts bytes.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.increment(bytes);
    }

    /// Counts rows.
    pub(crate) fn add_rows(&self, rows: u64) {
        self.rows.increment(rows);
        if let Some(trail) = &self.trail {
            trail.add_rows(rows);
        }
    }
}
