//! Damaged data is reported for what it touches, never served, and never in the way of the rest.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use airlane_model::{Result, TableInfo, TableName, Version, codes};
use airlane_store::Store;
use arrow_array::RecordBatch;

use crate::fixture::{copy, write_sample};
use crate::support::*;

/// Two tables with a file each, and one in the catalog; the files' paths.
async fn prepare(folder: &Path) -> (PathBuf, PathBuf) {
    let store = open(options(folder));
    let path = |file: &str| folder.join("segments").join(file);
    replace(&store, "touched", 0..300).await.expect("a put");
    let touched = path(&files(folder)[0]);
    replace(&store, "other", 0..300).await.expect("a put");
    let other = files(folder).iter().map(|file| path(file)).find(|file| *file != touched).expect("a second file");
    replace(&store, "small", 0..5).await.expect("a put");
    store.close().await;
    (touched, other)
}

fn flip(file: &Path, offset: u64, bit: u8) {
    let file = OpenOptions::new().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("a byte");
    file.write_all_at(&[byte[0] ^ (1 << bit)], offset).expect("a byte");
}

fn assert_others_fine(store: &Store) {
    assert_eq!(read(store, "other").expect("untouched").len(), 300);
    assert_eq!(read(store, "small").expect("untouched"), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn d4_a_flipped_bit_is_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let (touched, _) = prepare(folder.path()).await;
    let length = fs::metadata(&touched).expect("a file").len();
    let mut seed = 4;
    for _ in 0..1_000 {
        let (offset, bit) = (next(&mut seed) % length, (next(&mut seed) % 8) as u8);
        flip(&touched, offset, bit);
        let store = open(by_hand(options(folder.path())));
        let error = read(&store, "touched").expect_err("a flipped bit");
        assert_eq!(error.code(), codes::DATA_DAMAGED, "byte {offset}");
        assert!(error.place().is_some_and(|place| place.starts_with("table `touched`, segment ")), "{error}");
        let again = read(&store, "touched").expect_err("damage is remembered");
        assert_eq!(again.message(), error.message());
        assert_others_fine(&store);
        store.close().await;
        flip(&touched, offset, bit);
    }
    assert_eq!(read(&open(options(folder.path())), "touched").expect("whole again").len(), 300);
}

#[tokio::test]
async fn d3_d4_torn_and_missing_files_are_found_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let (touched, _) = prepare(folder.path()).await;
    let whole = fs::read(&touched).expect("a file");
    let cases: [(&str, Option<Vec<u8>>); 5] = [
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("half", Some(whole[..whole.len() / 2].to_vec())),
        ("longer", Some([whole.as_slice(), b"x"].concat())),
        ("one byte short", Some(whole[..whole.len() - 1].to_vec())),
    ];
    for (case, bytes) in cases {
        fs::remove_file(&touched).expect("a file");
        if let Some(bytes) = bytes {
            fs::write(&touched, bytes).expect("a file");
        }
        let (store, recovery) = Store::open(options(folder.path())).expect("the store opens");
        assert_eq!(recovery.damaged.len(), 1, "{case}");
        assert_eq!(recovery.damaged[0].0, name("touched"), "{case}");
        assert_eq!(read(&store, "touched").expect_err(case).code(), codes::DATA_DAMAGED);
        assert_others_fine(&store);
        store.close().await;
        fs::write(&touched, &whole).expect("a file");
    }
    // Zeroes where data was: the length is right, so that the first reader finds it.
    fs::write(&touched, vec![0; whole.len()]).expect("a file");
    let (store, recovery) = Store::open(options(folder.path())).expect("the store opens");
    assert_eq!(recovery.damaged, []);
    assert_eq!(read(&store, "touched").expect_err("zeroes").code(), codes::DATA_DAMAGED);
    assert_others_fine(&store);
}

#[tokio::test]
async fn d4_a_damaged_body_in_the_catalog_is_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path()).await;
    let change = |sql: &str| {
        let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
        let changed = catalog.execute(sql, []).expect("a change");
        assert_eq!(changed, 1);
    };
    let small = "(SELECT key FROM tables WHERE name = 'small')";
    change(&format!("UPDATE segments SET body = zeroblob(length(body)) WHERE table_key = {small}"));
    let store = open(options(folder.path()));
    let error = read(&store, "small").expect_err("zeroes");
    assert_eq!(error.code(), codes::DATA_DAMAGED);
    assert_eq!(read(&store, "touched").expect("untouched").len(), 300);
    assert_eq!(replace(&store, "small", 0..2).await.expect("a put heals it").version.get(), 2);
    assert_eq!(read(&store, "small").expect("rows"), [0, 1]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn d4_only_the_versions_with_damaged_rows_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    replace(&store, "t", 0..1_500).await.expect("a put");
    let first = files(folder.path());
    append(&store, "t", 1_500..2_000).await.expect("an append");
    let added = files(folder.path()).into_iter().find(|file| !first.contains(file)).expect("a new file");
    store.close().await;
    flip(&folder.path().join("segments").join(&added), 1_000, 3);

    let store = open(by_hand(options(folder.path())));
    let version = |number| store.snapshot(&name("t"), Version::new(number), None).expect("a version");
    assert_eq!(keys(&version(2)).expect_err("damaged").code(), codes::DATA_DAMAGED);
    assert_eq!(store.damaged_tables(), 1);
    assert_eq!(keys(&version(1)).expect("whole"), (0..1_500).collect::<Vec<_>>());
    // A damaged segment is not in the way of appends and of the merge.
    for part in 0..9 {
        append(&store, "t", part..part + 1).await.expect("an append");
    }
    while store.merge_step().await {}
    assert_eq!(keys(&version(1)).expect("whole"), (0..1_500).collect::<Vec<_>>());
    assert_eq!(read(&store, "t").expect_err("damaged").code(), codes::DATA_DAMAGED);
    assert_eq!(replace(&store, "t", 0..3).await.expect("a put heals it").rows, 3);
    assert_eq!(store.damaged_tables(), 0);
    assert_eq!(read(&store, "t").expect("rows"), [0, 1, 2]);
    assert_sound(&store).await;
}

/// What is done to a data folder.
type Alteration = Box<dyn Fn(&Path)>;

fn alter(folder: &Path, sql: &str) {
    let catalog = rusqlite::Connection::open(folder.join("catalog.db")).expect("the catalog");
    assert_eq!(catalog.execute(sql, []).expect(sql), 1, "{sql}");
}

/// Gives a column of table `touched` another name; the schema stays a valid one.
fn rename_column(folder: &Path) {
    let catalog = rusqlite::Connection::open(folder.join("catalog.db")).expect("the catalog");
    let schema = "SELECT schema FROM tables WHERE name = 'touched'";
    let mut schema: Vec<u8> = catalog.query_row(schema, [], |row| row.get(0)).expect("a schema");
    let at = schema.windows(4).position(|bytes| bytes == b"text").expect("a column");
    schema[at..at + 4].copy_from_slice(b"test");
    airlane_segment::TableSchema::from_message(&schema).expect("valid");
    catalog.execute("UPDATE tables SET schema = ?1 WHERE name = 'touched'", [schema]).expect("a change");
}

#[tokio::test]
async fn d4_altered_facts_of_a_table_damage_that_table_alone() {
    let prepared = tempfile::tempdir().expect("a folder");
    prepare(prepared.path()).await;
    let store = open(by_hand(options(prepared.path())));
    append(&store, "touched", 300..310).await.expect("an append");
    store.close().await;
    let of = "table_key = (SELECT key FROM tables WHERE name = 'touched')";
    let sql = |sql: String| -> Alteration { Box::new(move |folder| alter(folder, &sql)) };
    let cases: Vec<(&str, &str, Alteration)> = vec![
        ("another column name", "touched", Box::new(rename_column)),
        ("a time", "touched", sql("UPDATE tables SET created = created + 1 WHERE name = 'touched'".into())),
        ("an id", "touched", sql("UPDATE tables SET id = zeroblob(16) WHERE name = 'touched'".into())),
        ("another name", "renamed", sql("UPDATE tables SET name = 'renamed' WHERE name = 'touched'".into())),
        ("the name of another", "", sql("UPDATE tables SET name = 'other' WHERE name = 'touched'".into())),
        ("no name", "", sql("UPDATE tables SET name = 'no name' WHERE name = 'touched'".into())),
        ("fewer rows", "touched", sql(format!("UPDATE versions SET rows = rows - 1 WHERE {of} AND version = 2"))),
        ("rows of an old version", "touched", sql(format!("UPDATE versions SET rows = 1 WHERE {of} AND version = 1"))),
        ("the old version is gone", "touched", sql(format!("DELETE FROM versions WHERE {of} AND version = 1"))),
        ("the last version is gone", "touched", sql(format!("DELETE FROM versions WHERE {of} AND version = 2"))),
        ("a segment is gone", "touched", sql(format!("DELETE FROM segments WHERE {of} AND position = 1"))),
        ("another order", "touched", sql(format!("UPDATE segments SET position = 9 WHERE {of} AND position = 0"))),
        ("bytes", "touched", sql(format!("UPDATE segments SET file_bytes = 8 WHERE {of} AND position = 0"))),
        (
            "a dictionary",
            "touched",
            sql(format!("UPDATE segments SET dictionaries = zeroblob(16) WHERE {of} AND position = 0")),
        ),
        ("its row is gone", "", sql("DELETE FROM tables WHERE name = 'touched'".into())),
    ];
    for (case, shown, alter) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        copy(prepared.path(), folder.path());
        alter(folder.path());
        assert_only_one_table_is_lost(case, shown, folder.path()).await;
    }
}

/// `shown`: the name under which the damaged table is reported; empty for one that is made up.
async fn assert_only_one_table_is_lost(case: &str, shown: &str, folder: &Path) {
    // Not of a put that broke, for all that a start can tell.
    let unknown = folder.join("segments").join(format!("{:032x}.arrow", 7));
    fs::write(&unknown, b"perhaps of the damaged table").expect("a file");
    let all = files(folder);
    for start in 0..2 {
        let (store, recovery) = Store::open(by_hand(options(folder))).expect("the store opens");
        let [(damaged, reason)] = &recovery.damaged[..] else { panic!("{case}: {recovery:?}") };
        if shown.is_empty() {
            assert!(damaged.as_str().starts_with("damaged/"), "{case}: {damaged}: {reason}");
        } else {
            assert_eq!(damaged.as_str(), shown, "{case}: {reason}");
        }
        assert_eq!(read(&store, damaged.as_str()).expect_err(case).code(), codes::DATA_DAMAGED);
        let lost = read(&store, "touched").expect_err(case);
        let expected = if shown == "touched" { codes::DATA_DAMAGED } else { codes::TABLE_NOT_FOUND };
        assert_eq!(lost.code(), expected, "{case}");
        for refused in [replace(&store, damaged.as_str(), 0..1).await, append(&store, damaged.as_str(), 0..1).await] {
            assert_eq!(refused.expect_err("nothing is put over it").code(), codes::DATA_DAMAGED, "{case}");
        }
        let listed: Vec<_> = store.list("").into_iter().map(|info| info.table).collect();
        assert_eq!(listed, [name("other"), name("small")], "{case}");
        assert_eq!(store.damaged_tables(), 1, "{case}: not listed, but counted");
        assert_others_fine(&store);
        assert_eq!((recovery.orphans_removed, files(folder)), (0, all.clone()), "{case}, start {start}");
        store.close().await;
    }

    let (store, recovery) = Store::open(by_hand(options(folder))).expect("the store opens");
    append(&store, "small", 5..6).await.expect("others can be put");
    assert_eq!(store.damaged_tables(), 1, "{case}");
    assert!(recovery.orphans_kept > 0, "{case}");
    store.drop_table(&recovery.damaged[0].0).await.expect(case);
    assert_eq!(read(&store, recovery.damaged[0].0.as_str()).expect_err(case).code(), codes::TABLE_NOT_FOUND);
    replace(&store, "touched", 0..300).await.expect("the name is free");
    assert_eq!(store.damaged_tables(), 0, "{case}");
    store.close().await;

    let (store, recovery) = Store::open(by_hand(options(folder))).expect("the store opens");
    assert_eq!((recovery.tables, recovery.damaged, recovery.orphans_kept), (3, vec![], 0), "{case}");
    assert!(!unknown.exists());
    assert_eq!(read(&store, "touched").expect("new").len(), 300);
    assert_eq!(read(&store, "small").expect("untouched").len(), 6);
    assert_eq!(read(&store, "other").expect("untouched").len(), 300);
    assert_sound(&store).await;
}

/// A version of a table, whole.
type Picture = (TableInfo, bytes::Bytes, Vec<RecordBatch>);

/// Versions of each table that are looked at; the oldest of a replaced table can no longer be read.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=3;

fn pictures(store: &Store, table: &TableName) -> Vec<Result<Picture>> {
    let picture = |version| {
        let snapshot = store.snapshot(table, Version::new(version), None)?;
        let mut batches = Vec::new();
        for part in snapshot.segments() {
            let segment = part.open()?;
            for index in 0..segment.batch_count() {
                batches.push(segment.batch_as(index, snapshot.schema())?);
            }
        }
        Ok((snapshot.info().clone(), snapshot.schema().message().clone(), batches))
    };
    VERSIONS.map(picture).collect()
}

/// splitmix64
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Every flip is an error, of the start or of a read, or changes nothing: never other rows, names or versions, and
/// never a table or a version that is simply not there.
#[tokio::test]
async fn d4_a_flipped_bit_in_the_catalog_is_never_served() {
    let folder = tempfile::tempdir().expect("a folder");
    write_sample(folder.path()).await;
    let path = folder.path().join("catalog.db");
    let written = fs::read(&path).expect("the catalog");
    let store = open(by_hand(options(folder.path())));
    let listed = store.list("");
    let original: Vec<_> = listed.iter().map(|info| (info.table.clone(), pictures(&store, &info.table))).collect();
    store.close().await;

    let (mut refused, mut damaged, mut same) = (0, 0, 0);
    let mut seed = 4;
    let below = |seed: &mut u64, bound: usize| usize::try_from(next(seed) % bound as u64).expect("less than a size");
    // Much of the file is empty; so half of the flips hit what is not.
    let used: Vec<usize> = (0..written.len()).filter(|byte| written[*byte] != 0).collect();
    for round in 0..1_000 {
        let byte = if round % 2 == 0 { below(&mut seed, written.len()) } else { used[below(&mut seed, used.len())] };
        let bit = byte * 8 + below(&mut seed, 8);
        let mut flipped = written.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).expect("the catalog");
        // Of a start that was refused.
        let _ = fs::remove_file(folder.path().join("catalog.db-wal"));
        let case = format!("byte {}, bit {}", bit / 8, bit % 8);
        let (store, recovery) = match Store::open(by_hand(options(folder.path()))) {
            Ok(opened) => opened,
            Err(error) => {
                let expected = [codes::DATA_DAMAGED, codes::FORMAT_UNSUPPORTED];
                assert!(expected.contains(&error.code()), "{case}: {error:?}");
                refused += 1;
                continue;
            }
        };
        let mut errors = 0;
        for (table, versions) in &original {
            for (found, expected) in pictures(&store, table).into_iter().zip(versions) {
                match (found, expected) {
                    (Ok(found), Ok(expected)) => assert_eq!(&found, expected, "{case}"),
                    (Ok(found), Err(_)) => panic!("{case}: {found:?}"),
                    (Err(error), Ok(_)) if error.code() == codes::TABLE_NOT_FOUND => {
                        assert!(!recovery.damaged.is_empty(), "{case}: {error:?}");
                        errors += 1;
                    }
                    (Err(error), Ok(_)) => {
                        assert_eq!(error.code(), codes::DATA_DAMAGED, "{case}: {error:?}");
                        errors += 1;
                    }
                    (Err(_), Err(_)) => {}
                }
            }
        }
        assert!(store.list("").iter().all(|info| listed.contains(info)), "{case}");
        if errors == 0 {
            same += 1;
        } else {
            damaged += 1;
        }
        // And what is whole can be gone on with.
        if errors == 0 && same % 8 == 0 {
            append(&store, "small", 7..8).await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
            store.drop_table(&name("cities")).await.unwrap_or_else(|error| panic!("{case}: {error:?}"));
            assert_eq!(read(&store, "small").expect("rows").len(), 8, "{case}");
        }
        store.close().await;
    }
    assert!(refused > 50 && damaged > 100 && same > 200, "{refused} refused, {damaged} damaged, {same} the same");
}

#[tokio::test]
async fn d14_what_an_earlier_process_reported_is_checked_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let (touched, other) = prepare(folder.path()).await;
    flip(&touched, 100, 0);
    let id = |file: &Path| file.file_stem().expect("a name").to_string_lossy().into_owned();
    let report = format!("{}\n{}\nnonsense\n{:032x}\n", id(&other), id(&touched), 1);
    fs::write(folder.path().join("damaged"), report).expect("a report");
    let (store, recovery) = Store::open(options(folder.path())).expect("the store opens");
    let damaged: Vec<_> = recovery.damaged.iter().map(|(table, _)| table.clone()).collect();
    assert_eq!(damaged, [name("touched")], "the other one is whole");
    assert!(!folder.path().join("damaged").exists(), "the report is dealt with");
    assert_eq!(store.damage_report_file(), Some(folder.path().join("damaged")));
    assert_others_fine(&store);
}

const FOLDER: &str = "AIRLANE_TEST_SIGBUS_FOLDER";

/// Reads a table whose file another process has cut off after it was mapped.
#[test]
#[ignore = "manual: the child of the test below"]
fn sigbus_child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = open(options(folder));
    let report = store.damage_report_file().expect("a data folder");
    let report = OpenOptions::new().append(true).create(true).open(report).expect("a report");
    airlane_segment::home::sigbus::install(report).expect("a handler");
    assert_eq!(read(&store, "touched").expect("whole").len(), 300);
    let snapshot = store.snapshot(&name("touched"), None, None).expect("a table");
    for file in files(folder) {
        let file = OpenOptions::new().write(true).open(folder.join("segments").join(file)).expect("a file");
        file.set_len(0).expect("cut off");
    }
    let rows = keys(&snapshot).map(|rows| rows.len());
    panic!("this must not be reached: {rows:?}");
}

#[tokio::test]
async fn d14_a_file_that_cannot_be_read_ends_the_process_and_the_next_start_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (touched, other) = prepare(folder.path()).await;
    let whole = fs::read(&other).expect("a file");
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "damage::sigbus_child", "--ignored"])
        .env(FOLDER, folder.path())
        .output()
        .expect("a child");
    assert_eq!(child.status.code(), Some(airlane_segment::home::sigbus::EXIT_CODE), "{child:?}");
    let report = fs::read_to_string(folder.path().join("damaged")).expect("a report");
    assert_eq!(report.trim(), touched.file_stem().expect("a name").to_string_lossy());
    fs::write(&other, whole).expect("a file");
    let (store, recovery) = Store::open(options(folder.path())).expect("the store opens");
    assert_eq!(recovery.damaged.len(), 1);
    assert_eq!(read(&store, "touched").expect_err("cut off").code(), codes::DATA_DAMAGED);
    assert_others_fine(&store);
}
