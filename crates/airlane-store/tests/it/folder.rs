//! Who may use a data folder, and which folders are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use airlane_model::{Error, codes};
use airlane_store::Store;

use crate::support::*;

fn refused(folder: &Path) -> Error {
    Store::open(options(folder)).expect_err("a folder that cannot be used")
}

#[tokio::test]
async fn a_second_server_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    replace(&store, "t", 0..3).await.expect("a put");
    let error = refused(folder.path());
    assert_eq!(error.code(), codes::FOLDER_LOCKED);
    let expected =
        format!("another server (process {}) uses the data folder `{}`", std::process::id(), folder.path().display());
    assert_eq!(error.message(), expected);
    assert_eq!(append(&store, "t", 3..4).await.expect("the first goes on").version.get(), 2);
    // The lock goes with the last clone, also without `close`.
    let clone = store.clone();
    drop(store);
    assert_eq!(refused(folder.path()).code(), codes::FOLDER_LOCKED);
    drop(clone);
    assert_eq!(read(&open(options(folder.path())), "t").expect("rows"), [0, 1, 2, 3]);
}

#[tokio::test]
async fn other_formats_and_other_folders_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    open(options(folder.path())).close().await;
    let format = folder.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&format).expect("a format"), "airlane data format 1\n");
    for (text, message) in [
        ("airlane data format 2\n", "the data folder has format `2`, this version reads 1"),
        ("", "`FORMAT` of the data folder says ``"),
        ("something else\n", "`FORMAT` of the data folder says `something else`"),
    ] {
        fs::write(&format, text).expect("a format");
        let error = refused(folder.path());
        assert_eq!((error.code(), error.message()), (codes::FORMAT_UNSUPPORTED, message));
        assert_eq!(fs::read_to_string(&format).expect("a format"), text);
    }

    let foreign = tempfile::tempdir().expect("a folder");
    fs::write(foreign.path().join("precious.txt"), b"mine").expect("a file");
    let error = refused(foreign.path());
    assert_eq!(error.code(), codes::FORMAT_UNSUPPORTED);
    assert!(error.message().contains("holds `precious.txt`"), "{error}");
    assert_eq!(fs::read_dir(foreign.path()).expect("a folder").count(), 1, "nothing is added");
    fs::set_permissions(foreign.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    assert_eq!(refused(foreign.path()).code(), codes::FORMAT_UNSUPPORTED);
    assert_eq!(fs::metadata(foreign.path()).expect("a folder").permissions().mode() & 0o777, 0o755);

    let file = foreign.path().join("precious.txt");
    assert_eq!(refused(&file).code(), codes::STORAGE_FAILED);
}

#[tokio::test]
async fn an_empty_mount_point_and_an_interrupted_first_start_are_fine() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("lost+found")).expect("a folder");
    fs::write(folder.path().join("LOCK"), b"").expect("a file");
    fs::write(folder.path().join("FORMAT.new"), b"airlane da").expect("a file");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let store = open(options(folder.path()));
    replace(&store, "t", 0..3).await.expect("a put");
    assert_eq!(fs::metadata(folder.path()).expect("a folder").permissions().mode() & 0o777, 0o700);
    assert!(!folder.path().join("FORMAT.new").exists());
    assert_sound(&store).await;
}

#[tokio::test]
async fn files_that_are_no_segments_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    open(options(folder.path())).close().await;
    let segments = folder.path().join("segments");
    let orphan = segments.join(format!("{:032x}.arrow", 1));
    let notes = segments.join("notes.txt");
    fs::write(&orphan, b"of a put that was not committed").expect("a file");
    fs::write(&notes, b"somebody's").expect("a file");
    let (store, recovery) = Store::open(options(folder.path())).expect("the store opens");
    assert_eq!(recovery.orphans_removed, 1);
    assert!(!orphan.exists() && notes.exists());
    assert_sound(&store).await;
}

#[tokio::test]
async fn folders_are_made_at_the_end_of_unusual_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("real")).expect("a folder");
    std::os::unix::fs::symlink("real", folder.path().join("link")).expect("a link");
    for path in ["link", "link/../other/data", "a/b/./c/"] {
        let store = open(options(&folder.path().join(path)));
        replace(&store, "t", 0..3).await.expect("a put");
        assert_sound(&store).await;
    }
    for path in ["real/FORMAT", "other/data/FORMAT", "a/b/c/FORMAT"] {
        assert!(folder.path().join(path).is_file(), "{path}");
    }
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).expect("a link");
    assert_eq!(refused(&dangling.join("data")).code(), codes::STORAGE_FAILED);
}
