//! Measures the memory that the facts of tables take, and how much of it the budget counts.
//!
//! ```text
//! cargo run --release -p airlane-store --example facts -- FOLDER table|version|schema|dictionary ephemeral|durable [COUNT]
//! ```
//!
//! Prints how much the process has grown by each, without the bytes of tables, and how much the budget has counted for facts. One kind in each process: the next would take
//! what was freed. The numbers of `src/facts.rs` and docs/guides/memory.md come from here. A folder in memory makes it quick.

use std::path::PathBuf;
use std::sync::Arc;

use airlane_model::{ByteSize, Durability, PutMode, RetentionChange, TableName};
use airlane_segment::{MemoryUse, TableSchema};
use airlane_store::{Merging, PutSpec, Store, StoreOptions};
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Puts that share commits.
const TOGETHER: u64 = 64;

/// Versions of a table, where they are counted.
const VERSIONS: u64 = 50;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("give a folder that does not exist yet")?);
    let what = arguments.next().ok_or("say what: table, version, schema or dictionary")?;
    let durability: Durability = arguments.next().ok_or("say whose: ephemeral or durable")?.parse()?;
    let count: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let options = StoreOptions { merging: Merging::ByHand, ..StoreOptions::new(Some(folder.clone())) };
    let store = Store::open(options)?.0;
    let (tables, mode) = match what.as_str() {
        "table" | "schema" | "dictionary" => (count, PutMode::Replace),
        "version" => (count / VERSIONS, PutMode::Append),
        other => return Err(format!("{other} is not known").into()),
    };
    let mut before = (0, 0);
    // What grows once, such as caches, has grown after the first eighth; of versions all tables are there then.
    for (from, to) in [(0, count / 8), (count / 8, count)] {
        before = grown(&store)?;
        put_all(&store, &what, durability, mode, (from, to), tables).await?;
    }
    let (process, counted) = grown(&store)?;
    let each = |after: u64, before: u64| after.saturating_sub(before) / (count - count / 8);
    println!("{durability} {what}: {} bytes, {} counted", each(process, before.0), each(counted, before.1));
    store.close().await;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn put_all(
    store: &Store,
    what: &str,
    durability: Durability,
    mode: PutMode,
    (from, to): (u64, u64),
    tables: u64,
) -> Result<(), Failure> {
    let batch = batch(what == "dictionary")?;
    let shared = TableSchema::from_arrow(&batch.schema())?;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..TOGETHER {
        let (store, batch, shared) = (store.clone(), batch.clone(), shared.clone());
        let is_own = what == "schema";
        clients.spawn(async move {
            for number in (from..to).filter(|number| number % TOGETHER == client) {
                let table = TableName::parse(&format!("orders/{durability}-{:012}", number % tables))?;
                let retention = RetentionChange::of("ttl", "1h")?;
                let durability = Some(durability);
                let spec = PutSpec { table, mode, durability, retention, key: None, caller: None };
                let schema = if is_own { TableSchema::from_arrow(&batch.schema())? } else { shared.clone() };
                let mut put = store.put_batches(spec, schema)?;
                put.append(&batch)?;
                put.commit().await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

fn batch(has_dictionary: bool) -> Result<RecordBatch, Failure> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values([7]));
    let names: DictionaryArray<Int8Type> = ["oslo"].into_iter().collect();
    let mut columns = vec![("value", column)];
    if has_dictionary {
        columns.push(("city", Arc::new(names)));
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// What this process takes beside the bytes that are counted for other uses, and what is counted for facts.
fn grown(store: &Store) -> Result<(u64, u64), Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    let budget = store.memory_budget();
    let facts = budget.used_for(MemoryUse::Facts).as_u64();
    let others = budget.used().as_u64() - facts;
    Ok((ByteSize::kib(kib).as_u64().saturating_sub(others), facts))
}
