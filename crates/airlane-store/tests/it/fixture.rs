//! A data folder of format 1, written once and kept in git, is read by every later version (D13).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use airlane_model::{Chance, Clock, PutMode, Timestamp, Version};
use airlane_segment::TableSchema;
use airlane_store::{Recovery, Store, StoreOptions};
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
}

impl Chance for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let id = u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 0xa000;
        bytes.copy_from_slice(&id.to_be_bytes()[16 - bytes.len()..]);
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
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
    let folder = fixture();
    assert!(!folder.exists(), "a fixture is never written again: {}", folder.display());
    let counting = Arc::new(Counting::default());
    let options = StoreOptions { clock: counting.clone(), chance: counting, ..by_hand(options(&folder)) };
    let store = open(options);
    replace(&store, "small", 0..5).await.expect("a put");
    append(&store, "small", 5..7).await.expect("an append");
    replace(&store, "eu/large", 0..1).await.expect("a put");
    replace(&store, "eu/large", 0..120).await.expect("a put");
    append(&store, "eu/large", 120..122).await.expect("an append");
    let schema = TableSchema::from_arrow(&cities().schema()).expect("a schema");
    let mut put = store.put_batches(spec("cities", PutMode::Replace, None), schema).expect("a put");
    put.intake().append(&cities()).expect("rows");
    put.commit().await.expect("a commit");
    store.close().await;
    fs::remove_file(folder.join("LOCK")).expect("a lock");
}

fn copy(from: &Path, to: &Path) {
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
    copy(&fixture(), folder.path());
    let (store, recovery) = Store::open(by_hand(options(folder.path()))).expect("the store opens");
    assert_eq!(recovery, Recovery { tables: 3, segments: 5, ..Recovery::default() });
    assert_eq!(files(folder.path()).len(), 1, "one segment is a file, the others are in the catalog");

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
    let again = open(options(folder.path()));
    assert_eq!(read(&again, "eu/large").expect("rows"), (0..130).collect::<Vec<_>>());
}

/// Of `cities`, `eu/large` and `small`.
const BYTES: [u64; 3] = [320, 2_304, 512];
