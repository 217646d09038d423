//! Readers that stop in the middle: what they cost in memory, and others in rate.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;

use super::{Effort, load};
use crate::Result;
use crate::client::raw::{self, Stalled};
use crate::client::stock;
use crate::peer::{Kind, Peer};
use crate::process::memory_bytes;
use crate::report::{Report, median};
use crate::table::{BATCH_ROWS, Shape};

const TABLE: &str = "large";
const MIB: f64 = 1048576.0;

/// Streams on a connection; a server allows 128.
const STREAMS_EACH: usize = 50;

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    // So many streams are open all the time that none of them are short.
    let peer = Peer::airlane(&["--streams-max", "2000"])?;
    let batch = Shape::Floats.batch(BATCH_ROWS)?;
    let batches = effort.or_little(256, 8);
    runtime.block_on(async {
        let mut client = stock::connect(peer.port).await?;
        load::put(&mut client, TABLE, &batch, batches, json!({"durability": "ephemeral"})).await
    })?;
    few(report, effort, runtime, &peer)?;
    many(report, effort, runtime, &peer)
}

fn few(report: &mut Report, effort: &Effort, runtime: &Runtime, peer: &Peer) -> Result<()> {
    let before = settled(peer)?;
    let stalled = runtime.block_on(stall(peer.port, effort.or_little(64, 4), 1))?;
    let added = (settled(peer)? - before) / MIB;
    let measured = format!("{added:.1} MiB");
    report.figure("64 readers stalled in a table of 1 GiB add", "≤ 64 MiB", measured, added <= 64.0);
    drop(stalled);
    Ok(())
}

fn many(report: &mut Report, effort: &Effort, runtime: &Runtime, peer: &Peer) -> Result<()> {
    let idle = settled(peer)?;
    let alone = rates(effort, runtime, peer)?;
    let stalled = runtime.block_on(stall(peer.port, effort.or_little(1_000, 8), STREAMS_EACH))?;
    let among = rates(effort, runtime, peer)?;
    let added = (settled(peer)? - idle) / MIB / 1024.0;
    report.figure(
        "1,000 stalled readers and 8 that read: memory above idle",
        "≤ 0.6 GiB",
        format!("{added:.2} GiB"),
        added <= 0.6,
    );
    let share = median(&among) / median(&alone);
    let measured = format!("{share:.2} ({:.2} against {:.2} GB/s)", median(&among), median(&alone));
    report.figure("the rate of the 8 against that without the stalled", "≥ 0.8", measured, share >= 0.8);
    report.samples("8 readers", Kind::Airlane.name(), "GB/s", alone);
    report.samples("8 readers beside 1,000 stalled ones", Kind::Airlane.name(), "GB/s", among);
    drop(stalled);
    Ok(())
}

/// What the server has when it is quiet.
fn settled(peer: &Peer) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(2));
    Ok(memory_bytes(peer.pid())? as f64)
}

async fn stall(port: u16, count: usize, streams_each: usize) -> Result<Vec<Stalled>> {
    let mut stalled = Vec::new();
    while stalled.len() < count {
        let connection = raw::Connection::open_small(port).await?;
        for _ in 0..streams_each.min(count - stalled.len()) {
            stalled.push(connection.clone().stall(raw::get_request(TABLE)).await?);
        }
    }
    Ok(stalled)
}

/// GB/s of 8 readers together, in each turn.
fn rates(effort: &Effort, runtime: &Runtime, peer: &Peer) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for _ in 0..effort.turns.min(5) {
        let rate = runtime.block_on(async {
            let mut readers = Vec::new();
            let begin = Instant::now();
            for _ in 0..8 {
                let mut connection = raw::Connection::open(peer.port).await?;
                readers.push(tokio::spawn(async move { connection.call("DoGet", raw::get_request(TABLE)).await }));
            }
            let mut bytes = 0;
            for reader in readers {
                bytes += reader.await??;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(bytes as f64 / begin.elapsed().as_secs_f64() / 1e9)
        });
        rates.push(rate?);
    }
    Ok(rates)
}
