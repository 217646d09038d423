//! When idempotency keys are forgotten.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{ByteSize, PutMode, Timestamp};
use airlane_store::testing::ManualClock;
use airlane_store::{KeyLimits, Store, StoreOptions};

use crate::keys::{BOTH, append_keyed, keyed};
use crate::support::*;

fn limited(folder: &Path, clock: &Arc<ManualClock>, limits: KeyLimits) -> StoreOptions {
    StoreOptions { clock: clock.clone(), keys: limits, ..by_hand(options(folder)) }
}

/// Forgotten when they are older than a day and not among the newest, by the time of the store.
#[tokio::test]
async fn d10_keys_are_forgotten_when_they_are_old_and_many() {
    let limits = KeyLimits { count: 4, ..KeyLimits::default() };
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(ManualClock::new(now)));
    let mut store = open(limited(folder.path(), &clock, limits));
    let put_key = async |store: &Store, key: i64| {
        append_keyed(store, "t", &format!("{key}"), key..key + 1).await.expect("a put").version.get()
    };
    for key in 0..8 {
        put_key(&store, key).await;
    }
    assert_eq!(store.idempotency_keys(), 8, "young ones stay, however many");
    // Whatever anybody sets the wall clock to, in a running server or between two.
    for jump in [86_400 * 400, -86_400 * 400] {
        clock.set(Timestamp::from_micros(1_800_000_000_000_000 + jump * 1_000_000));
        put_key(&store, 8).await;
        store.close().await;
        store = open(limited(folder.path(), &clock, limits));
        assert_eq!((store.idempotency_keys(), put_key(&store, 0).await), (9, 1));
    }
    clock.advance(limits.time);
    assert_eq!(put_key(&store, 0).await, 1, "a day old, and nothing came since");
    clock.advance(Duration::from_micros(1));
    assert_eq!(put_key(&store, 9).await, 10);
    assert_eq!(store.idempotency_keys(), 4, "those older than a day that are not among the newest");
    assert_eq!(put_key(&store, 0).await, 11, "forgotten: a new put");
    for key in [7, 8, 9] {
        assert_eq!(put_key(&store, key).await, [8, 9, 10][usize::try_from(key).expect("few") - 7], "remembered");
    }
    store.close().await;
    store = open(limited(folder.path(), &clock, limits));
    assert_eq!(store.idempotency_keys(), 4);
}

/// More keys than there is room for: the oldest go, and nothing else gives.
#[tokio::test]
async fn d10_keys_have_a_bound_in_bytes() {
    let bytes = ByteSize::kib(8);
    let limits = KeyLimits { durable_bytes: bytes, ephemeral_bytes: bytes, ..KeyLimits::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(limited(folder.path(), &Arc::new(ManualClock::new(Timestamp::from_micros(0))), limits));
    for durability in BOTH {
        let table = durability.to_string();
        let put_key = async |key: i64| {
            let key = format!("{}{key}", "k".repeat(200));
            put(&store, keyed(&table, PutMode::Replace, Some(durability), &key), 0..1).await.expect("a put").version
        };
        let before = store.idempotency_keys();
        for key in 0..60 {
            put_key(key).await;
        }
        let kept = store.idempotency_keys() - before;
        assert!((5..=32).contains(&kept), "{kept}");
        assert_eq!(put_key(59).await.get(), 60, "the newest is remembered");
        assert_eq!(put_key(0).await.get(), 61, "the oldest is not");
    }
}
