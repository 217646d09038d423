use rusqlite::config::DbConfig;

use super::*;

/// A later version that was killed leaves what it committed last in the log alone.
#[test]
fn d13_a_catalog_of_a_later_layout_with_a_log_is_left_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = path_in(&folder);
    drop(SqliteCatalog::open(&path).expect("a new catalog"));
    let later = Connection::open(&path).expect("an open file");
    later.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    later.execute_batch("PRAGMA user_version = 99").expect("a later layout");
    drop(later);
    // An index of the log, which is made anew.
    let _ = std::fs::remove_file(folder.path().join("catalog.db-shm"));
    let bytes = || {
        let mut files: Vec<_> = std::fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (path.clone(), std::fs::read(path).expect("bytes")))
            .collect();
        files.sort();
        files
    };
    let before = bytes();
    assert!(before.iter().any(|(path, bytes)| path.ends_with("catalog.db-wal") && !bytes.is_empty()), "it has a log");
    let error = SqliteCatalog::open(&path).expect_err("a later layout");
    assert_eq!(error.code(), codes::FORMAT_UNSUPPORTED);
    assert!(bytes() == before, "the refused catalog was changed");
}
