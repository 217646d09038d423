//! Quotas of namespaces and owners: exact at every moment, whoever puts at the same time, and right whatever makes tables larger or smaller.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{
    ByteSize, Durability, Error, PutMode, Quota, Quotas, Receipt, Result, SharedQuotas, Timestamp, codes,
};
use airlane_store::testing::{Fault, FaultDisk, ManualClock, When};
use airlane_store::{PutSpec, Store, StoreOptions};

use crate::support::*;

const LANES: [Durability; 2] = [Durability::Durable, Durability::Ephemeral];

fn quotas(lines: &[(&str, Option<u64>, Option<u64>)]) -> Arc<Quotas> {
    let line = |(pattern, tables, bytes): &(&str, Option<u64>, Option<u64>)| {
        let bytes = bytes.map(ByteSize::bytes);
        (pattern.parse().expect("a pattern"), Quota { tables: *tables, bytes, ..Quota::default() })
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
async fn at_once(puts: Vec<(Store, PutSpec)>, refused: &str) -> usize {
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
            Err(error) => drop(assert_exceeded::<()>(Err(error), &[refused])),
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
    assert_eq!(at_once(puts.collect(), "`eu`").await, 10);
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
    let through = at_once(puts.collect(), "`eu`").await;
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

fn of_callers(lines: &[(&str, Option<u64>, Option<u64>)]) -> Arc<Quotas> {
    let line = |(caller, tables, bytes): &(&str, Option<u64>, Option<u64>)| {
        (Box::from(*caller), Quota { tables: *tables, bytes: bytes.map(ByteSize::bytes), ..Quota::default() })
    };
    Arc::new(Quotas::new(Vec::new(), lines.iter().map(line), Quota::default()))
}

fn by(caller: &str, spec: PutSpec) -> PutSpec {
    PutSpec { caller: Some(caller.into()), ..spec }
}

async fn replace_as(store: &Store, caller: &str, table: &str, keys: std::ops::Range<i64>) -> Result<Receipt> {
    put(store, by(caller, spec(table, PutMode::Replace, None)), keys).await
}

async fn append_as(store: &Store, caller: &str, table: &str, keys: std::ops::Range<i64>) -> Result<Receipt> {
    put(store, by(caller, spec(table, PutMode::Append, None)), keys).await
}

fn owner_of(store: &Store, table: &str) -> Option<String> {
    store.snapshot(&name(table), None, None).expect("a table").owner().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s9_tables_of_a_caller_are_exact_under_puts_at_once_of_both_durabilities() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    shared.set(of_callers(&[("ada", Some(10), None)]));
    let puts = (0..16).map(|number| {
        // In as many namespaces.
        let table = format!("n{number}/t");
        (store.clone(), by("ada", spec(&table, PutMode::Replace, Some(LANES[number % 2]))))
    });
    assert_eq!(at_once(puts.collect(), "caller `ada`").await, 10);
    assert_eq!((store.owner_use("ada").0, store.list("").len()), (10, 10));
    let parts = ["caller `ada` has 10 tables, its quota is 10", "`tables` of the caller", "[quotas.callers]"];
    assert_exceeded(replace_as(&store, "ada", "us/more", 0..1).await, &parts);
    append_as(&store, "ada", store.list("")[0].table.as_str(), 0..10).await.expect("no new table");
    replace_as(&store, "bob", "us/t", 0..1).await.expect("another caller");
    replace(&store, "us/u", 0..1).await.expect("nobody's");
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s9_bytes_of_a_caller_are_exact_under_appends_of_anybody_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    for (table, lane) in ["eu/d", "us/e"].into_iter().zip(LANES) {
        put(&store, by("ada", spec(table, PutMode::Replace, Some(lane))), 0..0).await.expect("an empty table");
    }
    let largest = append(&store, "eu/probe", 150..160).await.expect("a put").bytes;
    let limit = largest * 10 + largest / 2;
    shared.set(of_callers(&[("ada", None, Some(limit))]));
    let puts = (0..16).map(|number| {
        let spec = spec(["eu/d", "us/e"][number % 2], PutMode::Append, None);
        (store.clone(), by(["ada", "bob"][number / 2 % 2], spec))
    });
    let through = at_once(puts.collect(), "quota").await;
    let (tables, bytes) = store.owner_use("ada");
    let bytes = bytes.as_u64();
    assert!((10..16).contains(&through), "{through}");
    assert!(bytes <= limit && bytes + largest > limit, "{bytes} of {limit}: as many as find room, and not one more");
    assert_eq!((tables, store.owner_use("bob")), (2, (0, ByteSize::default())), "who appends owns nothing");
    assert_sound(&store).await;
}

#[tokio::test]
async fn s9_an_append_by_another_is_refused_without_the_owners_name_and_amounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    replace_as(&store, "ada", "eu/a", 0..10).await.expect("a put");
    replace_as(&store, "ada", "us/secret", 0..500).await.expect("a put");
    let used = store.owner_use("ada").1.as_u64();
    for (limit, when) in [(used, "it is full already"), (used + 1, "it would be too full")] {
        shared.set(of_callers(&[("ada", None, Some(limit)), ("bob", Some(1), Some(1 << 20))]));
        let parts = ["owner of table `eu/a`", "quota of bytes is used up", "ask the owner"];
        let shown = assert_exceeded(append_as(&store, "bob", "eu/a", 10..20).await, &parts).to_string();
        let told = [used.to_string(), limit.to_string(), "ada".to_owned(), "us/secret".to_owned()];
        assert!(told.iter().all(|secret| !shown.contains(secret.as_str())), "{when}: {shown}");
        let limit = limit.to_string();
        assert_exceeded(append_as(&store, "ada", "eu/a", 10..20).await, &["caller `ada` has", &limit, "`bytes`"]);
    }
    append_as(&store, "bob", "eu/b", 0..10).await.expect("a table of its own");
    assert_exceeded(append_as(&store, "bob", "eu/c", 0..10).await, &["caller `bob` has 1 tables"]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_replace_by_another_caller_moves_the_table_to_its_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    for lane in LANES {
        let table = format!("eu/{lane}");
        let bytes =
            put(&store, by("ada", spec(&table, PutMode::Replace, Some(lane))), 0..100).await.expect("a put").bytes;
        assert_eq!(store.owner_use("ada"), (1, ByteSize::bytes(bytes)));
        // However small it becomes, for its new owner it is one table more.
        shared.set(of_callers(&[("bob", Some(0), None)]));
        assert_exceeded(replace_as(&store, "bob", &table, 0..1).await, &["caller `bob` has 0 tables"]);
        shared.set(of_callers(&[("bob", None, Some(bytes / 2))]));
        assert_exceeded(replace_as(&store, "bob", &table, 0..100).await, &["the put adds", "caller `bob` has 0 bytes"]);
        assert_eq!((owner_of(&store, &table).as_deref(), store.owner_use("bob").0), (Some("ada"), 0));
        let smaller = replace_as(&store, "bob", &table, 0..10).await.expect("room").bytes;
        assert_eq!((store.owner_use("ada").0, store.owner_use("bob")), (0, (1, ByteSize::bytes(smaller))));
        assert_eq!(owner_of(&store, &table).as_deref(), Some("bob"));
        replace(&store, &table, 0..3).await.expect("a put of nobody");
        assert_eq!((store.owner_use("bob").0, owner_of(&store, &table)), (0, None));
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn a_lower_quota_of_a_caller_refuses_growth_and_deletes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, shared) = limited(&folder);
    for table in ["eu/a", "us/b"] {
        replace_as(&store, "ada", table, 0..100).await.expect("a put");
    }
    let before = store.list("");
    shared.set(of_callers(&[("ada", Some(1), Some(100))]));
    assert_exceeded(replace_as(&store, "ada", "eu/a", 0..200).await, &["the put adds"]);
    assert_exceeded(append_as(&store, "ada", "eu/a", 0..1).await, &["`ada`"]);
    assert_exceeded(replace_as(&store, "ada", "eu/c", 0..1).await, &["2 tables"]);
    assert_eq!(store.list(""), before, "a refused put leaves nothing behind");
    replace_as(&store, "ada", "eu/a", 0..50).await.expect("it makes room");
    store.drop_table(&name("us/b")).await.expect("a drop");
    assert_eq!(store.owner_use("ada").0, 1);
    // A quota of the namespace holds beside that of the caller, and neither notes what the other refuses.
    let both = Quotas::new(
        vec![("eu".parse().expect("a pattern"), Quota { tables: Some(9), ..Quota::default() })],
        [("ada".into(), Quota { tables: Some(1), ..Quota::default() })],
        Quota { tables: Some(9), ..Quota::default() },
    );
    shared.set(Arc::new(both));
    assert_exceeded(replace_as(&store, "ada", "eu/d", 0..1).await, &["caller `ada`"]);
    for table in 0..8 {
        replace_as(&store, "bob", &format!("eu/b{table}"), 0..1).await.expect("room in both");
    }
    assert_exceeded(replace_as(&store, "bob", "eu/d", 0..1).await, &["namespace `eu` has 9 tables"]);
    replace_as(&store, "bob", "us/d", 0..1).await.expect("the ninth");
    assert_exceeded(replace_as(&store, "bob", "us/e", 0..1).await, &["caller `bob` has 9 tables"]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn owners_stay_through_appends_merges_windows_retention_faults_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let disk = FaultDisk::default();
    let options =
        || by_hand(StoreOptions { clock: clock.clone(), disk: Arc::new(disk.clone()), ..options(folder.path()) });
    let store = open(options());
    let assert_totals = async |store: &Store, tables: u64| {
        let listed = store.list("");
        let bytes: u64 = listed.iter().map(|info| info.bytes).sum();
        assert_eq!(store.owner_use("ada"), (tables, ByteSize::bytes(bytes)), "{listed:?}");
        assert!(listed.iter().all(|info| owner_of(store, info.table.as_str()).as_deref() == Some("ada")));
        assert_eq!(store.owner_use("bob").0, 0);
        assert_sound(store).await;
    };
    for lane in LANES {
        let table = format!("eu/{lane}");
        let kept = PutSpec { retention: change(&[("window", "1h")]), ..spec(&table, PutMode::Append, Some(lane)) };
        put(&store, by("ada", kept), 0..2_000).await.expect("a put");
        clock.advance(Duration::from_secs(1_800));
        for first in 0..40 {
            append_as(&store, "bob", &table, first..first + 3).await.expect("an append");
        }
        put(&store, by("ada", spec(&format!("{table}2"), PutMode::Replace, Some(lane))), 0..5).await.expect("a put");
    }
    assert_totals(&store, 4).await;
    while store.merge_step().await {}
    assert_totals(&store, 4).await;
    clock.advance(Duration::from_secs(1_900));
    store.expire_due().await;
    assert!(store.list("eu/durable")[0].rows < 2_000, "rows have gone");
    assert_totals(&store, 4).await;
    disk.arm(When::From(1), Fault::Full);
    replace_as(&store, "bob", "eu/durable", 0..9_000).await.expect_err("a full disk");
    disk.disarm();
    assert_totals(&store, 4).await;
    store.drop_table(&name("eu/ephemeral")).await.expect("a drop");
    assert_totals(&store, 3).await;
    store.set_retention(&name("eu/durable2"), change(&[("ttl", "10s")])).await.expect("a retention");
    assert_eq!(store.owner_use("ada").0, 3, "it counts until it is swept");
    store.expire_due().await;
    assert_totals(&store, 2).await;
    store.close().await;
    let store = open(options());
    assert_totals(&store, 1).await;
    store.drop_table(&name("eu/durable")).await.expect("a drop");
    assert_totals(&store, 0).await;
}

#[tokio::test]
async fn a_put_takes_the_place_of_an_expired_table_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let options = by_hand(StoreOptions { clock: clock.clone(), ..options(folder.path()) });
    let shared = options.quotas.clone();
    let store = open(options);
    let kept = PutSpec { retention: change(&[("ttl", "10s")]), ..spec("eu/a", PutMode::Append, None) };
    put(&store, by("ada", kept), 0..10).await.expect("a put");
    clock.advance(Duration::from_secs(11));
    shared.set(of_callers(&[("ada", Some(1), Some(1)), ("bob", Some(0), None)]));
    assert_exceeded(append_as(&store, "bob", "eu/a", 0..10).await, &["caller `bob` has 0 tables"]);
    shared.set(of_callers(&[("ada", Some(1), Some(1)), ("bob", Some(1), None)]));
    append_as(&store, "bob", "eu/a", 0..10).await.expect("nobody's table is there any more");
    assert_eq!((store.owner_use("ada").0, store.owner_use("bob").0), (0, 1));
    assert_sound(&store).await;
}
