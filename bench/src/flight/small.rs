//! Many small calls: what a call costs beside its bytes.

use arrow_flight::FlightDescriptor;
use tokio::runtime::Runtime;

use super::Effort;
use crate::Result;
use crate::client::raw;
use crate::peer::{Kind, Peer};
use crate::report::{Report, median, percentile};
use crate::table::Shape;

const CALLS_IN_FLIGHT: usize = 32;
const PUT_CLIENTS: usize = 64;

pub(super) fn gets(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let measure = "get of a 10-row table, one connection, 32 calls in flight";
    let kinds = [Kind::Airlane, Kind::Cpp, Kind::ArrowRs];
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    let peers = kinds.iter().map(|kind| Peer::start(*kind)).collect::<Result<Vec<_>>>()?;
    let batch = Shape::Mixed.batch(10)?;
    for peer in &peers {
        runtime.block_on(async {
            let descriptor = FlightDescriptor::new_path(vec!["small".to_owned()]);
            let request = raw::put_request(descriptor, batch.clone()).await?;
            raw::Connection::open(peer.port).await?.call("DoPut", request).await
        })?;
    }
    for _ in 0..effort.turns {
        for (peer, rates) in peers.iter().zip(&mut rates) {
            let calls =
                raw::calls_per_second(peer.port, raw::get_request("small"), CALLS_IN_FLIGHT, effort.small_calls);
            rates.push(runtime.block_on(calls)?);
        }
    }
    let ratio = median(&rates[0]) / median(&rates[1]);
    let measured = format!("{ratio:.2} × ({:.0}/s against {:.0}/s)", median(&rates[0]), median(&rates[1]));
    report.figure(measure, "≥ 2 × the C++ server", measured, ratio >= 2.0);
    for (kind, rates) in kinds.iter().zip(rates) {
        report.samples(measure, kind.name(), "calls/s", rates);
    }
    Ok(())
}

pub(super) fn durable_puts(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let measure = "durable put of 10 rows, 64 clients";
    let peer = Peer::start(Kind::Airlane)?;
    let batch = Shape::Mixed.batch(10)?;
    let latencies = runtime.block_on(async {
        let mut requests = Vec::new();
        for client in 0..PUT_CLIENTS {
            let descriptor = FlightDescriptor::new_path(vec![format!("durable-{client}")]);
            requests.push(raw::put_request(descriptor, batch.clone()).await?);
        }
        raw::latencies(peer.port, "DoPut", requests, effort.durable_puts).await
    })?;
    let (p50, p99) = (median(&latencies), percentile(&latencies, 0.99));
    report.figure(measure, "p99 ≤ 20 ms", format!("p50 {p50:.2} ms, p99 {p99:.2} ms"), p99 <= 20.0);
    report.samples(measure, Kind::Airlane.name(), "ms", latencies);
    Ok(())
}
