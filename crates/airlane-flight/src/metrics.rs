//! What the door counts.
//!
//! | metric | labels | what |
//! | --- | --- | --- |
//! | `airlane_flight_requests_total` | `rpc`, `code` | calls that ended |
//! | `airlane_flight_streams_open` | `rpc` | calls that run |
//! | `airlane_flight_bytes_total`, `airlane_flight_rows_total` | `direction` | DoGet (`out`) and DoPut (`in`) |
//! | `airlane_flight_panics_total` | | faults of the server that were caught |

use std::array;
use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, counter, gauge};
use tonic::Code;

use crate::paths::FLIGHT_SERVICE;

/// The RPCs that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// `DoGet`.
    DoGet,
    /// `DoPut`.
    DoPut,
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `PollFlightInfo`.
    PollFlightInfo,
    /// `GetSchema`.
    GetSchema,
    /// `ListFlights`.
    ListFlights,
    /// `DoAction`.
    DoAction,
    /// `ListActions`.
    ListActions,
    /// Any other, also of other services.
    Other,
}

impl Rpc {
    const ALL: [(Self, &str); 9] = [
        (Self::DoGet, "DoGet"),
        (Self::DoPut, "DoPut"),
        (Self::GetFlightInfo, "GetFlightInfo"),
        (Self::PollFlightInfo, "PollFlightInfo"),
        (Self::GetSchema, "GetSchema"),
        (Self::ListFlights, "ListFlights"),
        (Self::DoAction, "DoAction"),
        (Self::ListActions, "ListActions"),
        (Self::Other, "other"),
    ];

    /// The RPC of a request's path.
    pub(crate) fn of_path(path: &str) -> Self {
        let method = path.strip_prefix(FLIGHT_SERVICE);
        let found = method.and_then(|method| Self::ALL.iter().find(|(_, name)| *name == method));
        found.map_or(Self::Other, |(rpc, _)| *rpc)
    }

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

const CODES: usize = 17;

/// The counters, made once so that a call costs no look-up. The recorder must be there before.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: [[OnceLock<Counter>; CODES]; Rpc::ALL.len()],
    open: [Gauge; Rpc::ALL.len()],
    bytes_in: Counter,
    bytes_out: Counter,
    rows_in: Counter,
    rows_out: Counter,
    panics: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: array::from_fn(|_| array::from_fn(|_| OnceLock::new())),
            open: Rpc::ALL.map(|(_, name)| gauge!("airlane_flight_streams_open", "rpc" => name)),
            bytes_in: counter!("airlane_flight_bytes_total", "direction" => "in"),
            bytes_out: counter!("airlane_flight_bytes_total", "direction" => "out"),
            rows_in: counter!("airlane_flight_rows_total", "direction" => "in"),
            rows_out: counter!("airlane_flight_rows_total", "direction" => "out"),
            panics: counter!("airlane_flight_panics_total"),
        }
    }
}

impl Metrics {
    /// Counts a call from now until it is dropped.
    pub(crate) fn begin(self: &Arc<Self>, rpc: Rpc) -> Call {
        self.open[rpc as usize].increment(1.0);
        Call { metrics: Arc::clone(self), rpc, code: None }
    }

    /// What a read sends.
    pub(crate) fn sent(&self) -> Traffic {
        Traffic { bytes: self.bytes_out.clone(), rows: self.rows_out.clone() }
    }

    /// What a put takes.
    pub(crate) fn received(&self) -> Traffic {
        Traffic { bytes: self.bytes_in.clone(), rows: self.rows_in.clone() }
    }
}

/// Bytes and rows in one direction.
#[derive(Clone, Debug)]
pub struct Traffic {
    bytes: Counter,
    rows: Counter,
}

impl Traffic {
    /// Counts bytes.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.increment(bytes);
    }

    /// Counts rows.
    pub fn add_rows(&self, rows: u64) {
        self.rows.increment(rows);
    }
}

/// A call that runs. Dropped without an end, it counts as cancelled.
#[derive(Debug)]
pub struct Call {
    metrics: Arc<Metrics>,
    rpc: Rpc,
    code: Option<Code>,
}

impl Call {
    /// Notes how the call ended; the first note counts.
    pub fn end(&mut self, code: Code) {
        self.code.get_or_insert(code);
    }

    /// Counts a fault of the server that was caught.
    pub fn count_panic(&self) {
        self.metrics.panics.increment(1);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.open[self.rpc as usize].decrement(1.0);
        let code = self.code.unwrap_or(Code::Cancelled);
        let requests = &self.metrics.requests[self.rpc as usize][code as usize];
        let rpc = self.rpc.name();
        requests
            .get_or_init(|| counter!("airlane_flight_requests_total", "rpc" => rpc, "code" => format!("{code:?}")))
            .increment(1);
    }
}
