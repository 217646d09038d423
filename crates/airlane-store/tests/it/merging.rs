//! Many small appends end in few segments, and nobody who reads notices.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_model::{ByteSize, Durability, PutMode, Version};
use airlane_segment::WriterOptions;
use airlane_store::{Store, StoreOptions};

use crate::support::*;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("the process's files").count()
}

/// Appends of ten rows, from as many tasks as given; the rows of each task keep their order.
async fn append_many(store: &Store, durability: Durability, appends: i64, tasks: i64) {
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let store = store.clone();
        running.spawn(async move {
            for number in 0..appends / tasks {
                let from = (task * appends / tasks + number) * 10;
                let spec = spec("t", PutMode::Append, Some(durability));
                put(&store, spec, from..from + 10).await.expect("an append");
            }
        });
    }
    running.join_all().await;
}

/// What an append writes stays on the heap; what merges of them write does not, and takes a descriptor each.
const SMALL: ByteSize = ByteSize::kib(8);

async fn many_small_appends(folder: Option<&Path>, appends: i64, tasks: i64) {
    let durability = if folder.is_some() { Durability::Durable } else { Durability::Ephemeral };
    let writer = WriterOptions { segment_small_bytes_max: SMALL, ..WriterOptions::default() };
    let store = open(StoreOptions { writer, ..StoreOptions::new(folder.map(Path::to_owned)) });
    append_many(&store, durability, appends / 10, tasks).await;
    store.settle().await;
    let files_before = open_files();
    append_many(&store, durability, appends - appends / 10, tasks).await;
    store.settle().await;
    let info = store.list("t").remove(0);
    assert_eq!((info.rows, info.version.get()), (appends as u64 * 10, appends as u64));
    assert!(info.segments <= 64, "{} segments", info.segments);
    // Other tests of this process open files at the same time. There were a hundred times as many appends and merges.
    let files = open_files();
    assert!(files <= files_before + 100, "{files} open files, {files_before} before");
    let middle = Version::new(appends as u64 / 2);
    let snapshot = store.snapshot(&name("t"), middle, None).expect("an old version");
    assert_eq!(keys(&snapshot).expect("rows").len(), appends as usize / 2 * 10);
    assert_eq!(read(&store, "t").expect("rows").len(), appends as usize * 10);
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_small_appends_end_in_few_segments() {
    many_small_appends(None, 100_000, 2).await;
}

/// Fewer, since each waits for the disk; many at a time share a sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_durable_appends_end_in_few_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    many_small_appends(Some(folder.path()), 20_480, 64).await;
    let files = files(folder.path()).len();
    assert!(files <= 64, "{files} files of segments");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_arrive_in_versions_of_their_own() {
    for durability in [Durability::Ephemeral, Durability::Durable] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(options(folder.path()));
        append_many(&store, durability, 400, 8).await;
        let info = store.list("t").remove(0);
        assert_eq!((info.rows, info.version.get()), (4_000, 400));
        assert_sound(&store).await;
        let rows = read(&store, "t").expect("rows");
        for task in 0..8 {
            let own = task * 500..(task + 1) * 500;
            let of_task: Vec<i64> = rows.iter().copied().filter(|key| own.contains(key)).collect();
            assert_eq!(of_task, own.collect::<Vec<_>>(), "each task's rows in its order");
        }
        for number in [1, 2, 199, 399] {
            let snapshot = store.snapshot(&name("t"), Version::new(number), None).expect("a version");
            assert_eq!(keys(&snapshot).expect("rows"), rows[..number as usize * 10]);
        }
    }
}

#[tokio::test]
async fn merging_keeps_rows_versions_and_positions() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    let mut versions = Vec::new();
    for part in 0..60_i64 {
        // Mostly small ones, now and then one that fills files of its own.
        let rows = if part % 17 == 5 { 2_000 } else { part % 7 };
        let from = part * 10_000;
        let receipt = append(&store, "t", from..from + rows).await.expect("an append");
        versions.push((receipt.version, receipt.rows));
    }
    let before = store.list("t").remove(0);
    let rows = read(&store, "t").expect("rows");
    let mut merges = 0;
    while store.merge_step().await {
        merges += 1;
        assert_eq!(read(&store, "t").expect("rows"), rows);
    }
    let after = store.list("t").remove(0);
    assert!(merges > 1 && after.segments < before.segments, "{merges} merges, {} segments", after.segments);
    assert_eq!((after.version, after.rows, after.committed), (before.version, before.rows, before.committed));
    assert_sound(&store).await;
    store.close().await;
    let store = open(by_hand(options(folder.path())));
    assert_eq!(store.list("t").remove(0), after);
    for (version, count) in versions {
        let snapshot = store.snapshot(&name("t"), Some(version), None).expect("a version");
        assert_eq!(keys(&snapshot).expect("rows"), rows[..count as usize]);
    }
}

/// What would give more segments than before is left as it is, and not tried for ever.
#[tokio::test]
async fn a_merge_that_would_gain_nothing_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    // The policy believes that eight of these fit into one segment; the writer puts each into its own.
    let writer = WriterOptions { segment_bytes_target: airlane_model::ByteSize::kib(1), ..small_sizes() };
    let store = open(by_hand(StoreOptions { writer, ..options(folder.path()) }));
    for part in 0..20 {
        append(&store, "t", part..part + 15).await.expect("an append");
    }
    let mut steps = 0;
    while store.merge_step().await {
        steps += 1;
        assert!(steps < 50, "merging ends");
    }
    assert_eq!(store.list("t").remove(0).rows, 300);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_reader_keeps_its_version_whatever_happens_to_the_table() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(by_hand(options(folder.path())));
        replace(&store, "t", 0..2_000).await.expect("a put");
        for part in 0..10 {
            append(&store, "t", 2_000 + part..2_001 + part).await.expect("an append");
        }
        if restart {
            // Nothing is open then: the segments are opened before their files and rows go.
            store.close().await;
            store = open(by_hand(options(folder.path())));
            append(&store, "t", 2_010..2_011).await.expect("an append");
        }
        let rows: Vec<i64> = (0..2_010 + i64::from(restart)).collect();
        let before_merge = store.snapshot(&name("t"), None, None).expect("a table");
        while store.merge_step().await {}
        store.settle().await;
        let before_replace = store.snapshot(&name("t"), None, None).expect("a table");
        assert!(before_replace.segments().len() < before_merge.segments().len());
        let before_replace_too = store.snapshot(&name("t"), Version::new(1), None).expect("a table");
        replace(&store, "t", 7..9).await.expect("a put");
        store.settle().await;
        let before_drop = store.snapshot(&name("t"), None, None).expect("a table");
        store.drop_table(&name("t")).await.expect("a drop");
        assert!(files(folder.path()).is_empty());
        store.close().await;
        assert_eq!(keys(&before_merge).expect("pinned"), rows);
        assert_eq!(keys(&before_replace).expect("pinned"), rows);
        assert_eq!(keys(&before_replace_too).expect("pinned"), rows[..2_000]);
        assert_eq!(keys(&before_drop).expect("pinned"), [7, 8]);
    }
}

/// Readers see whole versions while the table is replaced, appended to and merged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_half_a_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    replace(&store, "t", 0..100).await.expect("a put");
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, stop) = (store.clone(), stop.clone());
            std::thread::spawn(move || {
                let (mut reads, mut last) = (0_u64, 0);
                while !stop.load(Ordering::Relaxed) || reads < 10 {
                    let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
                    let rows = keys(&snapshot).expect("rows");
                    // Each content is a run of keys from a multiple of 1000, as long as the version says.
                    let first = rows[0];
                    assert!(first % 1_000 == 0 && rows.iter().copied().eq(first..first + rows.len() as i64));
                    assert!(snapshot.info().version.get() >= last, "versions never go back");
                    last = snapshot.info().version.get();
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for round in 1..30 {
        let from = round * 1_000;
        replace(&store, "t", from..from + 100).await.expect("a put");
        for part in 1..9 {
            append(&store, "t", from + part * 100..from + (part + 1) * 100).await.expect("an append");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().expect("a reader") >= 10);
    }
    assert_sound(&store).await;
}

/// When appends outrun the merge, they wait for it: the number of small segments stays bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_wait_for_the_merge() {
    let store = open(by_hand(StoreOptions { writer: small_sizes(), ..StoreOptions::new(None) }));
    for number in 0..1_025 {
        append(&store, "t", number..number + 1).await.expect("an append");
    }
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { append(&store, "t", 1_025..1_026).await })
    };
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    assert_eq!(store.list("t")[0].segments, 1_025);
    while store.merge_step().await {}
    let receipt = waiting.await.expect("a task").expect("an append");
    assert_eq!(receipt.rows, 1_026);
    assert_eq!(read(&store, "t").expect("rows"), (0..1_026).collect::<Vec<_>>());
    assert_sound(&store).await;
}
