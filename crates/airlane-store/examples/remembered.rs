//! Measures the memory that a server takes for what it remembers: reads of tickets, and keys of puts.
//!
//! ```text
//! cargo run --release -p airlane-store --example remembered -- FOLDER ticket|key ephemeral|durable [COUNT]
//! ```
//!
//! Prints how much the process has grown by each, in bytes. One kind in each process: the next would take what was freed. The numbers of docs/decisions/0012 and
//! docs/guides/memory.md come from here. A folder in memory makes it quick.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{
    ByteSize, Clock, Durability, PutKey, PutMode, ReadsAllowed, RetentionChange, RowRange, SystemClock, TableName,
    TicketId,
};
use airlane_segment::TableSchema;
use airlane_store::{Merging, PutSpec, ReadSpec, Store, StoreOptions, TicketCount};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Requests that share commits.
const TOGETHER: u64 = 64;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("give a folder that does not exist yet")?);
    let what = arguments.next().ok_or("say what: ticket or key")?;
    let durability: Durability = arguments.next().ok_or("say whose: ephemeral or durable")?.parse()?;
    let count: u64 = arguments.next().map_or(Ok(400_000), |text| text.parse())?;
    let options = StoreOptions {
        merging: Merging::ByHand,
        counted_tickets_max: u64::MAX,
        ..StoreOptions::new(Some(folder.clone()))
    };
    let store = Store::open(options)?.0;
    put(&store, durability, 0, None).await?;
    let mut before = 0;
    // What grows once, such as caches, has grown after the first eighth.
    for (from, to) in [(0, count / 8), (count / 8, count)] {
        before = resident()?;
        match what.as_str() {
            "ticket" => count_reads(&store, durability, from, to).await?,
            "key" => put_keys(&store, durability, from, to).await?,
            other => return Err(format!("{other} is neither ticket nor key").into()),
        }
    }
    println!("{durability} {what}: {} bytes", resident()?.saturating_sub(before) / (count - count / 8));
    store.close().await;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

async fn count_reads(store: &Store, durability: Durability, from: u64, to: u64) -> Result<(), Failure> {
    let until = SystemClock.now().saturating_add(Duration::from_secs(3_600));
    let mut readers = Vec::new();
    for reader in 0..TOGETHER {
        let store = store.clone();
        readers.push(std::thread::spawn(move || -> Result<(), Failure> {
            for number in (from..to).filter(|number| number % TOGETHER == reader) {
                let id = (u128::from(number) * 2 + u128::from(durability == Durability::Durable))
                    * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
                let allowed = ReadsAllowed { max: NonZeroU64::MIN, until, at_most_once: false };
                let ticket = Some(TicketCount { id: TicketId::from_bytes(id.to_be_bytes()), allowed });
                let rows = RowRange { start: 0, end: 1 };
                let spec = ReadSpec { ticket, part: None, rows, arrived: None, is_to_confirm: false };
                let snapshot = store.snapshot(&table(durability)?, None, None)?;
                let mut read = store.begin_counted(&snapshot, &spec)?.ok_or("it is not counted")?;
                read.handed_over(1);
                read.end()?;
            }
            Ok(())
        }));
    }
    readers.into_iter().try_for_each(|reader| reader.join().map_err(|_| "a reader panicked")?)
}

async fn put_keys(store: &Store, durability: Durability, from: u64, to: u64) -> Result<(), Failure> {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..TOGETHER {
        let store = store.clone();
        clients.spawn(async move {
            for number in (from..to).filter(|number| number % TOGETHER == client) {
                put(&store, durability, client, Some(format!("load-orders-{number:012}"))).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

async fn put(store: &Store, durability: Durability, value: u64, key: Option<String>) -> Result<(), Failure> {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values([value.cast_signed()]));
    let batch = RecordBatch::try_from_iter([("value", column)])?;
    let key = key.map(|key| Ok::<_, Failure>(PutKey { caller: "loader".into(), key: key.parse()? })).transpose()?;
    let spec = PutSpec {
        table: table(durability)?,
        mode: PutMode::Replace,
        durability: Some(durability),
        retention: RetentionChange::default(),
        key,
        caller: None,
    };
    let mut put = store.put_batches(spec, TableSchema::from_arrow(&batch.schema())?)?;
    put.append(&batch)?;
    put.commit().await?;
    Ok(())
}

fn table(durability: Durability) -> Result<TableName, Failure> {
    Ok(TableName::parse(&format!("orders/{durability}"))?)
}

/// The resident memory of this process.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(ByteSize::kib(kib).as_u64())
}
