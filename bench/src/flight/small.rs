//! Many small calls: what a call costs beside its bytes.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arrow_flight::FlightDescriptor;
use tokio::runtime::Runtime;

use super::Effort;
use crate::client::{bare, raw};
use crate::peer::{Kind, Peer, beside};
use crate::report::{Report, median, percentile};
use crate::table::Shape;
use crate::{Result, process};

const KINDS: [Kind; 3] = [Kind::Airlane, Kind::Cpp, Kind::ArrowRs];
const CALLS_IN_FLIGHT: usize = 32;
const PUT_CLIENTS: usize = 64;
const ROWS: usize = 10;
const TABLE: &str = "small";

pub(super) fn gets(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let measure = "get of a 10-row table, one connection, 32 calls in flight";
    let peers = KINDS.into_iter().map(Peer::start).collect::<Result<Vec<_>>>()?;
    let batch = Shape::Mixed.batch(ROWS)?;
    for peer in &peers {
        runtime.block_on(async {
            let descriptor = FlightDescriptor::new_path(vec![TABLE.to_owned()]);
            let request = raw::put_request(descriptor, batch.clone()).await?;
            raw::Connection::open(peer.port).await?.call("DoPut", request).await
        })?;
    }
    let mut rates = vec![Vec::new(); peers.len()];
    let mut cpu = vec![Vec::new(); peers.len()];
    for turn in 0..effort.turns {
        for step in 0..peers.len() {
            let index = (turn + step) % peers.len();
            let (peer, request) = (&peers[index], raw::get_request(TABLE));
            let before = peer.cpu()?;
            let rate = runtime.block_on(async {
                let connection = raw::Connection::open(peer.port).await?;
                raw::calls_per_second(connection, request, CALLS_IN_FLIGHT, effort.small_calls).await
            });
            rates[index].push(rate?);
            cpu[index].push(peer.cpu()?.since(before).sum() * 1e6 / effort.small_calls as f64);
        }
    }
    let (ours, theirs) = (median(&rates[0]), median(&rates[1]));
    let measured = format!("{:.2} × ({ours:.0}/s against {theirs:.0}/s)", ours / theirs);
    report.figure(measure, "≥ 2 × the C++ server", measured, ours / theirs >= 2.0);
    for ((kind, rates), cpu) in KINDS.iter().zip(rates).zip(cpu) {
        report.samples(measure, kind.name(), "calls/s", rates);
        report.samples(measure, kind.name(), "server CPU µs/call", cpu);
    }
    Ok(())
}

pub(super) fn durable_puts(report: &mut Report, effort: &Effort) -> Result<()> {
    // One thread asks for all clients, so that they take as little as they can of what the server has to share.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measure = "durable put of 10 rows, 64 clients";
    let peer = Peer::start(Kind::Airlane)?;
    let batch = Shape::Mixed.batch(ROWS)?;
    let begin = Instant::now();
    let meter = StealMeter::start();
    let times = runtime.block_on(async {
        let mut requests = Vec::new();
        for client in 0..PUT_CLIENTS {
            let descriptor = FlightDescriptor::new_path(vec![format!("durable-{client}")]);
            requests.push(raw::put_request(descriptor, batch.clone()).await?);
        }
        bare::put_times(peer.port, requests, effort.durable_puts).await
    })?;
    let puts_per_second = times.len() as f64 / begin.elapsed().as_secs_f64();
    let stolen = meter.stop()?;
    let latency = |(begin, end): &(Instant, Instant)| (*end - *begin).as_secs_f64() * 1e3;
    let latencies: Vec<f64> = times.iter().map(latency).collect();
    let undisturbed: Vec<f64> = times
        .iter()
        .filter(|(begin, end)| !stolen.iter().any(|(from, to)| begin < to && from < end))
        .map(latency)
        .collect();
    let (p50, p99) = (median(&latencies), percentile(&latencies, 0.99));
    let measured = format!("p50 {p50:.2} ms, p99 {p99:.2} ms, {puts_per_second:.0} puts/s");
    report.figure(measure, "p99 ≤ 20 ms", measured, p99 <= 20.0);
    let (p50, p99) = (median(&undisturbed), percentile(&undisturbed, 0.99));
    let share = 100.0 * (1.0 - undisturbed.len() as f64 / latencies.len() as f64);
    let measured = format!("p50 {p50:.2} ms, p99 {p99:.2} ms; {share:.1} % of the puts met such a moment");
    let measure_undisturbed = format!("{measure}, but for moments when the host took the processors");
    report.figure(&measure_undisturbed, "p99 ≤ 20 ms", measured, p99 <= 20.0);
    report.samples(measure, Kind::Airlane.name(), "ms", latencies);
    report.samples("fdatasync of 4 KiB on the same disk", "none", "ms", sync_latencies(effort.durable_puts)?);
    Ok(())
}

/// Watches the time that the host of a virtual machine takes from it, as the kernel counts it.
struct StealMeter {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<(Instant, Instant)>>>,
}

impl StealMeter {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = is_over.clone();
        let thread = std::thread::spawn(move || {
            let (mut moments, mut before) = (Vec::new(), (Instant::now(), process::stolen_ticks()?));
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                let now = (Instant::now(), process::stolen_ticks()?);
                // Two ticks are 20 ms of the processors together; one is told now and then for less.
                if now.1 >= before.1 + 2 {
                    moments.push((before.0, now.0));
                }
                before = now;
            }
            Ok(moments)
        });
        Self { is_over, thread }
    }

    /// The moments at which time was taken.
    fn stop(self) -> Result<Vec<(Instant, Instant)>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the watch over stolen time ended")?
    }
}

/// What the disk itself takes: the floor under every durable put.
fn sync_latencies(times: usize) -> Result<Vec<f64>> {
    let path = beside("airlane")?.with_file_name(format!("airlane-bench-{}-sync", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let mut latencies = Vec::with_capacity(times);
    for _ in 0..times {
        let begin = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        latencies.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(latencies)
}
