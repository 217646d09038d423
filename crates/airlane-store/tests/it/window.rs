//! Rows that go when they are older than the window of their table: which, when, and that nothing of them is left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{ByteSize, Durability, PutMode, Receipt, RowRange, Version, codes};
use airlane_store::testing::ManualClock;
use airlane_store::{ExpiryReason, ReadSpec, Store, StoreOptions};

use crate::retention::{DAY, HOUR, MICRO, NOW, begin_read, bytes_found, clock, is_there, over, put_kept};
use crate::support::*;

const WINDOW: [(&str, &str); 1] = [("window", "1h")];
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

async fn begin(store: &Store, durability: Durability, rules: &[(&str, &str)], keys: std::ops::Range<i64>) -> Receipt {
    put_kept(store, "t", PutMode::Replace, durability, rules, keys).await.expect("a put")
}

pub(crate) async fn more(store: &Store, keys: std::ops::Range<i64>) -> Receipt {
    append(store, "t", keys).await.expect("an append")
}

fn version(store: &Store) -> u64 {
    store.snapshot(&name("t"), None, None).expect("a table").info().version.get()
}

/// A small segment, then files, then a small one, twenty minutes apart.
pub(crate) async fn three_puts(store: &Store, clock: &ManualClock) {
    begin(store, Durability::Durable, &WINDOW, 900_000..900_010).await;
    clock.advance(20 * MINUTE);
    more(store, 800_000..803_000).await;
    clock.advance(20 * MINUTE);
    more(store, 700_000..700_010).await;
    clock.advance(20 * MINUTE - MICRO);
}

#[tokio::test]
async fn old_rows_go_by_whole_segments_and_the_others_are_a_new_version() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    three_puts(&store, &clock).await;
    store.expire_due().await;
    assert_eq!((version(&store), store.list("")[0].rows), (3, 3_020), "nothing is old yet");
    let reader = begin_read(&store, "t");
    let files_before = files(folder.path());
    assert!(!files_before.is_empty() && bytes_found(folder.path(), b"row 900001"), "{files_before:?}");

    clock.advance(MICRO);
    store.expire_due().await;
    let expected: Vec<i64> = (800_000..803_000).chain(700_000..700_010).collect();
    assert_eq!((version(&store), read(&store, "t").expect("rows")), (4, expected));
    assert!(!bytes_found(folder.path(), b"row 900001"), "in no file, nor in the catalog");
    assert_eq!(files(folder.path()), files_before, "and nothing else went");
    for gone in 1..4 {
        let error = store.snapshot(&name("t"), Version::new(gone), None).expect_err("it has rows that went");
        assert_eq!(error.code(), codes::VERSION_NOT_FOUND);
        assert_eq!(error.hint_text(), Some("the current version is `t@4`"));
    }
    let held = keys(&reader).expect("rows");
    assert_eq!((held.len(), held[1]), (3_020, 900_001), "who read it finishes");
    drop(reader);
    assert_eq!(store.list("")[0].committed, NOW.saturating_add(HOUR));
    assert_sound(&store).await;

    // The files of the middle, whose reader finishes too.
    let reader = begin_read(&store, "t");
    clock.advance(20 * MINUTE);
    store.expire_due().await;
    assert!(files(folder.path()).is_empty());
    assert_eq!(keys(&reader).expect("rows").len(), 3_010);
    assert_eq!((version(&store), read(&store, "t").expect("rows")), (5, (700_000..700_010).collect()));

    // All of it: the table stays, without rows.
    clock.advance(20 * MINUTE);
    store.expire_due().await;
    let info = store.list("").remove(0);
    assert_eq!((info.version.get(), info.rows, info.bytes, info.segments), (6, 0, 0, 0));
    let empty = store.snapshot(&name("t"), None, None).expect("a table");
    assert_eq!(empty.schema().arrow(), schema().arrow());
    assert_eq!(store.deadlines(), 0);
    let gone = store.expired_rows();
    assert_eq!(gone.rows, 3_020);
    assert!(gone.bytes > 3_020 * 8, "{gone:?}");
    assert_eq!(ExpiryReason::TABLE.map(|(reason, _)| store.expired_tables(reason)), [0; 3]);
    clock.advance(DAY);
    store.expire_due().await;
    assert_eq!(version(&store), 6, "nothing more happens");
    let receipt = more(&store, 1..4).await;
    assert_eq!((receipt.version.get(), receipt.rows, receipt.table_id), (7, 3, info.table_id));
    assert_eq!(read(&store, "t").expect("rows"), [1, 2, 3]);
    let before = store.snapshot(&name("t"), Version::new(6), None).expect("a version");
    assert_eq!(keys(&before).expect("rows"), [0_i64; 0]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn old_rows_in_memory_give_it_back() {
    let clock = clock();
    let store = open(StoreOptions { writer: small_sizes(), clock: clock.clone(), ..by_hand(StoreOptions::new(None)) });
    begin(&store, Durability::Ephemeral, &WINDOW, 0..20_000).await;
    let first: Vec<_> = {
        let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
        snapshot.segments().iter().map(|segment| Arc::downgrade(&segment.open().expect("a segment"))).collect()
    };
    clock.advance(HOUR / 2);
    more(&store, 20_000..40_000).await;
    let used = store.namespace_use("default").1.as_u64();
    clock.advance(HOUR / 2);
    assert!(first.len() > 4 && first.iter().all(|segment| segment.upgrade().is_some()));
    store.expire_due().await;
    assert!(first.iter().all(|segment| segment.upgrade().is_none()), "no segment of the old rows is left");
    assert_eq!(store.spare_memory().as_u64(), 0, "and none of their memory is kept");
    assert_eq!(read(&store, "t").expect("rows"), (20_000..40_000).collect::<Vec<_>>());
    let left = store.namespace_use("default").1.as_u64();
    assert!(left < used * 6 / 10, "the quota counts what is there: {left} of {used}");
    assert_sound(&store).await;
}

/// Rows that memory had no room for: their room on disk comes back with them.
#[tokio::test]
async fn old_rows_on_disk_for_want_of_memory_go_alone() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    begin(&store, Durability::Ephemeral, &WINDOW, 0..5_000).await;
    clock.advance(HOUR / 2);
    more(&store, 5_000..10_000).await;
    store.relieve_memory(ByteSize::bytes(0)).await;
    let spilled = store.memory().spilled.as_u64();
    assert!(spilled > 0);
    clock.advance(HOUR / 2);
    store.expire_due().await;
    store.settle().await;
    let left = store.memory().spilled.as_u64();
    assert!(left > 0 && left < spilled * 6 / 10, "{left} of {spilled}");
    assert_eq!(read(&store, "t").expect("rows"), (5_000..10_000).collect::<Vec<_>>());
    clock.advance(HOUR / 2);
    store.expire_due().await;
    store.settle().await;
    assert_eq!(store.memory().spilled.as_u64(), 0);
    assert_sound(&store).await;
}

/// Many small appends: few segments at every moment, and no row is there for longer than nine eighths of the window.
#[tokio::test]
async fn merges_keep_segments_few_and_no_old_row_alive() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    begin(&store, Durability::Ephemeral, &WINDOW, 0..10).await;
    let step = Duration::from_secs(9);
    let (mut most, mut versions) = (0, BTreeSet::new());
    for number in 1..1_400_i64 {
        clock.advance(step);
        store.expire_due().await;
        more(&store, number * 10..number * 10 + 10).await;
        while store.merge_step().await {}
        let oldest = read(&store, "t").expect("rows")[0] / 10;
        let age = step * u32::try_from(number - oldest).expect("few");
        assert!(age <= HOUR * 9 / 8 + step, "a row is there after {age:?}");
        assert!(oldest == 0 || age + HOUR / 8 + step >= HOUR, "rows went early: {age:?} is the oldest");
        most = most.max(store.list("")[0].segments);
        versions.insert(version(&store));
    }
    assert!(most <= 52, "{most} segments");
    let by_itself = version(&store) - 1_400;
    assert!((14..=40).contains(&by_itself), "{by_itself} versions of rows that went");
    assert_sound(&store).await;
}

#[tokio::test]
async fn what_was_merged_before_the_rule_goes_when_its_newest_row_is_old() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    for number in 0..8 {
        append(&store, "t", number * 10..number * 10 + 10).await.expect("an append");
        clock.advance(10 * MINUTE);
    }
    while store.merge_step().await {}
    assert_eq!(store.list("")[0].segments, 1);
    store.set_retention(&name("t"), change(&WINDOW)).await.expect("a retention");
    // The last append was ten minutes ago.
    clock.advance(50 * MINUTE - MICRO);
    store.expire_due().await;
    assert_eq!(store.list("")[0].rows, 80);
    clock.advance(MICRO);
    store.expire_due().await;
    assert_eq!(store.list("")[0].rows, 0);
    assert_sound(&store).await;
}

#[tokio::test]
async fn other_rules_go_on_as_if_no_rows_had_gone() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    // `ttl` counts from a put, and what the store does is none.
    begin(&store, Durability::Durable, &[("window", "30m"), ("ttl", "1h")], 0..10).await;
    clock.advance(HOUR / 2);
    store.expire_due().await;
    assert_eq!((version(&store), store.list("")[0].rows), (2, 0));
    assert_eq!(store.list("")[0].expires, Some(NOW.saturating_add(HOUR)));
    store.close().await;
    let store = open(over(folder.path(), &clock));
    clock.advance(HOUR / 2 - MICRO);
    assert!(is_there(&store, "t"));
    clock.advance(MICRO);
    assert!(!is_there(&store, "t"), "nor did the restart make it later");
    store.expire_due().await;

    // `idle` the same.
    begin(&store, Durability::Durable, &[("window", "30m"), ("idle", "1h")], 0..10).await;
    clock.advance(HOUR / 2);
    store.expire_due().await;
    clock.advance(HOUR / 2);
    assert!(!is_there(&store, "t"));
    store.expire_due().await;

    // `versions` counts on from the version of what is left.
    begin(&store, Durability::Durable, &[("window", "1h"), ("versions", "2")], 0..10).await;
    clock.advance(HOUR / 2);
    more(&store, 10..20).await;
    clock.advance(HOUR / 2);
    store.expire_due().await;
    more(&store, 20..30).await;
    let readable = |store: &Store| -> Vec<u64> {
        (1..9).filter(|number| store.snapshot(&name("t"), Version::new(*number), None).is_ok()).collect()
    };
    assert_eq!(readable(&store), [3, 4]);
    more(&store, 30..40).await;
    assert_eq!(readable(&store), [4, 5]);
    let older = store.snapshot(&name("t"), Version::new(4), None).expect("a version");
    assert_eq!(keys(&older).expect("rows"), (10..30).collect::<Vec<_>>(), "rows count from the version's own first");

    // A replace begins anew, also for the rows.
    replace(&store, "t", 50..60).await.expect("a put");
    clock.advance(HOUR - MICRO);
    store.expire_due().await;
    assert_eq!(store.list("")[0].rows, 10);
    clock.advance(MICRO);
    store.expire_due().await;
    assert_eq!(store.list("")[0].rows, 0);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_pinned_table_keeps_its_rows() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    begin(&store, Durability::Durable, &[("window", "1h"), ("pinned", "true")], 0..10).await;
    clock.advance(DAY);
    store.expire_due().await;
    assert_eq!((version(&store), store.list("")[0].rows), (1, 10));
    store.set_retention(&name("t"), change(&[("pinned", "false")])).await.expect("a retention");
    store.expire_due().await;
    assert_eq!((version(&store), store.list("")[0].rows), (2, 0));
    begin(&store, Durability::Durable, &[], 0..10).await;
    store.set_retention(&name("t"), change(&[("window", "none")])).await.expect("a retention");
    clock.advance(DAY);
    store.expire_due().await;
    assert_eq!(store.list("")[0].rows, 10, "without the rule all stay");
    assert_sound(&store).await;
}

/// Rows that go are no put: the reads that are used stay used, and one that is under way counts when it ends.
#[tokio::test]
async fn reads_are_counted_on_when_rows_go() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    begin(&store, Durability::Durable, &[("window", "1h"), ("reads", "3")], 0..10).await;
    clock.advance(HOUR / 2);
    more(&store, 10..20).await;
    let count = |store: &Store| {
        let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
        let rows = RowRange { start: 0, end: snapshot.info().rows };
        let read = store.begin_counted(
            &snapshot,
            &ReadSpec { ticket: None, part: None, rows, arrived: None, is_to_confirm: false },
        );
        read.expect("a claim").expect("reads are counted")
    };
    let mut first = count(&store);
    first.handed_over(20);
    first.end().expect("a commit");
    let mut second = count(&store);
    clock.advance(HOUR / 2);
    store.expire_due().await;
    assert_eq!((version(&store), store.list("")[0].rows), (3, 10));
    second.handed_over(20);
    second.end().expect("a commit");
    assert_sound(&store).await;
    store.close().await;

    let store = open(over(folder.path(), &clock));
    let mut third = count(&store);
    third.handed_over(10);
    third.end().expect("a commit");
    assert!(!is_there(&store, "t"), "that was the third");
    assert_sound(&store).await;
}

#[tokio::test]
async fn d10_no_wall_clock_makes_rows_go_early_and_a_restart_goes_on() {
    for wall in [NOW.saturating_add(DAY * 3_652), NOW, airlane_model::Timestamp::from_micros(0)] {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let store = open(over(folder.path(), &clock));
        begin(&store, Durability::Durable, &WINDOW, 0..10).await;
        put_kept(&store, "memory", PutMode::Replace, Durability::Ephemeral, &WINDOW, 0..10).await.expect("a put");
        clock.advance(HOUR / 4);
        clock.set(wall);
        store.expire_due().await;
        more(&store, 10..20).await;
        clock.advance(HOUR / 4);
        store.close().await;
        let next = Arc::new(ManualClock::new(wall));
        let store = open(over(folder.path(), &next));
        assert!(!is_there(&store, "memory"));
        next.advance(HOUR / 2 - MICRO);
        store.expire_due().await;
        assert_eq!(store.list("")[0].rows, 20, "{wall:?}");
        next.advance(MICRO);
        store.expire_due().await;
        assert_eq!(read(&store, "t").expect("rows"), (10..20).collect::<Vec<_>>(), "{wall:?}");
        next.advance(HOUR / 4);
        store.expire_due().await;
        assert_eq!((version(&store), store.list("")[0].rows), (4, 0));
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn the_sweep_looks_at_tables_with_old_rows_and_at_nothing_else() {
    let clock = clock();
    let store = open(StoreOptions { clock: clock.clone(), ..by_hand(StoreOptions::new(None)) });
    for number in 0..100 {
        let table = format!("t{number}");
        put_kept(&store, &table, PutMode::Replace, Durability::Ephemeral, &WINDOW, 0..1).await.expect("a put");
    }
    for _ in 0..59 {
        clock.advance(MINUTE);
        store.expire_due().await;
        append(&store, "t8", 0..1).await.expect("an append");
    }
    assert_eq!((store.expiry_visits(), store.deadlines()), (0, 100));
    clock.advance(MINUTE);
    store.expire_due().await;
    assert_eq!((store.expiry_visits(), store.deadlines()), (100, 1), "one has rows that are to go later");
    assert_eq!(store.expired_rows().rows, 100);
    store.expire_due().await;
    assert_eq!(store.expiry_visits(), 100);
    assert_sound(&store).await;
}

/// The thread of the store does by itself what the other tests do by hand.
#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_by_themselves() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(StoreOptions { clock: clock.clone(), ..options(folder.path()) });
    begin(&store, Durability::Durable, &WINDOW, 0..5_000).await;
    clock.advance(HOUR / 2);
    more(&store, 5_000..5_003).await;
    clock.advance(HOUR / 2);
    for _ in 0..6_000 {
        if store.expired_rows().rows == 5_000 && files(folder.path()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.expired_rows().rows, 5_000);
    assert_eq!(read(&store, "t").expect("rows"), [5_000, 5_001, 5_002]);
    assert_sound(&store).await;
    store.close().await;
}
