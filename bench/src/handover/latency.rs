//! From the word of a producer that its table is complete to the first value that another process reads.
//!
//! ```text
//! producer (this process) ── batches, sealed and handed over as they are made; all but a tail of 4 MiB is the server's ─▶
//!          │ end of input: the clock starts
//!          └─ tail sealed, COMMIT ─▶ server ─▶ ticket ─▶ pipe ─▶ consumer (a process) ─ OPEN, map, first value: it stops
//! ```
//!
//! What the first look at all values costs, which pays for the page tables, is a figure of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airlane_client::{Client, ConnectOptions, PutOptions};
use airlane_model::{ByteSize, Durability, TableName};
use arrow_array::RecordBatch;
use futures::stream;

use super::Setting;
use super::consumer::Consumer;
use crate::Result;
use crate::peer::Kind;
use crate::picture::{Line, Lines};
use crate::report::{Report, median, percentile};
use crate::table::{BATCH_ROWS, Shape};

const TABLE: &str = "handed";

/// What is still to be laid out when the batches are at their end, up to 128 MiB, is the server's by then, and answered.
const ANSWERED: Duration = Duration::from_secs(1);

/// What one hand-over took, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Until the first value was read.
    first: f64,
    /// What the sum of all columns took after that.
    sum: f64,
}

pub(super) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let Setting { effort, runtime, server, socket, .. } = setting;
    let mut consumer = Consumer::spawn(server.port, socket)?;
    let url = format!("grpc://127.0.0.1:{}", server.port);
    let options = ConnectOptions { local_socket: Some(socket.into()), ..ConnectOptions::default() };
    let client = runtime.block_on(Client::connect_with(&url, &options))?;
    if !client.shares_memory() {
        return Err("the server shares no memory".into());
    }
    let mut take = |shape: Shape, bytes: u64, turns: usize| -> Result<Vec<Sample>> {
        let batch = shape.batch(if effort.is_smoke { 4_096 } else { BATCH_ROWS })?;
        // The first warms up.
        let samples = (0..=turns).map(|_| runtime.block_on(hand_over(&client, &mut consumer, &batch, bytes)));
        Ok(samples.collect::<Result<Vec<_>>>()?.split_off(1))
    };
    let few = effort.turns.min(15);
    let gib = effort.size(ByteSize::gib(1));
    let fixed = take(Shape::Floats, gib, effort.turns)?;
    let (p50, p99) = (median(&firsts(&fixed)), percentile(&firsts(&fixed), 0.99));
    let what = "1 GiB of float64: from the end of the input to the first value in another process";
    report.figure(&format!("{what}, p50"), "≤ 0.5 ms", format!("{p50:.3} ms"), p50 <= 0.5);
    report.figure(&format!("{what}, p99"), "≤ 2 ms", format!("{p99:.3} ms"), p99 <= 2.0);
    keep(report, "1 GiB of float64", &fixed);
    let mixed = take(Shape::Mixed, gib, few)?;
    let p50 = median(&firsts(&mixed));
    let what = "1 GiB of strings, nulls and dictionaries, the same, p50";
    report.figure(what, "≤ 3 ms", format!("{p50:.3} ms"), p50 <= 3.0);
    keep(report, "1 GiB of strings, nulls and dictionaries", &mixed);
    let mut sizes = vec![("1 GiB", 1024.0, fixed)];
    for (name, mib, turns) in [("64 MiB", 64, few), ("256 MiB", 256, few), ("4 GiB", 4096, few.min(7))] {
        let samples = take(Shape::Floats, effort.size(ByteSize::mib(mib)), turns)?;
        keep(report, &format!("{name} of float64"), &samples);
        sizes.push((name, mib as f64, samples));
    }
    picture(report, &sizes);
    let medians = sizes.iter().map(|(name, _, samples)| (name, median(&firsts(samples))));
    let (least, most) =
        medians.clone().fold((f64::MAX, 0.0_f64), |(least, most), (_, at)| (least.min(at), most.max(at)));
    let told = medians.map(|(name, at)| format!("{name} {at:.3} ms")).collect::<Vec<_>>().join(", ");
    let ratio = most / least;
    let what = "the same from 64 MiB to 4 GiB: the slowest size against the fastest, p50";
    report.figure(what, "≤ 3 ×", format!("{ratio:.2} × ({told})"), ratio <= 3.0);
    Ok(())
}

fn picture(report: &mut Report, sizes: &[(&str, f64, Vec<Sample>)]) {
    let line = |name: &str, of: fn(&Sample) -> f64| {
        let mut points: Vec<(f64, f64)> =
            sizes.iter().map(|(_, mib, samples)| (*mib, median(&samples.iter().map(of).collect::<Vec<_>>()))).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        Line { name: name.to_owned(), points }
    };
    let mut ticks: Vec<(f64, String)> = sizes.iter().map(|(name, mib, _)| (*mib, (*name).to_owned())).collect();
    ticks.sort_by(|left, right| left.0.total_cmp(&right.0));
    let lines = Lines {
        title: "From the end of a put to its reader, by the size of the table".to_owned(),
        unit: "ms",
        ticks,
        lines: vec![
            line("until the first value is read", |sample| sample.first),
            line("until all values are summed", |sample| sample.first + sample.sum),
        ],
    };
    report.picture("sizes", lines.svg());
}

fn firsts(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.first).collect()
}

fn keep(report: &mut Report, what: &str, samples: &[Sample]) {
    let sums = samples.iter().map(|sample| sample.sum).collect();
    report.samples(&format!("{what}: until the first value"), Kind::Airlane.name(), "ms", firsts(samples));
    report.samples(&format!("{what}: sum of all columns after it"), Kind::Airlane.name(), "ms", sums);
}

async fn hand_over(client: &Client, consumer: &mut Consumer, batch: &RecordBatch, bytes: u64) -> Result<Sample> {
    let batch_bytes = airlane_client::payload_bytes(batch);
    let count = bytes.div_ceil(batch_bytes);
    let ended = Arc::new(AtomicU64::new(0));
    let noted = ended.clone();
    let (schema, batch) = (batch.schema(), batch.clone());
    let batches = stream::unfold(0, move |made| {
        let (batch, noted) = (batch.clone(), noted.clone());
        async move {
            if made < count {
                return Some((Ok(batch), made + 1));
            }
            tokio::time::sleep(ANSWERED).await;
            noted.store(now(), Ordering::SeqCst);
            None
        }
    });
    let options = PutOptions {
        durability: Some(Durability::Ephemeral),
        bytes_expected: Some(ByteSize::bytes(count * batch_bytes)),
        ..PutOptions::default()
    };
    let table = TableName::parse(TABLE)?;
    let receipt = client.put(&table, schema, batches, options).await?;
    let (first, summed) = consumer.read(&receipt.ticket)?;
    client.drop_table(&table).await?;
    let millis = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
    Ok(Sample { first: millis(ended.load(Ordering::SeqCst), first), sum: millis(first, summed) })
}

/// The machine's clock, which all processes share, in nanoseconds.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}
