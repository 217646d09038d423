//! Measures small durable puts: their bytes in the catalog against a file for each.
//!
//! ```text
//! cargo run --release -p airlane-store --example durable_puts -- FOLDER [CLIENTS] [PUTS]
//! ```
//!
//! Prints one line for each way: puts per second, the 50th and 99th percentile of the time of a put, and what was
//! synced. The numbers of docs/decisions/0002 come from here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_model::{ByteSize, PutMode, RetentionChange, TableName};
use airlane_segment::{TableSchema, WriterOptions};
use airlane_store::testing::{FaultDisk, Operation};
use airlane_store::{Merging, PutSpec, Store, StoreOptions};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("give a folder that does not exist yet")?);
    let clients: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let puts: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let ways = [("catalog", ByteSize::kib(256)), ("file", ByteSize::bytes(0))];
    for round in 0..3 {
        for (way, small) in ways {
            measure(way, &folder.join(format!("{way}-{round}")), small, clients, puts).await?;
        }
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn measure(way: &str, folder: &Path, small: ByteSize, clients: usize, puts: usize) -> Result<(), Failure> {
    let disk = FaultDisk::default();
    let writer = WriterOptions { segment_small_bytes_max: small, ..WriterOptions::default() };
    let options = StoreOptions {
        writer,
        disk: Arc::new(disk.clone()),
        merging: Merging::ByHand,
        ..StoreOptions::new(Some(folder.to_owned()))
    };
    let store = Store::open(options)?.0;
    disk.take_log();
    let begin = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for client in 0..clients {
        running.spawn(client_puts(store.clone(), client, puts));
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    let elapsed = begin.elapsed();
    let log = disk.take_log();
    let count = |operation| log.iter().filter(|(done, _)| *done == operation).count();
    let commits = count(Operation::Commit);
    let syncs = commits + count(Operation::SyncData) + count(Operation::SyncDir);
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{way:8} {:7.0} puts/s   p50 {:6.2} ms   p99 {:6.2} ms   {commits} commits, {syncs} syncs for {} puts",
        times.len() as f64 / elapsed.as_secs_f64(),
        percentile(50),
        percentile(99),
        times.len(),
    );
    store.close().await;
    Ok(())
}

/// Replaces a table of ten rows again and again.
async fn client_puts(store: Store, client: usize, puts: usize) -> Result<Vec<Duration>, Failure> {
    let columns: [(&str, ArrayRef); 2] = [
        ("key", Arc::new(Int64Array::from_iter_values(0..10))),
        ("value", Arc::new(Float64Array::from_iter_values((0..10).map(f64::from)))),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let schema = TableSchema::from_arrow(&batch.schema())?;
    let mut times = Vec::with_capacity(puts);
    for _ in 0..puts {
        let begin = Instant::now();
        let table = TableName::parse(&format!("t{client}"))?;
        let retention = RetentionChange::default();
        let spec = PutSpec { table, mode: PutMode::Replace, durability: None, retention, key: None, caller: None };
        let mut put = store.put_batches(spec, schema.clone())?;
        put.append(&batch)?;
        put.commit().await?;
        times.push(begin.elapsed());
    }
    Ok(times)
}
