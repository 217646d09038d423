//! Damaged data is reported for what it touches, never served, and never in the way of the rest.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use airlane_model::{Version, codes};
use airlane_store::Store;

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
    for step in 0..120_u64 {
        // Every region of the file, in steps that are no multiple of its structure.
        let offset = step * 7_919 % length;
        flip(&touched, offset, (step % 8) as u8);
        let store = open(options(folder.path()));
        let error = read(&store, "touched").expect_err("a flipped bit");
        assert_eq!(error.code(), codes::DATA_DAMAGED, "byte {offset}");
        assert!(error.place().is_some_and(|place| place.starts_with("table `touched`, segment ")), "{error}");
        let again = read(&store, "touched").expect_err("damage is remembered");
        assert_eq!(again.message(), error.message());
        assert_others_fine(&store);
        store.close().await;
        flip(&touched, offset, (step % 8) as u8);
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
    assert_eq!(keys(&version(1)).expect("whole"), (0..1_500).collect::<Vec<_>>());
    // A damaged segment is not in the way of appends and of the merge.
    for part in 0..9 {
        append(&store, "t", part..part + 1).await.expect("an append");
    }
    while store.merge_step().await {}
    assert_eq!(keys(&version(1)).expect("whole"), (0..1_500).collect::<Vec<_>>());
    assert_eq!(read(&store, "t").expect_err("damaged").code(), codes::DATA_DAMAGED);
    assert_eq!(replace(&store, "t", 0..3).await.expect("a put heals it").rows, 3);
    assert_eq!(read(&store, "t").expect("rows"), [0, 1, 2]);
    assert_sound(&store).await;
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
