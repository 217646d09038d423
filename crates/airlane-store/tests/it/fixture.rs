//! Data folders, written once and kept in git, are read by every later version (D13): one of the first catalog, one
//! whose catalog has checksums of rows (layout 2), one whose tables have a retention (layout 4), one that has counts of
//! reads and the key of a put (layout 7), one from which old rows went (layout 8), and one whose tables have owners
//! (layout 11).

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use airlane_model::{
    ByteSize, Chance, Clock, PutMode, ReadsAllowed, RowRange, SystemClock, TicketId, Timestamp, Version, codes,
};
use airlane_segment::TableSchema;
use airlane_store::testing::ManualClock;
use airlane_store::{CountedRead, PutSpec, ReadSpec, Recovery, Store, StoreOptions, TicketCount};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int64Type};
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray};

use crate::support::*;

/// A clock and a chance that count, so that writing the fixture again gives the same names and times.
#[derive(Debug, Default)]
struct Counting {
    seconds: AtomicI64,
    ids: AtomicU64,
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        let seconds = self.seconds.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_micros((1_800_000_000 + seconds) * 1_000_000)
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::Relaxed).unsigned_abs())
    }
}

impl Chance for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let id = u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 0xa000;
        bytes.copy_from_slice(&id.to_be_bytes()[16 - bytes.len()..]);
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn cities() -> RecordBatch {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["Oslo", "Rome"]));
    let cities = DictionaryArray::<Int8Type>::try_new([Some(0), None, Some(1)].into_iter().collect(), names);
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("key", Arc::new(Int64Array::from(vec![1, 2, 3])), false),
        ("city", Arc::new(cities.expect("a dictionary")), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

/// Writes the fixture. To be run only for a new format, into a folder of its own name.
#[tokio::test]
#[ignore = "manual: writes the fixture"]
async fn write_fixture() {
    let folder = fixture("catalog-11");
    assert!(!folder.exists(), "a fixture is never written again: {}", folder.display());
    write_sample(&folder).await;
    // Not the ids of the sample again.
    let counting = Arc::new(Counting { ids: AtomicU64::new(0x1000), ..Counting::default() });
    let store = open(StoreOptions { clock: counting.clone(), chance: counting.clone(), ..by_hand(options(&folder)) });
    for (table, rules) in
        [("small", [("ttl", "1h"), ("versions", "3")]), ("cities", [("idle", "7d"), ("pinned", "true")])]
    {
        store.set_retention(&name(table), change(&rules)).await.expect("a retention");
    }
    put(&store, keyed(), 0..4).await.expect("a put");
    store.drop_table(&name("gone")).await.expect("a drop");
    store.set_retention(&name("eu/large"), change(&[("reads", "2")])).await.expect("a retention");
    // A read of it by a ticket.
    let large = store.snapshot(&name("eu/large"), None, None).expect("a table");
    let counted = store.begin_counted(&large, &counted_read()).expect("a claim").expect("reads are counted");
    end(counted, 122);
    write_windowed(&store, &counting).await;
    let owned = PutSpec { caller: Some(OWNER.into()), ..spec("owned", PutMode::Replace, None) };
    put(&store, owned, 0..4).await.expect("a put");
    append(&store, "owned", 4..6).await.expect("an append");
    store.close().await;
    fs::remove_file(folder.join("LOCK")).expect("a lock");
    fs::remove_file(folder.join("catalog.reserve")).expect("a reserve");
}

/// A table from which the first rows went, since they were put long before the others. It has a count of reads.
async fn write_windowed(store: &Store, counting: &Counting) {
    let kept =
        PutSpec { retention: change(&[("window", "10m"), ("reads", "3")]), ..spec("log", PutMode::Append, None) };
    put(store, kept, 0..4).await.expect("a put");
    counting.seconds.fetch_add(500, Ordering::Relaxed);
    append(store, "log", 4..7).await.expect("an append");
    let log = store.snapshot(&name("log"), None, None).expect("a table");
    let spec =
        ReadSpec { ticket: None, part: None, rows: RowRange { start: 0, end: 7 }, arrived: None, is_to_confirm: false };
    end(store.begin_counted(&log, &spec).expect("a claim").expect("reads are counted"), 7);
    counting.seconds.fetch_add(150, Ordering::Relaxed);
    store.expire_due().await;
    assert_eq!(log.info().version.get() + 1, store.list("log")[0].version.get());
}

/// An owner whose name is in the fixture.
const OWNER: &str = "ada, \u{1f980} of 'eu'";

fn keyed() -> PutSpec {
    PutSpec { key: Some(key_of("ada", "orders-2026-11-26")), ..spec("gone", PutMode::Append, None) }
}

/// A read of `eu/large` by a ticket that lets it be read twice.
fn counted_read() -> ReadSpec {
    let until = Timestamp::from_micros(1_800_000_000_000_000 + 3_600_000_000);
    let allowed = ReadsAllowed { max: NonZeroU64::MIN.saturating_add(1), until, at_most_once: false };
    let ticket = Some(TicketCount { id: TicketId::from_bytes([7; 16]), allowed });
    ReadSpec { ticket, part: None, rows: RowRange { start: 0, end: 122 }, arrived: None, is_to_confirm: false }
}

fn end(mut counted: CountedRead, rows: u64) {
    counted.handed_over(rows);
    counted.end().expect("a commit");
}

/// Three tables: small and large segments, several versions, a dictionary.
pub(crate) async fn write_sample(folder: &Path) {
    let counting = Arc::new(Counting::default());
    let options = StoreOptions { clock: counting.clone(), chance: counting, ..by_hand(options(folder)) };
    let store = open(options);
    replace(&store, "small", 0..5).await.expect("a put");
    append(&store, "small", 5..7).await.expect("an append");
    replace(&store, "eu/large", 0..1).await.expect("a put");
    replace(&store, "eu/large", 0..120).await.expect("a put");
    append(&store, "eu/large", 120..122).await.expect("an append");
    let schema = TableSchema::from_arrow(&cities().schema()).expect("a schema");
    let mut put = store.put_batches(spec("cities", PutMode::Replace, None), schema).expect("a put");
    put.append(&cities()).expect("rows");
    put.commit().await.expect("a commit");
    store.close().await;
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}

#[tokio::test]
async fn d13_a_folder_of_format_1_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("format-1"), folder.path());
    assert_eq!(layout(folder.path()), 1);
    assert_read_and_written(folder.path()).await;
    assert_eq!(layout(folder.path()), 11, "it was migrated");
}

#[tokio::test]
async fn d13_a_folder_with_a_catalog_of_layout_2_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-2"), folder.path());
    assert_eq!(layout(folder.path()), 2);
    assert_read_and_written(folder.path()).await;
    assert_eq!(layout(folder.path()), 11, "it was migrated");
}

#[tokio::test]
async fn d13_a_folder_with_a_catalog_of_layout_4_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-4"), folder.path());
    assert_eq!(layout(folder.path()), 4);
    let store = open(by_hand(options(folder.path())));
    let kept: Vec<_> = store.list("").iter().map(|info| info.retention.to_string()).collect();
    assert_eq!(kept, ["idle=7d pinned=true", "", "ttl=1h versions=3"]);
    let expiring = store.snapshot(&name("small"), None, None).expect("a table");
    let left = expiring.info().expires.expect("a time").saturating_since(SystemClock.now());
    assert!(left > Duration::from_secs(3_500), "{left:?}");
    store.close().await;
    assert_read_and_written(folder.path()).await;
    assert_eq!(layout(folder.path()), 11, "it was migrated");
}

#[tokio::test]
async fn d13_p7_a_folder_with_the_key_of_a_put_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-7"), folder.path());
    assert_eq!(layout(folder.path()), 7);
    let store = open(by_hand(options(folder.path())));
    assert_eq!(store.idempotency_keys(), 1);
    let receipt = put(&store, keyed(), 0..4).await.expect("the same put");
    assert_eq!((receipt.version, receipt.rows, receipt.rows_put), (Version::FIRST, 4, 4));
    assert_eq!(receipt.ticket, "gone@1");
    let error = put(&store, keyed(), 0..5).await.expect_err("another put");
    assert_eq!(error.code(), codes::IDEMPOTENCY_CONFLICT);
    assert!(store.snapshot(&name("gone"), None, None).is_err(), "it was dropped");
    store.close().await;
    assert_read_and_written(folder.path()).await;
    assert_eq!(layout(folder.path()), 11, "it was migrated");
}

#[tokio::test]
async fn d13_a_folder_with_a_catalog_of_layout_7_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-7"), folder.path());
    assert_eq!(layout(folder.path()), 7);
    assert_read_and_written(folder.path()).await;
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-7"), folder.path());
    let store = open(by_hand(options(folder.path())));
    assert_eq!(store.counted_reads(), (2, 0), "of a ticket and of a table");
    let kept: Vec<_> = store.list("").iter().map(|info| info.retention.to_string()).collect();
    assert_eq!(kept, ["idle=7d pinned=true", "reads=2", "ttl=1h versions=3"]);
    let large = || store.snapshot(&name("eu/large"), None, None);
    end(store.begin_counted(&large().expect("a table"), &counted_read()).expect("the second").expect("counted"), 122);
    assert_eq!(large().expect_err("read twice").code(), codes::TABLE_NOT_FOUND);
    assert_eq!(store.counted_reads(), (1, 0));
    assert_sound(&store).await;
}

#[tokio::test]
async fn d13_a_folder_with_a_catalog_of_layout_8_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-8"), folder.path());
    assert_eq!(layout(folder.path()), 8);
    assert_windowed(folder.path()).await;
    assert_eq!(layout(folder.path()), 11, "it was migrated");
    let store = open(by_hand(options(folder.path())));
    let owner = |table: &str| store.snapshot(&name(table), None, None).expect("a table").owner().map(str::to_owned);
    assert_eq!(owner("small"), None, "whose it was is not known");
    let own = PutSpec { caller: Some(OWNER.into()), ..spec("small", PutMode::Replace, None) };
    put(&store, own, 0..1).await.expect("a put");
    assert_eq!((owner("small").as_deref(), store.owner_use(OWNER).0), (Some(OWNER), 1));
    assert_sound(&store).await;
}

#[tokio::test]
async fn d13_a_folder_with_a_catalog_of_layout_11_is_read_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(&fixture("catalog-11"), folder.path());
    assert_eq!(layout(folder.path()), 11);
    let store = open(by_hand(options(folder.path())));
    let owned = store.snapshot(&name("owned"), None, None).expect("a table");
    assert_eq!((owned.owner(), keys(&owned).expect("rows")), (Some(OWNER), vec![0, 1, 2, 3, 4, 5]));
    assert_eq!(store.owner_use(OWNER), (1, ByteSize::bytes(owned.info().bytes)));
    drop(owned);
    assert_sound(&store).await;
    store.drop_table(&name("owned")).await.expect("a drop");
    assert_eq!(store.owner_use(OWNER), (0, ByteSize::default()));
    store.close().await;
    assert_windowed(folder.path()).await;
}

/// What is in the folders from layout 8 on: a table from which old rows went, and what there was before.
async fn assert_windowed(folder: &Path) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let store = open(StoreOptions { clock: clock.clone(), ..by_hand(options(folder)) });
    assert_eq!(store.counted_reads(), (3, 0), "of a ticket and of two tables");
    let log = || store.snapshot(&name("log"), None, None).expect("a table");
    assert_eq!((log().info().version.get(), keys(&log()).expect("rows")), (3, vec![4, 5, 6]));
    assert_eq!(log().info().retention.to_string(), "window=10m reads=3");
    assert!(store.snapshot(&name("log"), Version::new(2), None).is_err(), "it had rows that went");
    let rows =
        ReadSpec { ticket: None, part: None, rows: RowRange { start: 0, end: 3 }, arrived: None, is_to_confirm: false };
    end(store.begin_counted(&log(), &rows).expect("the second").expect("counted"), 3);
    // They were put about three minutes before the end.
    clock.advance(Duration::from_secs(400));
    store.expire_due().await;
    assert_eq!(log().info().rows, 3);
    clock.advance(Duration::from_secs(100));
    store.expire_due().await;
    assert_eq!((log().info().version.get(), log().info().rows), (4, 0));
    assert_sound(&store).await;
    store.drop_table(&name("log")).await.expect("a drop");
    store.close().await;
    assert_read_and_written(folder).await;
}

/// What was there before counts as put when the folder was upgraded: its rows go no earlier, and not never.
#[tokio::test]
async fn d13_rows_of_layout_7_are_as_old_as_their_upgrade() {
    for is_damaged in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&fixture("catalog-7"), folder.path());
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
        let over = || StoreOptions { clock: clock.clone(), ..by_hand(options(folder.path())) };
        let store = open(over());
        let kept = change(&[("window", "1h"), ("reads", "none")]);
        store.set_retention(&name("eu/large"), kept).await.expect("a retention");
        clock.advance(Duration::from_secs(1_800));
        append(&store, "eu/large", 122..130).await.expect("an append");
        store.close().await;
        if is_damaged {
            let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
            assert_eq!(catalog.execute("UPDATE upgraded SET micros = 7", []).expect("a change"), 1);
        }
        let store = open(over());
        let rows = || store.list("eu/")[0].rows;
        for (seconds, whole, damaged) in [(1_790, 130, 130), (10, 8, 130), (1_800, 0, 0)] {
            clock.advance(Duration::from_secs(seconds));
            store.expire_due().await;
            assert_eq!(rows(), if is_damaged { damaged } else { whole }, "{is_damaged}");
        }
        assert!(files(folder.path()).is_empty());
        assert_sound(&store).await;
        store.close().await;
    }
}

/// What a migration adds makes no damaged row good.
#[tokio::test]
async fn d4_d13_a_damaged_row_of_layout_2_stays_damaged() {
    for damage in [
        "UPDATE tables SET created = created + 1 WHERE name = 'small'",
        "UPDATE versions SET committed = committed + 1
         WHERE table_key = (SELECT key FROM tables WHERE name = 'small') AND version = 1",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&fixture("catalog-2"), folder.path());
        let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
        assert_eq!(catalog.execute(damage, []).expect("a change"), 1);
        drop(catalog);
        let (store, recovery) = Store::open(by_hand(options(folder.path()))).expect("the store opens");
        let damaged: Vec<_> = recovery.damaged.iter().map(|(table, _)| table.clone()).collect();
        assert_eq!(damaged, [name("small")], "{damage}");
        assert_eq!(read(&store, "eu/large").expect("whole").len(), 122);
        store.close().await;
    }
}

/// What contradicted itself before the migration does so afterwards, and costs its own table.
#[tokio::test]
async fn d4_d13_a_damaged_table_of_layout_1_is_the_only_one_lost() {
    for damage in [
        "DELETE FROM segments WHERE position = 1 AND table_key = (SELECT key FROM tables WHERE name = 'small')",
        "UPDATE tables SET schema = x'00' WHERE name = 'small'",
        "DELETE FROM versions WHERE table_key = (SELECT key FROM tables WHERE name = 'small')",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&fixture("format-1"), folder.path());
        let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
        assert!(catalog.execute(damage, []).expect("a change") > 0);
        drop(catalog);
        for start in 0..2 {
            let (store, recovery) = Store::open(by_hand(options(folder.path()))).expect("the store opens");
            let damaged: Vec<_> = recovery.damaged.iter().map(|(table, _)| table.clone()).collect();
            assert_eq!(damaged, [name("small")], "{damage}, start {start}");
            assert_eq!(read(&store, "small").expect_err(damage).code(), codes::DATA_DAMAGED);
            assert_eq!(read(&store, "eu/large").expect("whole").len(), 122);
            store.close().await;
        }
        let store = open(by_hand(options(folder.path())));
        store.drop_table(&name("small")).await.expect("a drop");
        replace(&store, "small", 0..3).await.expect("a new table");
        assert_sound(&store).await;
    }
}

fn layout(folder: &Path) -> i64 {
    let catalog = rusqlite::Connection::open(folder.join("catalog.db")).expect("the catalog");
    catalog.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
}

async fn assert_read_and_written(folder: &Path) {
    let (store, recovery) = Store::open(by_hand(options(folder))).expect("the store opens");
    assert_eq!(recovery, Recovery { tables: 3, segments: 5, ..Recovery::default() });
    assert_eq!(files(folder).len(), 1, "one segment is a file, the others are in the catalog");

    assert_eq!(read(&store, "small").expect("rows"), (0..7).collect::<Vec<_>>());
    let first = store.snapshot(&name("small"), Some(Version::FIRST), None).expect("an old version");
    assert_eq!(keys(&first).expect("rows"), (0..5).collect::<Vec<_>>());
    assert_eq!(first.info().committed, Timestamp::from_micros(1_800_000_000_000_000));
    let large = store.snapshot(&name("eu/large"), None, None).expect("a table");
    assert_eq!(keys(&large).expect("rows"), (0..122).collect::<Vec<_>>());
    assert_eq!((large.info().version.get(), large.info().segments), (3, 2));
    let cities = store.snapshot(&name("cities"), None, None).expect("a table");
    let batch = cities.segments()[0].open().expect("a segment").batch(0).expect("a batch");
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    let names = batch.column(1).as_dictionary::<Int8Type>().downcast_dict::<StringArray>().expect("texts");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [Some("Oslo"), None, Some("Rome")]);
    assert_eq!(store.list("").iter().map(|info| info.bytes).collect::<Vec<_>>(), BYTES);

    append(&store, "eu/large", 122..130).await.expect("an append");
    assert_sound(&store).await;
    store.close().await;
    let again = open(options(folder));
    assert_eq!(read(&again, "eu/large").expect("rows"), (0..130).collect::<Vec<_>>());
    again.close().await;
}

/// Of `cities`, `eu/large` and `small`.
const BYTES: [u64; 3] = [320, 2_304, 512];
