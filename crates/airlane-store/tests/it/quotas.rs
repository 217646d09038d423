//! Quotas of namespaces: exact at every moment, whoever puts at the same time, and right whatever makes tables larger or smaller.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{
    ByteSize, Durability, Error, NamespaceQuota, PutMode, Quotas, Result, SharedQuotas, Timestamp, codes,
};
use airlane_store::testing::{Fault, FaultDisk, ManualClock, When};
use airlane_store::{PutSpec, Store, StoreOptions};

use crate::support::*;

const LANES: [Durability; 2] = [Durability::Durable, Durability::Ephemeral];

fn quotas(lines: &[(&str, Option<u64>, Option<u64>)]) -> Arc<Quotas> {
    let line = |(pattern, tables, bytes): &(&str, Option<u64>, Option<u64>)| {
        let bytes = bytes.map(ByteSize::bytes);
        (pattern.parse().expect("a pattern"), NamespaceQuota { tables: *tables, bytes, ..NamespaceQuota::default() })
    };
    Arc::new(Quotas::new(lines.iter().map(line).collect(), [], Default::default()))
}

/// A store, and what sets its quotas.
fn limited(folder: &tempfile::TempDir) -> (Store, SharedQuotas) {
    let options = by_hand(options(folder.path()));
    let quotas = options.quotas.clone();
    (open(options), quotas)
}

/// The bytes of so many rows.
async fn bytes_of(rows: i64) -> u64 {
    let store = open(StoreOptions { writer: small_sizes(), ..StoreOptions::new(None) });
    replace(&store, "probe", 0..rows).await.expect("a put").bytes
}

fn assert_exceeded<T: std::fmt::Debug>(outcome: Result<T>, parts: &[&str]) -> Error {
    let error = outcome.expect_err("above the quota");
    let shown = error.to_string();
    assert_eq!(error.code(), codes::QUOTA_EXCEEDED, "{shown}");
    assert!(!error.code().is_retryable() && error.hint_text().is_some());
    parts.iter().for_each(|part| assert!(shown.contains(part), "{part} is not in: {shown}"));
    error
}

/// Puts at the same moment; answers how many were let through.
async fn at_once(puts: Vec<(Store, PutSpec)>) -> usize {
    let mut begun = Vec::new();
    for (number, (store, spec)) in puts.into_iter().enumerate() {
        // Begun before any is committed, so that the commit alone decides.
        let mut put = store.put_batches(spec, schema()).expect("not full yet");
        let first = number as i64 * 10;
        put.append(&batch(first..first + 10)).expect("rows");
        begun.push(put);
    }
    let commits: Vec<_> = begun.into_iter().map(|put| tokio::spawn(put.commit())).collect();
    let mut through = 0;
    for commit in commits {
        match commit.await.expect("no panic") {
            Ok(_) => through += 1,
            Err(error) => drop(assert_exceeded::<()>(Err(error), &["`eu`"])),
        }
    }
    through
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s9_tables_are_exact_under_puts_at_once_of_both_durabilities() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    shared.set(quotas(&[("eu", Some(10), None)]));
    let puts = (0..16).map(|number| {
        let spec = spec(&format!("eu/t{number}"), PutMode::Replace, Some(LANES[number % 2]));
        (store.clone(), spec)
    });
    assert_eq!(at_once(puts.collect()).await, 10);
    assert_eq!((store.namespace_use("eu").0, store.list("eu/").len()), (10, 10));
    assert_exceeded(replace(&store, "eu/more", 0..1).await, &["has 10 tables", "quota is 10"]);
    append(&store, store.list("eu/")[0].table.as_str(), 0..10).await.expect("no new table");
    replace(&store, "us/t", 0..1).await.expect("another namespace");
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s9_bytes_are_exact_under_appends_at_once_of_both_durabilities() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    for (table, lane) in ["eu/d", "eu/e"].into_iter().zip(LANES) {
        put(&store, spec(table, PutMode::Replace, Some(lane)), 0..0).await.expect("an empty table");
    }
    // The rows of the last put are the widest.
    let largest = append(&store, "us/probe", 150..160).await.expect("a put").bytes;
    let limit = largest * 10 + largest / 2;
    shared.set(quotas(&[("eu", None, Some(limit))]));
    let puts = (0..16).map(|number| (store.clone(), spec(["eu/d", "eu/e"][number % 2], PutMode::Append, None)));
    let through = at_once(puts.collect()).await;
    let bytes = store.namespace_use("eu").1.as_u64();
    assert!((10..16).contains(&through), "{through}");
    assert!(bytes <= limit && bytes + largest > limit, "{bytes} of {limit}: as many as find room, and not one more");
    let listed: u64 = store.list("eu/").iter().map(|info| info.bytes).sum();
    assert_eq!(bytes, listed);
    assert_sound(&store).await;
}

#[tokio::test]
async fn what_is_full_is_refused_before_the_upload() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    replace(&store, "eu/a", 0..10).await.expect("a put");
    let (_, used) = store.namespace_use("eu");
    let begin = |table: &str, mode| store.put_batches(spec(table, mode, None), schema()).map(|_| ());
    shared.set(quotas(&[("eu", Some(1), None)]));
    assert_exceeded(begin("eu/b", PutMode::Replace), &["1 tables", "`tables`", "namespace `eu`"]);
    begin("eu/a", PutMode::Append).expect("it is there");
    shared.set(quotas(&[("*", None, Some(used.as_u64()))]));
    assert_exceeded(begin("eu/b", PutMode::Replace), &[&format!("has {} bytes", used.as_u64()), "`bytes`"]);
    assert_exceeded(begin("eu/a", PutMode::Append), &["`eu`"]);
    begin("eu/a", PutMode::Replace).expect("it may be smaller");
    begin("us/a", PutMode::Append).expect("each namespace has a quota of its own");
}

#[tokio::test]
async fn a_lower_quota_refuses_growth_and_deletes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    for table in ["eu/a", "eu/b", "eu/c"] {
        replace(&store, table, 0..100).await.expect("a put");
    }
    let before = store.list("");
    shared.set(quotas(&[("eu", Some(1), Some(100))]));
    assert_eq!(store.list(""), before);
    assert_exceeded(replace(&store, "eu/a", 0..200).await, &["the put adds"]);
    assert_exceeded(append(&store, "eu/a", 0..1).await, &["`eu`"]);
    assert_eq!(store.list(""), before, "a refused put leaves nothing behind");
    replace(&store, "eu/a", 0..50).await.expect("it makes room");
    replace(&store, "eu/a", 0..50).await.expect("of the same size");
    store.drop_table(&name("eu/b")).await.expect("a drop");
    assert_exceeded(replace(&store, "eu/b", 0..1).await, &["2 tables"]);
    assert_sound(&store).await;
    shared.set(Arc::default());
    replace(&store, "eu/b", 0..100).await.expect("no quota any more");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_refused_put_changes_nothing_and_gives_its_name_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    replace(&store, "eu/a", 0..10).await.expect("a put");
    let before = store.list("");
    shared.set(quotas(&[("eu", None, Some(store.namespace_use("eu").1.as_u64() + 1))]));
    let keep = change(&[("ttl", "1h")]);
    for (table, mode) in [("eu/a", PutMode::Append), ("eu/a", PutMode::Replace), ("eu/new", PutMode::Replace)] {
        let spec = PutSpec { retention: keep, ..spec(table, mode, None) };
        assert_exceeded(put(&store, spec, 0..200).await, &["the put adds"]);
    }
    assert_eq!(store.list(""), before);
    shared.set(Arc::default());
    put(&store, spec("eu/new", PutMode::Replace, Some(Durability::Ephemeral)), 0..1).await.expect("the name is free");
    assert_sound(&store).await;
}

#[tokio::test]
async fn totals_follow_appends_replaces_merges_drops_expiry_faults_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let disk = FaultDisk::default();
    let options =
        || by_hand(StoreOptions { clock: clock.clone(), disk: Arc::new(disk.clone()), ..options(folder.path()) });
    let store = open(options());
    let assert_totals = async |store: &Store, tables: u64| {
        let bytes: u64 = store.list("eu/").iter().map(|info| info.bytes).sum();
        assert_eq!(store.namespace_use("eu"), (tables, ByteSize::bytes(bytes)), "{:?}", store.list(""));
        assert_sound(store).await;
    };
    for lane in LANES {
        let table = format!("eu/{lane}");
        put(&store, spec(&table, PutMode::Replace, Some(lane)), 0..2_000).await.expect("a put");
        for first in 0..40 {
            append(&store, &table, first..first + 3).await.expect("an append");
        }
        put(&store, spec(&format!("{table}2"), PutMode::Replace, Some(lane)), 0..5).await.expect("a put");
    }
    assert_totals(&store, 4).await;
    while store.merge_step().await {}
    assert_totals(&store, 4).await;
    replace(&store, "eu/durable", 0..7).await.expect("a put");
    assert_totals(&store, 4).await;
    disk.arm(When::From(1), Fault::Full);
    replace(&store, "eu/durable", 0..9_000).await.expect_err("a full disk");
    disk.disarm();
    assert_totals(&store, 4).await;
    store.drop_table(&name("eu/ephemeral")).await.expect("a drop");
    assert_totals(&store, 3).await;
    store.set_retention(&name("eu/durable2"), change(&[("ttl", "10s")])).await.expect("a retention");
    clock.advance(Duration::from_secs(11));
    assert_eq!(store.namespace_use("eu").0, 3, "it counts until it is swept");
    store.expire_due().await;
    assert_totals(&store, 2).await;
    store.close().await;
    let store = open(options());
    assert_totals(&store, 1).await;
    store.drop_table(&name("eu/durable")).await.expect("a drop");
    assert_totals(&store, 0).await;
}

#[tokio::test]
async fn a_put_takes_the_place_of_an_expired_table_at_the_quota() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let options = by_hand(StoreOptions { clock: clock.clone(), ..options(folder.path()) });
    let shared = options.quotas.clone();
    let store = open(options);
    for lane in LANES {
        let spec = spec("eu/a", PutMode::Append, Some(lane));
        put(&store, PutSpec { retention: change(&[("ttl", "10s")]), ..spec }, 0..10).await.expect("a put");
        shared.set(quotas(&[("eu", Some(1), Some(bytes_of(10).await))]));
        clock.advance(Duration::from_secs(11));
    }
    assert_eq!(store.namespace_use("eu").0, 1);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_repeated_put_is_answered_although_the_namespace_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    let spec = PutSpec { key: Some(key_of("ada", "k")), ..spec("eu/a", PutMode::Append, None) };
    let receipt = put(&store, spec.clone(), 0..10).await.expect("a put");
    shared.set(quotas(&[("eu", Some(0), Some(0))]));
    assert_eq!(put(&store, spec, 0..10).await.expect("the receipt"), receipt);
    assert_exceeded(append(&store, "eu/a", 0..10).await, &["`eu`"]);
}
