//! The memory budget: tables leave memory before it is used up, and what can leave no more refuses puts, not reads.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use airlane_model::{ByteSize, Durability, Error, PutMode, Receipt, Result, codes};
use airlane_segment::MemoryUse;
use airlane_segment::home::HomeKind;
use airlane_store::testing::{Fault, FaultDisk, When};
use airlane_store::{MemoryOptions, Store, StoreOptions};

use crate::support::*;

const LIMIT: ByteSize = ByteSize::kib(512);
/// What a round leaves.
const LOW: ByteSize = ByteSize::kib(384);
/// Bytes of the largest piece that is put at once.
const PIECE: u64 = 80 << 10;

/// Rows of a table of about 72 KiB, in some segments.
const ROWS: i64 = 3_000;

fn bounded(folder: Option<&Path>) -> StoreOptions {
    let memory = MemoryOptions { limit: LIMIT, disk_free_min: ByteSize::bytes(0), ..MemoryOptions::default() };
    StoreOptions { memory, writer: small_sizes(), ..StoreOptions::new(folder.map(Path::to_owned)) }
}

async fn put_ephemeral(store: &Store, table: &str, rows: std::ops::Range<i64>) -> Result<Receipt> {
    let mut put = store.put_batches(spec(table, PutMode::Replace, Some(Durability::Ephemeral)), schema())?;
    put.room(PIECE).await?;
    put.append(&batch(rows))?;
    put.commit().await
}

fn rows_of(table: i64) -> std::ops::Range<i64> {
    table * 10_000..table * 10_000 + ROWS
}

fn used(store: &Store, usage: MemoryUse) -> u64 {
    store.memory_budget().used_for(usage).as_u64()
}

/// Whether all of a table is in memory.
fn is_in_memory(store: &Store, table: &str) -> bool {
    let snapshot = store.snapshot(&name(table), None, None).expect("a table");
    let homes: Vec<_> = snapshot.segments().iter().map(|part| part.open().expect("open").home_kind()).collect();
    !homes.contains(&HomeKind::File)
}

/// Puts tables until one is refused.
async fn fill(store: &Store) -> (i64, Error) {
    for table in 0..100 {
        if let Err(error) = put_ephemeral(store, &format!("t{table}"), rows_of(table)).await {
            return (table, error);
        }
    }
    panic!("100 tables found room in {LIMIT}");
}

fn assert_rows(store: &Store, tables: std::ops::Range<i64>) {
    for table in tables {
        let found = read(store, &format!("t{table}")).expect("reads go on");
        assert!(found.iter().copied().eq(rows_of(table)), "t{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_beyond_the_budget_go_to_disk_and_are_read_from_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(bounded(Some(folder.path())));
    for table in 0..40 {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room is made");
        assert!(store.memory_budget().used() <= LIMIT, "{:?}", store.memory());
    }
    assert_rows(&store, 0..40);
    let memory = store.memory();
    assert!(memory.spilled > ByteSize::mib(1) && memory.spills > 1, "{memory:?}");
    assert!(files(folder.path()).is_empty(), "the files have no names");
    assert_sound(&store).await;
    for table in 0..40 {
        store.drop_table(&name(&format!("t{table}"))).await.expect("a drop");
    }
    store.settle().await;
    let memory = store.memory();
    assert_eq!((memory.spilled, used(&store, MemoryUse::Tables)), (ByteSize::bytes(0), 0), "a drop reaches the disk");
}

#[tokio::test]
async fn what_was_not_used_for_longest_leaves_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = bounded(Some(folder.path()));
    // With room for what cannot leave: what there is to know of eight tables.
    let facts = ByteSize::kib(48);
    let memory = MemoryOptions { limit: ByteSize::bytes(LIMIT.as_u64() + facts.as_u64()), ..options.memory };
    let low = ByteSize::bytes(LOW.as_u64() + facts.as_u64());
    let store = open(by_hand(StoreOptions { memory, ..options }));
    for table in 0..6 {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room");
    }
    store.relieve_memory(low).await;
    assert!((0..6).all(|table| is_in_memory(&store, &format!("t{table}"))), "there is enough memory");
    // A look is no use, a read is.
    drop(store.begin_read(store.snapshot(&name("t0"), None, None).expect("t0")));
    drop(store.snapshot(&name("t1"), None, None).expect("t1"));
    for table in [6, 7] {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room");
    }
    store.relieve_memory(low).await;
    let left: Vec<i64> = (0..8).filter(|table| !is_in_memory(&store, &format!("t{table}"))).collect();
    assert_eq!(left, [1, 2], "{:?}", store.memory());
    assert_rows(&store, 0..8);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_puts_are_refused_and_reads_go_on() {
    let store = open(bounded(None));
    let (count, error) = fill(&store).await;
    assert_eq!(error.code(), codes::MEMORY_FULL, "{error:?}");
    assert!(error.code().is_retryable());
    let text = error.to_string();
    assert!(text.contains("512 KiB") && text.contains("no data folder"), "{text}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("ttl")), "{error:?}");
    assert!(count >= 5, "{count} tables fit");
    assert_rows(&store, 0..count);
    assert_eq!(used(&store, MemoryUse::Puts), 0, "a refused put holds nothing");
    store.drop_table(&name("t0")).await.expect("a drop");
    store.drop_table(&name("t1")).await.expect("a drop");
    put_ephemeral(&store, "again", 0..ROWS).await.expect("a drop made room");
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_a_disk_that_is_full_refuses_puts_and_works_again_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..bounded(Some(folder.path())) });
    disk.arm(When::From(1), Fault::Full);
    let (count, error) = fill(&store).await;
    assert_eq!(error.code(), codes::MEMORY_FULL, "{error:?}");
    assert!(error.message().contains("move tables to disk"), "{error:?}");
    assert_rows(&store, 0..count);
    disk.disarm();
    for table in count..count + 20 {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("the disk has room again");
    }
    assert_rows(&store, 0..count + 20);
    store.settle().await;
    assert!(files(folder.path()).is_empty(), "{:?}", files(folder.path()));
}

#[tokio::test]
async fn d5_each_operation_of_a_move_may_fail() {
    let operations = {
        let folder = tempfile::tempdir().expect("a folder");
        fails_at(folder.path(), 1_000).await
    };
    assert!((3..100).contains(&operations), "{operations} operations");
    for number in 1..=operations {
        let folder = tempfile::tempdir().expect("a folder");
        fails_at(folder.path(), number).await;
    }
}

/// Moves tables to a disk whose operation of this number fails, and then again; tells how many operations there were.
async fn fails_at(folder: &Path, number: u64) -> u64 {
    let disk = FaultDisk::default();
    let store = open(by_hand(StoreOptions { disk: Arc::new(disk.clone()), ..bounded(Some(folder)) }));
    for table in 0..7 {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room");
    }
    disk.arm(When::Once(number), Fault::Failed);
    store.relieve_memory(LOW).await;
    let operations = disk.disarm();
    assert_rows(&store, 0..7);
    store.relieve_memory(LOW).await;
    assert_rows(&store, 0..7);
    assert!(store.memory_budget().used() <= LOW, "{:?}", store.memory());
    assert_sound(&store).await;
    store.close().await;
    drop(store);
    // A name that could not be removed goes at the next start.
    let store = open(by_hand(bounded(Some(folder))));
    assert!(files(folder).is_empty(), "operation {number}: {:?}", files(folder));
    drop(store);
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_disk_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let allowed = ByteSize::kib(256);
    let options = bounded(Some(folder.path()));
    let memory = MemoryOptions { spill_max: Some(allowed), ..options.memory };
    let store = open(StoreOptions { memory, ..options });
    let (count, error) = fill(&store).await;
    assert!(error.message().contains("`spill_bytes_max` is 256 KiB"), "{error:?}");
    let spilled = store.memory().spilled;
    assert!(spilled > ByteSize::bytes(0) && spilled <= allowed, "{spilled}");
    assert_rows(&store, 0..count);

    let folder = tempfile::tempdir().expect("a folder");
    let options = bounded(Some(folder.path()));
    // A twentieth of a disk that is nearly full is not free; here nothing else is asked of one that is not.
    let memory = MemoryOptions { disk_free_min: ByteSize::bytes(u64::MAX), ..options.memory };
    let store = open(StoreOptions { memory, ..options });
    put_ephemeral(&store, "t0", rows_of(0)).await.expect("room");
    let space = rustix::fs::statvfs(folder.path()).expect("a disk");
    let has_room = space.f_bavail > space.f_blocks / 20;
    for table in 1..12 {
        let put = put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await;
        assert!(put.is_ok() || !has_room, "{put:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_larger_than_the_budget_moves_what_it_has_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(bounded(Some(folder.path())));
    let spec = spec("large", PutMode::Replace, Some(Durability::Ephemeral));
    let mut put = store.put_batches(spec, schema()).expect("a put");
    let rows = 100_000;
    for from in (0..rows).step_by(1_000) {
        put.room(PIECE).await.expect("room is made");
        put.append(&batch(from..from + 1_000)).expect("rows");
        assert!(store.memory_budget().used() <= LIMIT, "{:?}", store.memory());
    }
    put.commit().await.expect("a commit");
    assert!(read(&store, "large").expect("rows").into_iter().eq(0..rows));
    assert!(store.memory().spilled > LIMIT, "{:?}", store.memory());
    assert_eq!(used(&store, MemoryUse::Puts), 0);
    assert_sound(&store).await;
    // Segments that share a file are segments of their own: appends and merges find them.
    append(&store, "large", rows..rows + 5).await.expect("an append");
    assert!(read(&store, "large").expect("rows").into_iter().eq(0..rows + 5));
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_durable_tables_are_let_go_of_and_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = bounded(Some(folder.path()));
    // What there is to know of 200 tables takes more than half of it.
    let memory = MemoryOptions { limit: ByteSize::kib(704), ..options.memory };
    let store = open(StoreOptions { memory, ..options });
    for table in 0..200 {
        replace(&store, &format!("t{table}"), table..table + 10).await.expect("a put");
    }
    for _ in 0..2 {
        for table in 0..200 {
            let found = read(&store, &format!("t{table}")).expect("a read");
            assert!(found.into_iter().eq(table..table + 10));
        }
    }
    assert!(store.memory_budget().used() < ByteSize::kib(704), "{:?}", store.memory());
    store.relieve_memory(ByteSize::kib(48)).await;
    assert_eq!(used(&store, MemoryUse::Tables), 0, "{:?}", store.memory());
    assert_eq!(store.memory().spilled, ByteSize::bytes(0), "the catalog has them");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_reader_keeps_what_it_reads_and_that_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(bounded(Some(folder.path()))));
    for table in 0..7 {
        put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room");
    }
    let snapshot = store.snapshot(&name("t0"), None, None).expect("t0");
    let held: Vec<_> = snapshot.segments().iter().map(|part| part.open().expect("open")).collect();
    let held_bytes: u64 = held.iter().map(|segment| segment.file_bytes().len() as u64).sum();
    let messages: Vec<_> = held.iter().map(|segment| segment.message(0)).collect();
    let before: Vec<_> = messages.iter().map(|message| message.body.to_vec()).collect();
    store.relieve_memory(LOW).await;
    assert!(!is_in_memory(&store, "t0"));
    let with_reader = store.memory_budget().used();
    assert!(used(&store, MemoryUse::Tables) >= held_bytes);
    drop((held, snapshot));
    assert_eq!(store.memory_budget().used(), with_reader, "the messages still point into it");
    assert!(messages.iter().zip(&before).all(|(message, before)| message.body == before), "and see what they saw");
    drop(messages);
    assert!(used(&store, MemoryUse::Spare) > 0, "what the reader held is spare now");
    store.relieve_memory(LOW).await;
    assert!(store.memory_budget().used() < with_reader);
}

/// What the child does. It does nothing when the tests are run as usual.
#[test]
#[ignore = "manual: the child of the test below"]
fn spilling_child() {
    let Ok(folder) = std::env::var("AIRLANE_TEST_FOLDER") else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(by_hand(bounded(Some(Path::new(&folder)))));
        replace(&store, "kept", 0..10).await.expect("a durable put");
        for table in 0..7 {
            put_ephemeral(&store, &format!("t{table}"), rows_of(table)).await.expect("room");
        }
        println!("\nready");
        store.relieve_memory(LOW).await;
    });
}

#[tokio::test]
async fn d12_killed_while_tables_are_moved_nothing_is_left_after_the_next_start() {
    for point in ["spill.made", "spill.written"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "budget::spilling_child", "--ignored", "--nocapture"]);
        command.env("AIRLANE_TEST_FOLDER", folder.path()).env("AIRLANE_FAILPOINT", point);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a child");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        assert!(out.lines().map_while(Result::ok).any(|line| line == "ready"), "{point}");
        assert_eq!(child.wait().expect("an end").signal(), Some(9), "{point}");
        let left = files(folder.path());
        assert!(left.len() == 1 && left[0].ends_with(".spill"), "{point}: {left:?}");
        let store = open(bounded(Some(folder.path())));
        assert!(files(folder.path()).is_empty(), "{point}");
        assert_eq!(store.list("").len(), 1, "{point}: ephemeral tables go with their process");
        assert_eq!(read(&store, "kept").expect("rows").len(), 10, "{point}");
    }
}
