//! All metrics of a server, in one list: what `/metrics` says of each, and what the reference shows.
//!
//! A metric is counted where it happens; a test compares this list with what a server exports.

use airlane_exchange::{Exchange, RefusedTickets};
use airlane_model::Durability;
use airlane_segment::decode::decode_panics;
use airlane_store::{ExpiredRows, ExpiryReason, MemoryState, Store};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};

use super::connections::{Cap, REFUSED};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only rises, and begins at 0 with the process.
    Counter,
    /// It rises and falls.
    Gauge,
    /// Counts of values by size.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// What it is told apart by.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn counts(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels, help }
}

const fn gauges(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, labels, help }
}

const fn times(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, labels, help }
}

/// Every metric, in the order of the reference.
pub const METRICS: &[Metric] = &[
    counts(
        "airlane_requests_total",
        &["rpc", "kind", "code"],
        "Requests that ended, by what was asked for (an RPC, or the path of an HTTP request) and how it ended: `ok`, the code of \
         an error of the reference and its kind, or `cut_off` when the client went away",
    ),
    gauges("airlane_requests_open", &["rpc"], "Requests that run now, streams among them"),
    times(
        "airlane_request_duration_seconds",
        &["rpc"],
        "From the headers of a request to the end of its answer; that of a stream is also the client's time",
    ),
    times(
        "airlane_request_first_message_seconds",
        &["rpc"],
        "From the headers of a request to the first bytes of its answer, of those RPCs that answer a stream of data",
    ),
    counts(
        "airlane_gate_refused_total",
        &["code"],
        "Requests that were refused before their body was read: for their credentials, or (`rate_limited`) since their caller has \
         as many streams open as its quota allows, or (`streams_full`) the server as many as it carries",
    ),
    counts(
        "airlane_tickets_refused_total",
        &["answer"],
        "Signed tickets that were `refused`: not given by this server, changed, or bound to another caller; and those that were \
         `throttled` since too many were before",
    ),
    gauges("airlane_connections_open", &[], "Connections, from being accepted until their socket is closed"),
    counts(
        "airlane_connections_refused_total",
        &["cap"],
        "Connections that were closed at once: above the cap for `all` clients, or for one `address`",
    ),
    counts("airlane_readers_stalled_total", &[], "Readers that were ended since they took nothing for too long"),
    counts("airlane_rights_files_total", &["outcome"], "Changes of the rights file that were `taken` or `refused`"),
    counts(
        "airlane_flight_bytes_total",
        &["direction"],
        "Bytes of tables that reads have sent (`out`) and puts have taken (`in`)",
    ),
    counts(
        "airlane_flight_rows_total",
        &["direction"],
        "Rows that reads have sent (`out`) and puts have brought (`in`)",
    ),
    counts("airlane_flight_panics_total", &[], "Faults of the server that were caught; each ended one call"),
    counts(
        "airlane_decode_panics_total",
        &[],
        "Faults of a library while it decoded what a client sent; each ended one put",
    ),
    gauges("airlane_tables", &["durability"], "Tables"),
    gauges("airlane_segments", &["durability"], "Segments of the tables' current versions"),
    gauges(
        "airlane_table_bytes",
        &["durability"],
        "Bytes of the tables' current versions: the bodies of their record batches and dictionaries",
    ),
    gauges("airlane_tables_damaged", &[], "Tables of which stored data is known to be damaged"),
    counts("airlane_expired_tables_total", &["reason"], "Tables that went by themselves, by the rule that ended them"),
    counts("airlane_expired_rows_total", &["reason"], "Rows that went by themselves of tables that stay, by the rule"),
    counts("airlane_expired_bytes_total", &["reason"], "Bytes of the rows that went by themselves, by the rule"),
    gauges("airlane_idempotency_keys", &[], "Idempotency keys that are remembered"),
    gauges("airlane_memory_limit_bytes", &[], "The memory budget"),
    gauges(
        "airlane_memory_bytes",
        &["use"],
        "Memory that is taken from the budget: `tables`, `puts`, `reads`, `spare`, `remembered`, `frames` or `facts`",
    ),
    gauges("airlane_memory_spilled_bytes", &[], "Bytes of ephemeral tables that are on disk, for lack of memory"),
    counts("airlane_memory_spills_total", &[], "How often ephemeral tables were moved to disk"),
    counts(
        "airlane_frames_total",
        &["outcome"],
        "Messages of compressed reads that were `kept` from an earlier one, or `made`; without those that no other read can use, \
         since they begin or end in the middle",
    ),
    gauges("airlane_local_connections", &[], "Connections of the local door"),
    gauges("airlane_leased_bytes", &[], "Memory that readers may have mapped through the local door"),
    gauges("airlane_build_info", &["version"], "Always 1; its label tells the version of the server"),
    counts("process_cpu_seconds_total", &[], "Processor time, of user and system together"),
    gauges("process_resident_memory_bytes", &[], "Memory that is resident, mapped files among it"),
    gauges("process_virtual_memory_bytes", &[], "Address space that is taken"),
    gauges("process_virtual_memory_max_bytes", &[], "Address space that may be taken"),
    gauges("process_open_fds", &[], "Open descriptors"),
    gauges("process_max_fds", &[], "Descriptors that may be open"),
    gauges("process_threads", &[], "Threads"),
    gauges("process_start_time_seconds", &[], "When the process began, in seconds since 1970"),
];

/// Tells the recorder what each metric is, and begins those that are counted only when something happens.
pub(super) fn describe() {
    for Metric { name, kind, help, .. } in METRICS {
        match kind {
            MetricKind::Counter => describe_counter!(*name, *help),
            MetricKind::Gauge => describe_gauge!(*name, *help),
            MetricKind::Histogram => describe_histogram!(*name, *help),
        }
    }
    gauge!("airlane_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("airlane_connections_open").increment(0.0);
    for cap in Cap::ALL {
        counter!(REFUSED, "cap" => cap.name()).increment(0);
    }
    counter!("airlane_readers_stalled_total").increment(0);
    for outcome in ["taken", "refused"] {
        counter!("airlane_rights_files_total", "outcome" => outcome).increment(0);
    }
}

/// Brings up to date what is counted elsewhere: the crates that decode and store know no metrics.
pub(super) fn refresh(store: &Store, exchange: &Exchange) {
    let RefusedTickets { refused, throttled } = exchange.refused_tickets();
    counter!("airlane_tickets_refused_total", "answer" => "refused").absolute(refused);
    counter!("airlane_tickets_refused_total", "answer" => "throttled").absolute(throttled);
    counter!("airlane_decode_panics_total").absolute(decode_panics());
    for (reason, name) in ExpiryReason::TABLE {
        counter!("airlane_expired_tables_total", "reason" => name).absolute(store.expired_tables(reason));
    }
    let ExpiredRows { rows, bytes } = store.expired_rows();
    counter!("airlane_expired_rows_total", "reason" => "window").absolute(rows);
    counter!("airlane_expired_bytes_total", "reason" => "window").absolute(bytes);
    gauge!("airlane_idempotency_keys").set(float(store.idempotency_keys()));
    refresh_memory(&store.memory());
    gauge!("airlane_tables_damaged").set(float(store.damaged_tables() as u64));
    for (durability, totals) in store.totals() {
        let name = match durability {
            Durability::Ephemeral => "ephemeral",
            Durability::Durable => "durable",
        };
        gauge!("airlane_tables", "durability" => name).set(float(totals.tables));
        gauge!("airlane_segments", "durability" => name).set(float(totals.segments));
        gauge!("airlane_table_bytes", "durability" => name).set(float(totals.bytes));
    }
    metrics_process::Collector::default().collect();
}

fn refresh_memory(memory: &MemoryState) {
    gauge!("airlane_memory_limit_bytes").set(float(memory.limit.as_u64()));
    for (usage, used) in memory.used {
        gauge!("airlane_memory_bytes", "use" => usage.name()).set(float(used.as_u64()));
    }
    gauge!("airlane_memory_spilled_bytes").set(float(memory.spilled.as_u64()));
    counter!("airlane_memory_spills_total").absolute(memory.spills);
    counter!("airlane_frames_total", "outcome" => "kept").absolute(memory.frames.kept);
    counter!("airlane_frames_total", "outcome" => "made").absolute(memory.frames.made);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn float(count: u64) -> f64 {
    count as f64
}
