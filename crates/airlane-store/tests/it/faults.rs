//! Every operation on the disk fails once, and from some point on: the caller gets an error, nothing leaks, and the
//! next request works.

use std::path::Path;
use std::sync::Arc;

use airlane_model::{Durability, PutMode, Result, Version, codes};
use airlane_store::testing::{Fault, FaultDisk, Operation, When};
use airlane_store::{Store, StoreOptions};

use crate::support::*;

const FAULTS: [Fault; 3] = [Fault::Failed, Fault::Full, Fault::ShortWrite];

/// Operations that a request may take, at most: a bound for the loops below.
const OPERATIONS_MAX: u64 = 200;

fn faulty(folder: &Path, disk: &FaultDisk) -> StoreOptions {
    by_hand(StoreOptions { disk: Arc::new(disk.clone()), ..options(folder) })
}

/// What a request does to table `t`, and the rows it has afterwards.
#[derive(Clone, Copy, Debug)]
enum Request {
    Replace,
    ReplaceSmall,
    Append,
    AppendSmall,
    Drop,
}

impl Request {
    async fn run(self, store: &Store) -> Result<()> {
        match self {
            Self::Replace => replace(store, "t", 100..3_000).await.map(drop),
            Self::ReplaceSmall => replace(store, "t", 100..105).await.map(drop),
            Self::Append => append(store, "t", 1_000..3_000).await.map(drop),
            Self::AppendSmall => append(store, "t", 1_000..1_005).await.map(drop),
            Self::Drop => store.drop_table(&name("t")).await.map(drop),
        }
    }

    fn expected(self) -> Option<Vec<i64>> {
        match self {
            Self::Replace => Some((100..3_000).collect()),
            Self::ReplaceSmall => Some((100..105).collect()),
            Self::Append => Some((0..3_000).collect()),
            Self::AppendSmall => Some((0..1_005).collect()),
            Self::Drop => None,
        }
    }
}

fn rows(store: &Store, table: &str) -> Option<Vec<i64>> {
    match read(store, table) {
        Ok(rows) => Some(rows),
        Err(error) if error.code() == codes::TABLE_NOT_FOUND => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn d2_d5_the_nth_operation_of_a_request_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let mut store = open(faulty(folder.path(), &disk));
    replace(&store, "bystander", 0..2_000).await.expect("a put");
    let before: Vec<i64> = (0..1_000).collect();
    let mut failures = 0;
    for request in [Request::Replace, Request::ReplaceSmall, Request::Append, Request::AppendSmall, Request::Drop] {
        for fault in FAULTS {
            for when in [When::Once, When::From] {
                for nth in 1.. {
                    assert!(nth < OPERATIONS_MAX, "{request:?} takes no end of operations");
                    replace(&store, "t", 0..1_000).await.expect("a put before");
                    store.settle().await;
                    disk.arm(when(nth), fault);
                    let outcome = request.run(&store).await;
                    store.settle().await;
                    let operations = disk.disarm();
                    let case = format!("{request:?}, {fault:?}, {:?}: {outcome:?}", when(nth));
                    let left = rows(&store, "t");
                    match &outcome {
                        Ok(()) => assert_eq!(left, request.expected(), "{case}"),
                        Err(error) if error.message().starts_with("the table is dropped, but") => {
                            assert_eq!(left, None, "{case}");
                        }
                        Err(_) => assert_eq!(left, Some(before.clone()), "{case}"),
                    }
                    if let Err(error) = &outcome {
                        failures += 1;
                        let full = fault == Fault::Full;
                        let expected = if full { codes::STORAGE_FULL } else { codes::STORAGE_FAILED };
                        assert_eq!(error.code(), expected, "{case}");
                        assert_ne!(fault, Fault::ShortWrite, "a short write is gone on with: {case}");
                    }
                    if store.failure().is_some() {
                        // The catalog's file could not be synced: a new start copies its log anew.
                        assert!(matches!(request, Request::Drop) && fault == Fault::Failed, "{case}");
                        store.close().await;
                        store = open(faulty(folder.path(), &disk));
                    }
                    assert_eq!(rows(&store, "bystander").map(|rows| rows.len()), Some(2_000), "{case}");
                    replace(&store, "t", 0..3).await.expect("the next put works");
                    assert_sound(&store).await;
                    if nth > operations {
                        assert!(outcome.is_ok(), "{case}");
                        break;
                    }
                }
            }
        }
    }
    assert!(failures > 50, "only {failures} requests failed");
    store.close().await;
    let again = open(options(folder.path()));
    assert_eq!(rows(&again, "t"), Some(vec![0, 1, 2]));
    assert_sound(&again).await;
}

/// A reader meets a failing disk after a restart, when nothing is in memory yet: its own read fails, and no other.
///
/// EIO of a segment's file is taken for a bad sector: the segment counts as damaged until the next start, which looks
/// again. Any other failure, and any of the catalog, says nothing about the bytes, so the next read tries again.
#[tokio::test]
async fn the_nth_operation_of_a_read_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    replace(&store, "t", 0..1_500).await.expect("a put");
    append(&store, "t", 1_500..1_503).await.expect("an append");
    replace(&store, "bystander", 0..2_000).await.expect("a put");
    store.close().await;
    let expected: Vec<i64> = (0..1_503).collect();
    for (fault, code) in [(Fault::Failed, codes::STORAGE_FAILED), (Fault::Full, codes::STORAGE_FULL)] {
        let mut failed = Vec::new();
        for nth in 1.. {
            assert!(nth < OPERATIONS_MAX, "a read takes no end of operations");
            let store = open(faulty(folder.path(), &disk));
            disk.take_log();
            disk.arm(When::Once(nth), fault);
            let outcome = read(&store, "t");
            let operations = disk.disarm();
            let case = format!("{fault:?} of operation {nth}: {outcome:?}");
            if nth > operations {
                assert_eq!(outcome.expect("a clean run"), expected);
                store.close().await;
                break;
            }
            let error = outcome.expect_err("a failed operation");
            assert!(error.place().is_some_and(|place| place.contains("table `t`")), "{case}");
            let log = disk.take_log();
            let (operation, of) = log.last().expect("an operation");
            failed.push(*operation);
            if fault == Fault::Failed && of.ends_with(".arrow") {
                assert_eq!(error.code(), codes::DATA_DAMAGED, "{case}");
                assert_eq!(read(&store, "t").expect_err("damaged").code(), codes::DATA_DAMAGED, "{case}");
            } else {
                assert_eq!(error.code(), code, "{case}");
                assert_eq!(read(&store, "t").expect("the next read works"), expected, "{case}");
            }
            assert_eq!(rows(&store, "bystander").map(|rows| rows.len()), Some(2_000), "{case}");
            append(&store, "other", 0..1).await.expect("puts go on");
            assert_eq!(store.failure(), None, "{case}");
            store.close().await;
            let again = open(options(folder.path()));
            assert_eq!(read(&again, "t").expect("nothing is lost"), expected, "{case}");
            again.close().await;
        }
        for operation in [Operation::Len, Operation::Open, Operation::Read, Operation::Body] {
            assert!(failed.contains(&operation), "no {operation:?} in {failed:?}");
        }
    }
}

/// Ephemeral tables never wait for a disk, not even for one that fails everything.
#[tokio::test]
async fn ephemeral_tables_need_no_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    // Merges run too: in the background, as in a server.
    let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..options(folder.path()) });
    disk.arm(When::From(1), Fault::Failed);
    disk.take_log();
    let ephemeral = |table: &str, mode| spec(table, mode, Some(Durability::Ephemeral));
    put(&store, ephemeral("large", PutMode::Replace), 0..5_000).await.expect("a put");
    put(&store, ephemeral("small", PutMode::Replace), 0..3).await.expect("a put");
    for part in 0..40 {
        append(&store, "large", 5_000 + part * 50..5_050 + part * 50).await.expect("an append");
        append(&store, "small", 3 + part..4 + part).await.expect("an append");
    }
    let older = store.snapshot(&name("large"), Version::new(1), None).expect("an older version");
    assert_eq!(keys(&older).expect("rows").len(), 5_000);
    replace(&store, "large", 0..7_000).await.expect("a replace");
    store.settle().await;
    assert_eq!(rows(&store, "large"), Some((0..7_000).collect()));
    assert_eq!(rows(&store, "small"), Some((0..43).collect()));
    assert!(store.list("small")[0].segments < 41, "small segments were merged");
    for table in ["large", "small"] {
        store.drop_table(&name(table)).await.expect("a drop");
        assert_eq!(rows(&store, table), None);
    }
    assert_eq!(disk.take_log(), []);
    assert_eq!(replace(&store, "t", 0..1).await.expect_err("a durable put").code(), codes::STORAGE_FAILED);
}

#[tokio::test]
async fn the_nth_operation_of_a_merge_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    let mut failures = 0;
    for fault in FAULTS {
        for when in [When::Once, When::From] {
            for nth in 1.. {
                assert!(nth < OPERATIONS_MAX, "a merge takes no end of operations");
                replace(&store, "t", 0..40).await.expect("a put");
                for part in 1..9 {
                    append(&store, "t", part * 40..(part + 1) * 40).await.expect("an append");
                }
                let before = store.list("t")[0].segments;
                disk.arm(when(nth), fault);
                assert!(store.merge_step().await, "there is something to merge");
                store.settle().await;
                let operations = disk.disarm();
                let after = store.list("t")[0].segments;
                failures += u64::from(before == after);
                assert_eq!(rows(&store, "t"), Some((0..360).collect()), "{fault:?} {:?}", when(nth));
                append(&store, "t", 360..361).await.expect("an append");
                while store.merge_step().await {}
                assert!(store.list("t")[0].segments < before, "the next append merges");
                assert_eq!(rows(&store, "t"), Some((0..361).collect()));
                assert_sound(&store).await;
                if nth > operations {
                    assert!(after < before);
                    break;
                }
            }
        }
    }
    assert!(failures > 10, "only {failures} merges failed");
}

/// A table that cannot be merged for a bug is left as it is, and others are merged.
#[tokio::test]
async fn a_merge_that_panics_is_the_last_of_its_segments_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    for part in 0..9 {
        for table in ["first", "second"] {
            append(&store, table, part * 40..(part + 1) * 40).await.expect("an append");
        }
    }
    disk.arm(When::Once(1), Fault::Panic);
    assert!(store.merge_step().await, "there is something to merge");
    disk.disarm();
    let mut steps = 0;
    while store.merge_step().await {
        steps += 1;
        assert!(steps < 20, "what panicked is not tried again");
    }
    let segments = |table: &str| store.list(table)[0].segments;
    assert_eq!((segments("first"), segments("second") < 9), (9, true));
    append(&store, "first", 360..361).await.expect("an append");
    for table in ["first", "second"] {
        assert!(rows(&store, table).is_some_and(|rows| rows.len() >= 360));
    }
    assert_sound(&store).await;
}

#[tokio::test]
async fn the_nth_operation_of_a_start_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    let put = replace(&store, "t", 0..3_000).await.expect("a put");
    replace(&store, "small", 0..3).await.expect("a put");
    store.close().await;
    let orphan = folder.path().join("segments").join(format!("{:032x}.arrow", 7));
    let mut failures = 0;
    for fault in FAULTS {
        for when in [When::Once, When::From] {
            for nth in 1.. {
                assert!(nth < OPERATIONS_MAX, "a start takes no end of operations");
                std::fs::write(&orphan, b"of a put that was not committed").expect("an orphan");
                std::fs::write(folder.path().join("damaged"), format!("{:032x}\n", 7)).expect("a report");
                disk.arm(when(nth), fault);
                let outcome = Store::open(faulty(folder.path(), &disk));
                let operations = disk.disarm();
                failures += u64::from(outcome.is_err());
                if let Ok((store, recovery)) = &outcome {
                    assert_eq!(recovery.damaged, [], "{fault:?} {:?}", when(nth));
                    store.close().await;
                }
                let opened = outcome.is_ok();
                drop(outcome);
                let (store, recovery) = Store::open(faulty(folder.path(), &disk)).expect("the next start works");
                assert_eq!((recovery.tables, recovery.damaged.len()), (2, 0));
                assert_eq!(rows(&store, "t"), Some((0..3_000).collect()));
                assert_eq!(store.list("t")[0].table_id, put.table_id);
                assert_eq!(rows(&store, "small"), Some(vec![0, 1, 2]));
                assert!(!orphan.exists());
                assert_sound(&store).await;
                store.close().await;
                if nth > operations {
                    assert!(opened);
                    break;
                }
            }
        }
    }
    assert!(failures > 10, "only {failures} starts failed");
}

#[tokio::test]
async fn the_nth_operation_of_a_first_start_fails() {
    let disk = FaultDisk::default();
    for fault in [Fault::Failed, Fault::Full] {
        for nth in 1.. {
            assert!(nth < OPERATIONS_MAX, "a start takes no end of operations");
            let folder = tempfile::tempdir().expect("a folder");
            let root = folder.path().join("data");
            disk.arm(When::Once(nth), fault);
            let outcome = Store::open(faulty(&root, &disk));
            let operations = disk.disarm();
            let opened = outcome.is_ok();
            drop(outcome);
            let store = open(faulty(&root, &disk));
            replace(&store, "t", 0..3_000).await.expect("a put");
            assert_sound(&store).await;
            if nth > operations {
                assert!(opened);
                break;
            }
        }
    }
}

/// A commit whose outcome is unknown ends the store; the next start decides.
#[tokio::test]
async fn d2_an_unknown_commit_ends_the_store_and_the_next_start_decides() {
    for (fault, kept) in [(Fault::UnknownKept, true), (Fault::UnknownLost, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FaultDisk::default();
        let store = open(faulty(folder.path(), &disk));
        replace(&store, "t", 0..10).await.expect("a put");
        let failed = store.failed();
        disk.arm(When::From(1), fault);
        let error = replace(&store, "t", 0..3_000).await.expect_err("an unknown outcome");
        assert_eq!(error.code(), codes::COMMIT_UNKNOWN);
        assert!(store.failure().is_some());
        assert_eq!(Some(failed.await), store.failure());
        disk.disarm();
        assert_eq!(read(&store, "t").expect("reads go on"), (0..10).collect::<Vec<_>>());
        for refused in [replace(&store, "u", 0..1).await, append(&store, "t", 0..1).await] {
            assert_eq!(refused.expect_err("no more puts").code(), codes::SHUTTING_DOWN);
        }
        assert_eq!(store.drop_table(&name("t")).await.expect_err("no drops").code(), codes::SHUTTING_DOWN);
        store.close().await;
        assert!(store.failure().is_some(), "closing does not hide the reason");

        let (again, recovery) = Store::open(options(folder.path())).expect("the store opens");
        assert_eq!(recovery.orphans_removed > 0, !kept, "{recovery:?}");
        let rows = if kept { 3_000 } else { 10 };
        assert_eq!(read(&again, "t").expect("rows"), (0..rows).collect::<Vec<_>>());
        assert_sound(&again).await;
    }
}

/// Each file is synced after its last write, then the folder, and only then the catalog names them; what they
/// supersede goes after that.
#[tokio::test]
async fn d1_d3_data_is_synced_before_names_and_names_before_the_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    replace(&store, "t", 0..3_000).await.expect("a put");
    let old = files(folder.path());
    store.settle().await;
    disk.take_log();
    replace(&store, "t", 0..3_000).await.expect("a put");
    store.settle().await;
    let log = disk.take_log();
    let new = files(folder.path());
    assert!(new.len() > 2 && old.len() == new.len(), "{new:?}");
    let at = |operation: Operation, name: &str| {
        let found = log.iter().position(|(done, of)| *done == operation && of == name);
        found.unwrap_or_else(|| panic!("no {operation:?} of {name} in {log:?}"))
    };
    let folder_synced = at(Operation::SyncDir, "segments");
    let committed = at(Operation::Commit, "catalog");
    assert!(folder_synced < committed);
    assert_eq!(log.iter().filter(|(operation, _)| *operation == Operation::Commit).count(), 1);
    for file in &new {
        let synced = at(Operation::SyncData, file);
        assert!(at(Operation::Create, file) < synced && synced < folder_synced, "{file}");
        let touched = log.iter().rposition(|(operation, of)| {
            of == file && matches!(operation, Operation::Write | Operation::SetLen | Operation::SyncData)
        });
        assert_eq!(touched, Some(synced), "{file} is not touched after its one sync");
    }
    assert!(old.iter().all(|file| at(Operation::Unlink, file) > committed));

    // A small put makes no file and needs one sync: that of the catalog.
    disk.take_log();
    replace(&store, "small", 0..3).await.expect("a put");
    assert_eq!(disk.take_log(), [(Operation::Commit, "catalog".into())]);
}

/// Each level of a new folder has a durable name before anything lies in it, and all names before the first commit.
#[tokio::test]
async fn d1_d3_a_new_data_folder_has_a_durable_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let top = folder.path().join("top");
    std::fs::create_dir(&top).expect("a folder");
    let root = top.join("middle/data");
    let disk = FaultDisk::default();
    let store = open(faulty(&root, &disk));
    replace(&store, "t", 0..3_000).await.expect("a put");
    let log = disk.take_log();
    let first = |operation: Operation, name: &str| {
        let found = log.iter().position(|(done, of)| *done == operation && of == name);
        found.unwrap_or_else(|| panic!("no {operation:?} of {name} in {log:?}"))
    };
    let last = |operation: Operation, name: &str| {
        log.iter().rposition(|(done, of)| *done == operation && of == name).unwrap_or_default()
    };
    let made = |name: &str| last(Operation::CreateDir, name);
    assert!(made("middle") < first(Operation::SyncDir, "top"), "{log:?}");
    assert!(first(Operation::SyncDir, "top") < made("data"), "{log:?}");
    assert!(made("data") < first(Operation::SyncDir, "middle"), "{log:?}");
    assert!(first(Operation::SyncDir, "middle") < first(Operation::Create, "FORMAT.new"), "{log:?}");
    let (synced, committed) = (last(Operation::SyncDir, "data"), first(Operation::Commit, "catalog"));
    assert!(made("segments") < synced && last(Operation::OpenCatalog, "catalog.db") < synced, "{log:?}");
    assert!(synced < committed && first(Operation::SyncDir, "segments") < committed, "{log:?}");

    // Whoever made a folder may not have synced its name, and neither may an earlier start that was interrupted.
    store.close().await;
    disk.take_log();
    let again = open(faulty(&root, &disk));
    assert!(disk.take_log().contains(&(Operation::SyncDir, "middle".into())));
    assert_eq!(rows(&again, "t").map(|rows| rows.len()), Some(3_000));
}

/// Puts that wait while the disk syncs share the next sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d1_puts_that_wait_share_a_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(faulty(folder.path(), &disk));
    disk.take_log();
    let mut puts = tokio::task::JoinSet::new();
    for client in 0..64 {
        let store = store.clone();
        puts.spawn(async move {
            for round in 0..4 {
                let done = put(&store, spec(&format!("t{client}"), PutMode::Replace, None), round..round + 10).await;
                assert_eq!(done.expect("a put").version.get(), round as u64 + 1);
            }
        });
    }
    puts.join_all().await;
    let commits = disk.take_log().iter().filter(|(operation, _)| *operation == Operation::Commit).count();
    assert!(commits < 200, "{commits} commits for 256 puts");
    assert!(commits >= 4, "at most 64 share one");
    assert_sound(&store).await;
}
