//! Puts with idempotency keys: done once, however often and from wherever they are repeated (P7).

use std::ops::Range;
use std::sync::Arc;

use airlane_model::{Durability, PutMode, Receipt, Result, Version, codes};
use airlane_store::testing::{Fault, FaultDisk, Operation, When};
use airlane_store::{PutSpec, Store, StoreOptions};

use crate::support::*;

pub(crate) const BOTH: [Durability; 2] = [Durability::Durable, Durability::Ephemeral];

pub(crate) fn keyed(table: &str, mode: PutMode, durability: Option<Durability>, key: &str) -> PutSpec {
    PutSpec { key: Some(key_of("ada", key)), ..spec(table, mode, durability) }
}

pub(crate) async fn append_keyed(store: &Store, table: &str, key: &str, keys: Range<i64>) -> Result<Receipt> {
    put(store, keyed(table, PutMode::Append, None, key), keys).await
}

async fn replace_keyed(store: &Store, table: &str, key: &str, keys: Range<i64>) -> Result<Receipt> {
    put(store, keyed(table, PutMode::Replace, None, key), keys).await
}

fn version(store: &Store, table: &str) -> u64 {
    store.snapshot(&name(table), None, None).expect("a table").info().version.get()
}

fn is_conflict(outcome: Result<Receipt>) {
    let error = outcome.expect_err("another content");
    assert_eq!(error.code(), codes::IDEMPOTENCY_CONFLICT, "{error}");
    assert!(error.place().is_some() && error.hint_text().is_some(), "{error}");
}

/// The answer was lost: the client puts again, and again after the table has changed.
#[tokio::test]
async fn p7_a_repeated_put_is_answered_the_same_and_done_once() {
    for durability in BOTH {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(options(folder.path()));
        let append = |keys| put(&store, keyed("t", PutMode::Append, Some(durability), "first"), keys);
        let receipt = append(0..10).await.expect("a put");
        assert_eq!((receipt.version.get(), receipt.rows, receipt.rows_put), (1, 10, 10));
        for _ in 0..3 {
            assert_eq!(append(0..10).await.expect("the same put"), receipt);
        }
        assert_eq!(read(&store, "t").expect("rows"), (0..10).collect::<Vec<_>>());

        let second = append_keyed(&store, "t", "second", 10..500).await.expect("another put");
        assert_eq!((second.version.get(), second.rows, second.rows_put), (2, 500, 490));
        replace(&store, "t", 0..3).await.expect("a put without a key");
        assert_eq!(append(0..10).await.expect("the first again"), receipt);
        assert_eq!(append_keyed(&store, "t", "second", 10..500).await.expect("the second again"), second);
        assert_eq!((version(&store, "t"), read(&store, "t").expect("rows").len()), (3, 3));
        assert_eq!(store.idempotency_keys(), 2);
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn p7_another_content_with_the_same_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let receipt = replace_keyed(&store, "t", "k", 0..10).await.expect("a put");
    is_conflict(replace_keyed(&store, "t", "k", 0..11).await);
    is_conflict(replace_keyed(&store, "t", "k", 1..11).await);
    is_conflict(replace_keyed(&store, "t", "k", 0..0).await);
    is_conflict(append_keyed(&store, "t", "k", 0..10).await);
    is_conflict(put(&store, keyed("t", PutMode::Replace, Some(Durability::Durable), "k"), 0..10).await);
    is_conflict(put(&store, keyed("t", PutMode::Replace, Some(Durability::Ephemeral), "k"), 0..10).await);
    let kept = PutSpec { retention: change(&[("ttl", "1h")]), ..keyed("t", PutMode::Replace, None, "k") };
    is_conflict(put(&store, kept, 0..10).await);
    assert_eq!(replace_keyed(&store, "t", "k", 0..10).await.expect("the same"), receipt);
    assert_eq!((version(&store, "t"), store.idempotency_keys()), (1, 1));
    assert!(files(folder.path()).is_empty());
}

/// A key is one of a caller and of a table; what another does with the same text is its own.
#[tokio::test]
async fn p7_callers_and_tables_have_keys_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    for (caller, table, keys) in [("ada", "t", 0..1), ("bob", "t", 0..2), ("ada", "eu/t", 0..3), ("", "t", 0..4)] {
        let spec = || PutSpec { key: Some(key_of(caller, "k")), ..spec(table, PutMode::Replace, None) };
        let first = put(&store, spec(), keys.clone()).await.expect("a put");
        assert_eq!(first.rows, keys.end.unsigned_abs());
        assert_eq!(put(&store, spec(), keys).await.expect("the same"), first);
    }
    assert_eq!((store.idempotency_keys(), version(&store, "t"), version(&store, "eu/t")), (4, 3, 1));
}

/// The rows count, not how they were cut into messages.
#[tokio::test]
async fn p7_a_repetition_may_cut_its_rows_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let whole = append_keyed(&store, "t", "k", 0..1_000).await.expect("a put");
    let mut put = store.put_batches(keyed("t", PutMode::Append, None, "k"), schema()).expect("a put");
    for start in (0..1_000).step_by(125) {
        put.append(&batch(start..start + 125)).expect("rows");
    }
    assert_eq!(put.rows(), 1_000);
    assert_eq!(put.commit().await.expect("the same rows"), whole);
    assert_eq!(version(&store, "t"), 1);
}

/// A repetition stores nothing, not even for a moment: a full disk does not matter to it.
#[tokio::test]
async fn p7_a_repetition_touches_no_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..by_hand(options(folder.path())) });
    let receipt = replace_keyed(&store, "t", "k", 0..5_000).await.expect("a put");
    store.settle().await;
    let before = files(folder.path());
    disk.take_log();
    assert_eq!(replace_keyed(&store, "t", "k", 0..5_000).await.expect("the same"), receipt);
    let log: Vec<_> = disk.take_log().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(log, [Operation::FindKey], "the key is looked up, and that is all");
    assert_eq!(files(folder.path()), before);
}

#[tokio::test]
async fn p7_keys_of_durable_tables_survive_restarts_merges_and_drops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut receipts = Vec::new();
    let store = open(by_hand(options(folder.path())));
    for part in 0..20 {
        receipts
            .push(append_keyed(&store, "t", &format!("part {part}"), part * 9..(part + 1) * 9).await.expect("a put"));
    }
    while store.merge_step().await {}
    let gone = append_keyed(&store, "gone", "k", 0..2_000).await.expect("a put");
    store.drop_table(&name("gone")).await.expect("a drop");
    store.close().await;

    let store = open(by_hand(options(folder.path())));
    assert_eq!(store.idempotency_keys(), 21);
    for (part, receipt) in (0..).zip(&receipts) {
        let again = append_keyed(&store, "t", &format!("part {part}"), part * 9..(part + 1) * 9).await;
        assert_eq!(again.expect("the same"), *receipt);
    }
    assert_eq!(read(&store, "t").expect("rows"), (0..180).collect::<Vec<_>>());
    // The put was done, and then the table was dropped. Repeating the put brings nothing back.
    assert_eq!(append_keyed(&store, "gone", "k", 0..2_000).await.expect("the same"), gone);
    assert_eq!(read(&store, "gone").expect_err("dropped").code(), codes::TABLE_NOT_FOUND);
    // Nor is it asked what became of the name since.
    put(&store, spec("gone", PutMode::Replace, Some(Durability::Ephemeral)), 0..1).await.expect("a new table");
    assert_eq!(append_keyed(&store, "gone", "k", 0..2_000).await.expect("the same"), gone);
    is_conflict(append_keyed(&store, "gone", "k", 0..2_001).await);
    let fresh = append_keyed(&store, "gone", "other", 1..2).await.expect("another put");
    assert_eq!((fresh.version.get(), fresh.durability), (2, Durability::Ephemeral));
    assert_sound(&store).await;
    store.close().await;
}

#[tokio::test]
async fn p7_keys_of_ephemeral_tables_go_with_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let put_once = async |store: &Store| {
        put(store, keyed("t", PutMode::Append, Some(Durability::Ephemeral), "k"), 0..5).await.expect("a put")
    };
    let store = open(options(folder.path()));
    let first = put_once(&store).await;
    assert_eq!(put_once(&store).await, first);
    store.close().await;
    let store = open(options(folder.path()));
    assert_eq!(store.idempotency_keys(), 0);
    let second = put_once(&store).await;
    assert_ne!(second.table_id, first.table_id);
    assert_eq!(read(&store, "t").expect("rows").len(), 5);
}

/// The other schema that a table got meanwhile is no matter of a put that was done before.
#[tokio::test]
async fn p7_a_repetition_is_not_judged_by_the_table_of_today() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let receipt = append_keyed(&store, "t", "k", 0..5).await.expect("a put");
    let other = arrow_schema::Schema::new(vec![arrow_schema::Field::new("x", arrow_schema::DataType::Int8, true)]);
    let other = airlane_segment::TableSchema::from_arrow(&other).expect("a schema");
    store
        .put_batches(spec("t", PutMode::Replace, None), other.clone())
        .expect("a put")
        .commit()
        .await
        .expect("replaced");
    assert_eq!(append_keyed(&store, "t", "k", 0..5).await.expect("the same"), receipt);
    assert_eq!(append(&store, "t", 0..5).await.expect_err("without the key").code(), codes::SCHEMA_MISMATCH);
    let changed = store.put_batches(keyed("t", PutMode::Append, None, "k"), other).expect("a put").commit().await;
    is_conflict(changed);
}

/// Each thread is one that retries after its own timeout: all get the one receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p7_twins_at_the_same_time_are_one_put() {
    for (durability, rows) in [(Durability::Durable, 20), (Durability::Durable, 2_000), (Durability::Ephemeral, 20)] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(options(folder.path()));
        for round in 0..5_u64 {
            let key = format!("round {round}");
            let twins: Vec<_> = (0..24)
                .map(|_| {
                    let (store, spec) = (store.clone(), keyed("t", PutMode::Append, Some(durability), &key));
                    tokio::spawn(async move { put(&store, spec, 0..rows).await.expect("a put") })
                })
                .collect();
            let mut receipts = Vec::new();
            for twin in twins {
                receipts.push(twin.await.expect("no panic"));
            }
            assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
            assert_eq!((receipts[0].version.get(), receipts[0].rows), (round + 1, (round + 1) * rows.unsigned_abs()));
            assert_eq!(version(&store, "t"), round + 1);
        }
        assert_sound(&store).await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p7_of_two_contents_at_the_same_time_one_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    for round in 0..10_i64 {
        let key = format!("round {round}");
        let puts: Vec<_> = (1..9_i64)
            .map(|rows| {
                let (store, spec) = (store.clone(), keyed("t", PutMode::Replace, None, &key));
                tokio::spawn(async move { put(&store, spec, 0..rows).await })
            })
            .collect();
        let mut kept = Vec::new();
        for put in puts {
            match put.await.expect("no panic") {
                Ok(receipt) => kept.push(receipt.rows),
                refused => is_conflict(refused),
            }
        }
        assert_eq!(kept.len(), 1);
        assert_eq!(read(&store, "t").expect("rows").len() as u64, kept[0]);
    }
}

/// A client that stalls in the midst of its put holds nobody up, and is answered like all when it goes on.
#[tokio::test]
async fn p7_a_put_that_stalls_holds_no_other_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let mut stalled = store.put_batches(keyed("t", PutMode::Append, None, "k"), schema()).expect("a put");
    stalled.append(&batch(0..1_000)).expect("rows");
    let mut dropped = store.put_batches(keyed("t", PutMode::Append, None, "k"), schema()).expect("a put");
    dropped.append(&batch(0..1_000)).expect("rows");
    let mut differing = store.put_batches(keyed("t", PutMode::Append, None, "k"), schema()).expect("a put");
    differing.append(&batch(0..1_001)).expect("rows");
    drop(dropped);
    let receipt = append_keyed(&store, "t", "k", 0..1_000).await.expect("a put");
    assert_eq!(stalled.commit().await.expect("the same put"), receipt);
    is_conflict(differing.commit().await);
    assert_eq!(version(&store, "t"), 1);
    // What the others had stored is gone.
    assert_sound(&store).await;
}

#[tokio::test]
async fn p7_after_a_put_that_failed_the_next_is_the_first() {
    for (fault, code) in [(Fault::Failed, codes::STORAGE_FAILED), (Fault::Full, codes::STORAGE_FULL)] {
        for rows in [10, 2_000] {
            let folder = tempfile::tempdir().expect("a folder");
            let disk = FaultDisk::default();
            let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..by_hand(options(folder.path())) });
            disk.arm(When::From(1), fault);
            assert_eq!(append_keyed(&store, "t", "k", 0..rows).await.expect_err("a fault").code(), code);
            disk.disarm();
            assert_eq!(store.idempotency_keys(), 0);
            // Nothing is known of the first, so that this may even be another content.
            let receipt = append_keyed(&store, "t", "k", 0..rows + 1).await.expect("a put");
            assert_eq!(receipt.rows_put, rows.unsigned_abs() + 1);
            is_conflict(append_keyed(&store, "t", "k", 0..rows).await);
            store.settle().await;
            assert_sound(&store).await;
        }
    }
}

/// The commit was not confirmed. After the restart the key tells what became of it.
#[tokio::test]
async fn p7_d1_after_an_unknown_commit_a_repetition_makes_certain() {
    for (fault, version_after) in [(Fault::UnknownKept, 2), (Fault::UnknownLost, 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = FaultDisk::default();
        let over = || StoreOptions { disk: Arc::new(disk.clone()), ..by_hand(options(folder.path())) };
        let store = open(over());
        append(&store, "t", 0..5).await.expect("a put");
        disk.arm(When::From(1), fault);
        assert_eq!(append_keyed(&store, "t", "k", 5..9).await.expect_err("unknown").code(), codes::COMMIT_UNKNOWN);
        disk.disarm();
        assert_eq!(append_keyed(&store, "t", "k", 5..9).await.expect_err("it stops").code(), codes::SHUTTING_DOWN);
        store.close().await;
        let store = open(over());
        let receipt = append_keyed(&store, "t", "k", 5..9).await.expect("a put");
        assert_eq!((receipt.version.get(), receipt.rows), (version_after, 9), "{fault:?}");
        assert_eq!(read(&store, "t").expect("rows"), (0..9).collect::<Vec<_>>());
        assert_sound(&store).await;
        store.close().await;
    }
}

/// A key that cannot be looked up refuses the put: done twice is worse.
#[tokio::test]
async fn p7_d4_a_key_that_cannot_be_read_refuses_the_put() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let over = || StoreOptions { disk: Arc::new(disk.clone()), ..by_hand(options(folder.path())) };
    let store = open(over());
    let receipt = append_keyed(&store, "t", "k", 0..5).await.expect("a put");
    disk.arm(When::Once(1), Fault::Failed);
    assert_eq!(append_keyed(&store, "t", "k", 0..5).await.expect_err("EIO").code(), codes::STORAGE_FAILED);
    disk.disarm();
    assert_eq!(append_keyed(&store, "t", "k", 0..5).await.expect("the same"), receipt);
    store.close().await;
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
    assert_eq!(catalog.execute("UPDATE put_keys SET rows = rows + 1", []).expect("damage"), 1);
    drop(catalog);
    let (store, recovery) = Store::open(over()).expect("the store opens");
    assert!(recovery.damaged.is_empty(), "no table is damaged");
    let error = append_keyed(&store, "t", "k", 0..5).await.expect_err("damaged");
    assert_eq!(error.code(), codes::DATA_DAMAGED);
    assert!(error.hint_text().is_some_and(|hint| hint.contains("another key")), "{error}");
    append_keyed(&store, "t", "another", 5..9).await.expect("a put");
    assert_eq!(read(&store, "t").expect("rows"), (0..9).collect::<Vec<_>>());
}

/// Not even when it is the number that is damaged by which keys are found.
#[tokio::test]
async fn p7_d4_a_key_whose_hash_is_damaged_refuses_the_put() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    append_keyed(&store, "t", "k", 0..5).await.expect("a put");
    store.close().await;
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
    assert_eq!(catalog.execute("UPDATE put_keys SET hash = hash + 1", []).expect("damage"), 1);
    drop(catalog);
    let store = open(by_hand(options(folder.path())));
    for _ in 0..2 {
        let error = append_keyed(&store, "t", "k", 0..5).await.expect_err("damaged");
        assert_eq!(error.code(), codes::DATA_DAMAGED);
    }
    append_keyed(&store, "t", "another", 5..9).await.expect("a put");
    assert_eq!(read(&store, "t").expect("rows"), (0..9).collect::<Vec<_>>());
}

/// Killed after the commit and before the answer; the retry gets the receipt of what was committed.
#[tokio::test]
async fn p7_d1_keys_and_versions_are_one_transaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FaultDisk::default();
    let over = || StoreOptions { disk: Arc::new(disk.clone()), ..by_hand(options(folder.path())) };
    let mut store = open(over());
    let mut rows = 0;
    // Each operation of a put fails in turn, and then all that follow; it is repeated until it succeeds.
    for nth in 1..14 {
        let key = format!("put {nth}");
        disk.arm(When::From(nth), Fault::Failed);
        let outcome = append_keyed(&store, "t", &key, rows..rows + 700).await;
        disk.disarm();
        if store.failure().is_some() {
            store.close().await;
            store = open(over());
        }
        let receipt = append_keyed(&store, "t", &key, rows..rows + 700).await.expect("repeated");
        if let Ok(first) = outcome {
            assert_eq!(receipt, first);
        }
        rows += 700;
        assert_eq!((receipt.rows, receipt.version), (rows.unsigned_abs(), Version::new(nth).expect("from 1")));
        assert_eq!(read(&store, "t").expect("rows"), (0..rows).collect::<Vec<_>>());
    }
    store.settle().await;
    assert_sound(&store).await;
}
