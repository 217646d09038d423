//! A table that is read compressed again and again: what the server works for it with frames kept, and without.

use std::time::Instant;

use arrow_flight::{FlightClient, Ticket};
use futures::StreamExt;
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::Request;

use super::{Effort, load};
use crate::Result;
use crate::client::stock;
use crate::peer::{Kind, Peer};
use crate::report::{Report, median};
use crate::table::{BATCH_ROWS, Shape};

const TABLE: &str = "hot";
const TABLE_BYTES: usize = 64 << 20;
const READS: usize = 4;

/// What reads of one sample took, for each GB of the table.
struct Sample {
    cpu: f64,
    /// MB of the table in a second.
    rate: f64,
}

pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let batch = Shape::Mixed.batch(effort.or_little(BATCH_ROWS, 4_096))?;
    let count = effort.or_little(TABLE_BYTES.div_ceil(batch.get_array_memory_size()), 2);
    let servers = [Peer::airlane(&["--frames-bytes-max", "0B"])?, Peer::airlane(&[])?];
    let mut bytes = 0;
    for peer in &servers {
        bytes = runtime.block_on(async {
            let mut client = stock::connect(peer.port).await?;
            load::put(&mut client, TABLE, &batch, count, json!({"durability": "ephemeral"})).await?;
            load::get(&mut client, TABLE).await
        })?;
    }
    for codec in ["lz4", "zstd"] {
        // The first read of each is warming up; that of the second server fills what it keeps.
        let mut samples = [Vec::new(), Vec::new()];
        for peer in &servers {
            read(runtime, peer, codec, 1, bytes)?;
        }
        for _ in 0..effort.turns {
            for (peer, samples) in servers.iter().zip(&mut samples) {
                samples.push(read(runtime, peer, codec, effort.or_little(READS, 1), bytes)?);
            }
        }
        let [anew, kept] = samples;
        let cpu = |samples: &[Sample]| samples.iter().map(|sample| sample.cpu).collect::<Vec<_>>();
        let rate = |samples: &[Sample]| samples.iter().map(|sample| sample.rate).collect::<Vec<_>>();
        let share = median(&cpu(&kept)) / median(&cpu(&anew));
        let measured = format!("{share:.2} ({:.2} against {:.2} s/GB)", median(&cpu(&kept)), median(&cpu(&anew)));
        let measure = format!("a table of {} MiB read as {codec}: CPU with frames kept against without", bytes >> 20);
        report.figure(&measure, "≤ 0.3", measured, share <= 0.3);
        let share = median(&rate(&kept)) / median(&rate(&anew));
        let measured = format!("{share:.1} ({:.0} against {:.0} MB/s)", median(&rate(&kept)), median(&rate(&anew)));
        report.figure(&format!("the same as {codec}: its rate"), "≥ 2", measured, share >= 2.0);
        for (name, samples) in [("anew", &anew), ("kept", &kept)] {
            report.samples(&format!("{codec}, {name}: CPU of the server"), Kind::Airlane.name(), "s/GB", cpu(samples));
            report.samples(&format!("{codec}, {name}: table per second"), Kind::Airlane.name(), "MB/s", rate(samples));
        }
    }
    Ok(())
}

/// Reads the table some times, one read after another.
fn read(runtime: &Runtime, peer: &Peer, codec: &'static str, times: usize, bytes: u64) -> Result<Sample> {
    runtime.block_on(async {
        let mut client = stock::connect(peer.port).await?;
        let (before, begin) = (peer.cpu()?, Instant::now());
        for _ in 0..times {
            get(&mut client, codec).await?;
        }
        let moved = times as f64 * bytes as f64;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Sample { cpu: peer.cpu()?.since(before).sum() / moved * 1e9, rate: moved / seconds / 1e6 })
    })
}

async fn get(client: &mut FlightClient, codec: &'static str) -> Result<()> {
    let mut request = Request::new(Ticket::new(TABLE));
    request.metadata_mut().insert("airlane-compression", codec.parse()?);
    let mut messages = client.inner_mut().do_get(request).await?.into_inner();
    while let Some(message) = messages.next().await {
        message?;
    }
    Ok(())
}
