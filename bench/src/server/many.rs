//! A server of 100,000 tables.

use std::time::Instant;

use airlane_client::Client;
use arrow_flight::FlightDescriptor;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Effort, ROWS};
use crate::Result;
use crate::client::{bare, raw};
use crate::peer::{Kind, Peer};
use crate::report::{Report, median};
use crate::table::Shape;

const LINES: usize = 64;

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let count = effort.or_little(100_000, 128);
    let mut peer = Peer::airlane(&[])?;
    runtime.block_on(fill(peer.port, count))?;
    let mut restarts = Vec::new();
    for _ in 0..effort.turns.min(3) {
        peer.restart()?;
        restarts.push(peer.ready.as_secs_f64());
    }
    let (mut lists, mut drops) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let client = Client::connect(&format!("grpc://127.0.0.1:{}", peer.port)).await?;
        for turn in 0..effort.or_little(50, 2) {
            let prefix = format!("many/t{:03}", turn * 7);
            let begin = Instant::now();
            let listed = client.list(&prefix).await?;
            lists.push(begin.elapsed().as_secs_f64() * 1e3);
            if listed.is_empty() && !effort.is_smoke {
                return Err(format!("no table begins with {prefix}").into());
            }
            let begin = Instant::now();
            client.drop_table(&name(turn).parse()?).await?;
            drops.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    for (measure, asked, unit, times) in [
        ("restart with 100,000 tables, after a kill", 5.0, "s", restarts),
        ("list of a prefix (100 of 100,000 tables)", 20.0, "ms", lists),
        ("drop of one of 100,000 tables", 5.0, "ms", drops),
    ] {
        let middle = median(&times);
        let measured = format!("{middle:.2} {unit}");
        report.figure(measure, &format!("≤ {asked} {unit}"), measured, middle <= asked);
        report.samples(measure, Kind::Airlane.name(), unit, times);
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("many/t{number:05}")
}

/// Puts small durable tables with a `ttl`, on several connections.
async fn fill(port: u16, count: usize) -> Result<()> {
    let batch = Shape::Mixed.batch(ROWS)?;
    let mut lines = Vec::new();
    for line in 0..LINES {
        let mut requests = Vec::new();
        for number in (line..count).step_by(LINES) {
            let command = json!({"path": name(number), "ttl": "30d"}).to_string();
            requests.push(raw::put_request(FlightDescriptor::new_cmd(command), batch.clone()).await?);
        }
        lines.push(tokio::spawn(bare::put_each(port, requests)));
    }
    for line in lines {
        line.await??;
    }
    Ok(())
}
