//! Tables that go by themselves: when, whereto, and that no clock hastens it.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Clock, Durability, PutMode, Receipt, Result, Timestamp, Version, codes};
use airlane_segment::Segment;
use airlane_store::testing::{Fault, FaultDisk, ManualClock, When};
use airlane_store::{ExpiryReason, PutSpec, Snapshot, Store, StoreOptions};

use crate::support::*;

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A moment before the hour is over.
const ALMOST: Duration = Duration::from_micros(3_600_000_000 - 1);
pub(crate) const MICRO: Duration = Duration::from_micros(1);

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

pub(crate) fn over(folder: &Path, clock: &Arc<ManualClock>) -> StoreOptions {
    StoreOptions { clock: clock.clone(), ..by_hand(options(folder)) }
}

pub(crate) async fn put_kept(
    store: &Store,
    table: &str,
    mode: PutMode,
    durability: Durability,
    rules: &[(&str, &str)],
    keys: std::ops::Range<i64>,
) -> Result<Receipt> {
    put(store, PutSpec { retention: change(rules), ..spec(table, mode, Some(durability)) }, keys).await
}

async fn kept(store: &Store, table: &str, rules: &[(&str, &str)]) -> Receipt {
    put_kept(store, table, PutMode::Replace, Durability::Durable, rules, 0..10).await.expect("a put")
}

pub(crate) fn begin_read(store: &Store, table: &str) -> Snapshot {
    store.begin_read(store.snapshot(&name(table), None, None).expect("a version"))
}

pub(crate) fn is_there(store: &Store, table: &str) -> bool {
    let listed = store.list("").iter().any(|info| info.table.as_str() == table);
    match store.snapshot(&name(table), None, None) {
        Ok(_) => assert!(listed, "{table} is read and not listed"),
        Err(error) => {
            assert_eq!(error.code(), codes::TABLE_NOT_FOUND);
            assert!(!listed, "{table} is listed and not read");
        }
    }
    listed
}

/// Bytes of the table are in a file of the data folder.
pub(crate) fn bytes_found(folder: &Path, of: &[u8]) -> bool {
    let files = [folder.to_owned(), folder.join("segments")].map(|folder| std::fs::read_dir(folder).expect("a folder"));
    let files = files.into_iter().flatten().map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
    files
        .map(|path| std::fs::read(path).expect("a file"))
        .any(|bytes| bytes.windows(of.len()).any(|window| window == of))
}

#[tokio::test]
async fn a_table_is_gone_for_readers_when_its_time_is_over_and_for_good_with_the_sweep() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    let ttl = [("ttl", "1h")];
    put_kept(&store, "small", PutMode::Replace, Durability::Durable, &ttl, 0..10).await.expect("a put");
    put_kept(&store, "large", PutMode::Replace, Durability::Durable, &ttl, 0..5_000).await.expect("a put");
    put_kept(&store, "memory", PutMode::Replace, Durability::Ephemeral, &ttl, 0..5_000).await.expect("a put");
    replace(&store, "stays", 0..10).await.expect("a put");
    let tables = ["small", "large", "memory"];
    let expires = store.list("").iter().map(|info| info.expires).collect::<Vec<_>>();
    assert_eq!(
        expires,
        [Some(NOW.saturating_add(HOUR)), Some(NOW.saturating_add(HOUR)), Some(NOW.saturating_add(HOUR)), None]
    );
    clock.advance(ALMOST);
    assert!(tables.iter().all(|table| is_there(&store, table)));
    store.expire_due().await;
    assert!(tables.iter().all(|table| is_there(&store, table)));
    let reader = begin_read(&store, "large");

    clock.advance(MICRO);
    assert!(!tables.iter().any(|table| is_there(&store, table)), "gone before any sweep");
    assert_eq!(store.snapshot(&name("large"), None, None).expect_err("gone").code(), codes::TABLE_NOT_FOUND);
    assert_eq!(store.drop_table(&name("large")).await.expect_err("gone").code(), codes::TABLE_NOT_FOUND);
    let kept_on = store.set_retention(&name("large"), change(&[("ttl", "2h")])).await;
    assert_eq!(kept_on.expect_err("gone").code(), codes::TABLE_NOT_FOUND);
    assert!(!files(folder.path()).is_empty() && bytes_found(folder.path(), b"row 8"), "and not swept yet");

    store.expire_due().await;
    assert!(files(folder.path()).is_empty(), "no file is left");
    assert_eq!(keys(&reader).expect("rows").len(), 5_000, "who read it finishes");
    assert_eq!((store.expired_tables(ExpiryReason::Ttl), store.expired_tables(ExpiryReason::Idle)), (3, 0));
    assert_eq!(store.deadlines(), 0);
    assert_sound(&store).await;
    store.drop_table(&name("stays")).await.expect("a drop");
    assert!(!bytes_found(folder.path(), b"row 8"), "nor in the catalog");
    store.close().await;
    assert!(open(over(folder.path(), &clock)).list("").is_empty());
}

#[tokio::test]
async fn an_expired_ephemeral_table_gives_its_memory_back() {
    let clock = clock();
    let store = open(StoreOptions { writer: small_sizes(), clock: clock.clone(), ..by_hand(StoreOptions::new(None)) });
    put_kept(&store, "t", PutMode::Replace, Durability::Ephemeral, &[("ttl", "1h")], 0..20_000).await.expect("a put");
    let segments = |store: &Store| -> Vec<std::sync::Weak<Segment>> {
        let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
        snapshot.segments().iter().map(|segment| Arc::downgrade(&segment.open().expect("a segment"))).collect()
    };
    let watched = segments(&store);
    assert!(watched.len() > 4);
    clock.advance(HOUR);
    assert!(watched.iter().all(|segment| segment.upgrade().is_some()));
    store.expire_due().await;
    assert!(watched.iter().all(|segment| segment.upgrade().is_none()), "no segment is left");
    assert_eq!(store.spare_memory().as_u64(), 0, "and none of its memory is kept");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_commit_begins_the_time_anew_and_a_read_does_not() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("ttl", "1h")]).await;
    for mode in [PutMode::Append, PutMode::Replace] {
        clock.advance(ALMOST);
        drop(begin_read(&store, "t"));
        // It keeps its retention without being told again.
        put(&store, spec("t", mode, None), 10..20).await.expect("a put");
    }
    clock.advance(ALMOST);
    drop(begin_read(&store, "t"));
    store.expire_due().await;
    assert!(is_there(&store, "t"));
    clock.advance(MICRO);
    assert!(!is_there(&store, "t"));
}

#[tokio::test]
async fn an_idle_table_lives_by_reads_and_commits_and_not_by_looks() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("idle", "1h")]).await;
    for _ in 0..3 {
        clock.advance(ALMOST);
        store.expire_due().await;
        drop(begin_read(&store, "t"));
    }
    clock.advance(ALMOST);
    append(&store, "t", 10..20).await.expect("an append");
    clock.advance(ALMOST);
    assert!(is_there(&store, "t"), "a look is no read");
    let reading = begin_read(&store, "t");
    clock.advance(DAY);
    store.expire_due().await;
    assert!(is_there(&store, "t"), "somebody reads it");
    drop(reading);
    clock.advance(ALMOST);
    assert!(is_there(&store, "t"), "the time begins when the read ends");
    clock.advance(MICRO);
    assert!(!is_there(&store, "t"));
    store.expire_due().await;
    assert_eq!((store.expired_tables(ExpiryReason::Ttl), store.expired_tables(ExpiryReason::Idle)), (0, 1));
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_pinned_table_stays_until_it_is_dropped() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("ttl", "1h"), ("idle", "1h"), ("pinned", "true")]).await;
    clock.advance(DAY);
    store.expire_due().await;
    assert!(is_there(&store, "t"));
    assert_eq!(store.list("")[0].expires, None);
    // Without the pin it is over at once.
    store.set_retention(&name("t"), change(&[("pinned", "false")])).await.expect("a retention");
    assert!(!is_there(&store, "t"));
    store.expire_due().await;

    kept(&store, "t", &[("pinned", "true")]).await;
    store.drop_table(&name("t")).await.expect("who may write may drop it");
    assert_sound(&store).await;
}

#[tokio::test]
async fn versions_beyond_the_newest_are_not_read_any_more() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("versions", "3")]).await;
    for number in 1..6 {
        append(&store, "t", number * 10..number * 10 + 10).await.expect("an append");
    }
    let readable = |store: &Store| -> Vec<u64> {
        let of = |number| store.snapshot(&name("t"), Version::new(number), None);
        (1..=9).filter(|number| of(*number).is_ok()).collect()
    };
    assert_eq!(readable(&store), [4, 5, 6]);
    let error = store.snapshot(&name("t"), Version::new(3), None).expect_err("forgotten");
    assert_eq!(error.code(), codes::VERSION_NOT_FOUND);
    assert_eq!(error.hint_text(), Some("versions 4 to 6 can be read; the current one is `t@6`"));
    assert_eq!(read(&store, "t").expect("rows"), (0..60).collect::<Vec<_>>(), "their rows stay");
    let older = store.snapshot(&name("t"), Version::new(4), None).expect("a version");

    let fewer = store.set_retention(&name("t"), change(&[("versions", "1")])).await.expect("a retention");
    assert_eq!(fewer.retention.versions, NonZeroU64::new(1));
    assert_eq!(readable(&store), [6]);
    assert_eq!(keys(&older).expect("rows").len(), 40, "who had it opened keeps it");
    store.set_retention(&name("t"), change(&[("versions", "none")])).await.expect("a retention");
    append(&store, "t", 60..70).await.expect("an append");
    assert_eq!(readable(&store), [6, 7], "what is forgotten does not come back");
    assert_sound(&store).await;
    store.close().await;

    let again = open(over(folder.path(), &clock));
    assert_eq!(readable(&again), [6, 7]);
    append_with(&again, &[("versions", "2")]).await;
    assert_eq!(readable(&again), [7, 8]);
    assert_sound(&again).await;
}

async fn append_with(store: &Store, rules: &[(&str, &str)]) {
    put_kept(store, "t", PutMode::Append, Durability::Durable, rules, 70..80).await.expect("an append");
}

#[tokio::test]
async fn a_retention_survives_a_restart_and_a_put_changes_what_it_names() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("ttl", "1h"), ("versions", "3")]).await;
    append_with(&store, &[("idle", "10m"), ("versions", "none")]).await;
    let retention = |store: &Store| store.list("")[0].retention.to_string();
    assert_eq!(retention(&store), "ttl=1h idle=10m");
    assert_sound(&store).await;
    store.close().await;
    let again = open(over(folder.path(), &clock));
    assert_eq!(retention(&again), "ttl=1h idle=10m");
    again.set_retention(&name("t"), change(&[("ttl", "none"), ("idle", "none")])).await.expect("a retention");
    assert_eq!(retention(&again), "");
    clock.advance(DAY);
    assert!(is_there(&again, "t"));
    assert_sound(&again).await;
}

#[tokio::test]
async fn defaults_go_by_the_name_of_a_new_table() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let retention = "scratch/* ttl=1h; scratch/kept".parse().expect("defaults");
    let store = open(StoreOptions { retention, ..over(folder.path(), &clock) });
    for table in ["scratch/a", "scratch/b", "scratch/kept", "other"] {
        replace(&store, table, 0..3).await.expect("a put");
    }
    kept(&store, "scratch/longer", &[("ttl", "2h")]).await;
    kept(&store, "scratch/never", &[("ttl", "none")]).await;
    // A default is for new tables: a replace makes none.
    store.set_retention(&name("scratch/b"), change(&[("ttl", "none")])).await.expect("a retention");
    replace(&store, "scratch/b", 0..3).await.expect("a put");
    let kept: Vec<String> = store.list("").iter().map(|info| info.retention.to_string()).collect();
    assert_eq!(kept, ["", "ttl=1h", "", "", "ttl=2h", ""]);
}

/// What a reader does not see, a put does not add to.
#[tokio::test]
async fn a_put_after_the_time_is_over_makes_the_table_anew() {
    for (before, after) in [
        (Durability::Durable, Durability::Durable),
        (Durability::Ephemeral, Durability::Ephemeral),
        (Durability::Ephemeral, Durability::Durable),
        (Durability::Durable, Durability::Ephemeral),
    ] {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let store = open(over(folder.path(), &clock));
        let first = put_kept(&store, "t", PutMode::Replace, before, &[("ttl", "1h")], 0..5_000).await.expect("a put");
        clock.advance(HOUR);
        let second = put_kept(&store, "t", PutMode::Append, after, &[], 7..10).await.expect("a put");
        assert_eq!((second.version, second.rows, second.durability), (Version::FIRST, 3, after));
        assert_ne!(first.table_id, second.table_id);
        let old = store.snapshot(&name("t"), None, Some(first.table_id)).expect_err("an old ticket");
        assert_eq!(old.code(), codes::TABLE_RECREATED);
        assert_eq!(store.list("")[0].retention.to_string(), "", "nothing of the old one is left");
        // The put is answered before the files of the old table are handed to the sweeper.
        for _ in 0..6_000 {
            if files(folder.path()).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(files(folder.path()).is_empty());
        assert_eq!(store.expired_tables(ExpiryReason::Ttl), 1);
        clock.advance(DAY);
        store.expire_due().await;
        assert_eq!(read(&store, "t").expect("rows"), [7, 8, 9]);
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn d10_a_wall_clock_that_jumps_hastens_and_delays_nothing() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "ttl", &[("ttl", "1h")]).await;
    kept(&store, "idle", &[("idle", "1h")]).await;
    let tables = ["ttl", "idle"];
    let ten_years = DAY * 3_652;
    // Summer time, a leap second, a day back, ten years ahead, and back to the truth; a minute passes each time.
    let jumps = [
        NOW.saturating_add(HOUR),
        NOW,
        NOW.saturating_add(Duration::from_secs(1)),
        Timestamp::from_micros(NOW.as_micros() - 86_400_000_000),
        NOW.saturating_add(ten_years),
        Timestamp::from_micros(0),
        NOW,
    ];
    for wall in jumps.iter().cycle().take(59) {
        clock.set(*wall);
        store.expire_due().await;
        assert!(tables.iter().all(|table| is_there(&store, table)), "{wall:?}");
        let left = store.list("ttl")[0].expires.expect("a time").saturating_since(clock.now());
        assert!(left > Duration::ZERO && left <= HOUR, "{left:?}");
        clock.advance(Duration::from_secs(60));
    }
    clock.set(Timestamp::from_micros(NOW.as_micros() - 86_400_000_000));
    clock.advance(Duration::from_secs(60));
    assert!(!tables.iter().any(|table| is_there(&store, table)), "an hour has passed, whatever the wall clock shows");
}

#[tokio::test]
async fn d10_a_wall_clock_that_jumps_between_two_processes_hastens_nothing() {
    for wall in [NOW.saturating_add(DAY * 3_652), Timestamp::from_micros(NOW.as_micros() - 86_400_000_000), NOW] {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let store = open(over(folder.path(), &clock));
        kept(&store, "ttl", &[("ttl", "1h")]).await;
        kept(&store, "idle", &[("idle", "1h")]).await;
        clock.advance(HOUR / 2);
        store.close().await;
        // The steady clock of the next process begins anew.
        let next = Arc::new(ManualClock::new(wall));
        let store = open(over(folder.path(), &next));
        store.expire_due().await;
        assert!(is_there(&store, "ttl") && is_there(&store, "idle"), "{wall:?}");
        next.advance(HOUR / 2 - MICRO);
        store.expire_due().await;
        assert!(is_there(&store, "ttl") && is_there(&store, "idle"), "{wall:?}");
        next.advance(MICRO);
        assert!(!is_there(&store, "ttl"), "the half hour before counts: {wall:?}");
        assert!(is_there(&store, "idle"), "a start counts as a read");
        next.advance(HOUR / 2);
        assert!(!is_there(&store, "idle"), "{wall:?}");
        store.expire_due().await;
        assert_sound(&store).await;
    }
}

/// A process that is killed says no more than what it has saved: the expiry comes later, never earlier.
#[tokio::test]
async fn d10_a_killed_process_loses_what_it_did_not_save() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(over(folder.path(), &clock));
    kept(&store, "t", &[("ttl", "1h")]).await;
    clock.advance(HOUR / 2);
    store.save_uptime().await;
    clock.advance(HOUR / 4);
    let copied = tempfile::tempdir().expect("a folder");
    crate::fixture::copy(folder.path(), copied.path());
    let next = Arc::new(ManualClock::new(NOW));
    let store = open(over(copied.path(), &next));
    next.advance(HOUR / 2 - MICRO);
    assert!(is_there(&store, "t"));
    next.advance(MICRO);
    assert!(!is_there(&store, "t"));
}

#[tokio::test]
async fn the_sweep_looks_at_what_is_due_and_at_nothing_else() {
    let clock = clock();
    let store = open(StoreOptions { clock: clock.clone(), ..by_hand(StoreOptions::new(None)) });
    for number in 0..200 {
        let table = format!("t{number}");
        put_kept(&store, &table, PutMode::Replace, Durability::Ephemeral, &[("ttl", "1h"), ("idle", "10m")], 0..1)
            .await
            .expect("a put");
    }
    assert_eq!(store.deadlines(), 200);
    for _ in 0..9 {
        clock.advance(Duration::from_secs(60));
        store.expire_due().await;
        // Reads and puts touch no list.
        drop(begin_read(&store, "t7"));
        append(&store, "t8", 0..1).await.expect("an append");
    }
    assert_eq!((store.expiry_visits(), store.deadlines()), (0, 200));
    clock.advance(Duration::from_secs(60));
    store.expire_due().await;
    assert_eq!(store.expiry_visits(), 200, "each once");
    assert_eq!((store.list("").len(), store.deadlines()), (2, 2));
    store.expire_due().await;
    assert_eq!(store.expiry_visits(), 200);
    store.drop_table(&name("t7")).await.expect("a drop");
    assert_eq!(store.deadlines(), 1, "a table that is dropped has no deadline");
    assert_sound(&store).await;
}

/// The thread of the store does by itself what the other tests do by hand.
#[tokio::test(flavor = "multi_thread")]
async fn expired_tables_go_by_themselves() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
    let store = open(StoreOptions { clock: clock.clone(), ..options(folder.path()) });
    put_kept(&store, "t", PutMode::Replace, Durability::Durable, &[("ttl", "1h")], 0..5_000).await.expect("a put");
    clock.advance(HOUR);
    for _ in 0..6_000 {
        if store.expired_tables(ExpiryReason::Ttl) == 1 && files(folder.path()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.expired_tables(ExpiryReason::Ttl), 1);
    assert_sound(&store).await;
    store.close().await;
}

#[tokio::test]
async fn d5_what_cannot_be_dropped_yet_is_gone_for_readers_and_tried_again() {
    let (folder, clock, disk) = (tempfile::tempdir().expect("a folder"), clock(), FaultDisk::default());
    let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..over(folder.path(), &clock) });
    kept(&store, "t", &[("ttl", "1h")]).await;
    clock.advance(HOUR);
    disk.arm(When::From(1), Fault::Failed);
    store.expire_due().await;
    assert!(disk.disarm() > 0);
    assert!(!is_there(&store, "t"));
    assert_eq!(
        (store.expired_tables(ExpiryReason::Ttl), store.deadlines()),
        (0, 1),
        "it was not counted, nor forgotten"
    );
    clock.advance(Duration::from_secs(30));
    store.expire_due().await;
    assert_eq!((store.expired_tables(ExpiryReason::Ttl), store.deadlines()), (1, 0));
    assert_sound(&store).await;
}
