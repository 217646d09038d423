//! Puts, versions, snapshots, drops, and what survives a restart.

use std::os::unix::fs::PermissionsExt;

use airlane_model::{Durability, PutMode, Version, codes};
use airlane_segment::TableSchema;
use airlane_store::{Recovery, Store, StoreOptions};
use arrow_schema::{DataType, Field, Schema};

use crate::support::*;

fn version(number: u64) -> Option<Version> {
    Version::new(number)
}

#[tokio::test]
async fn puts_are_read_back_by_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let receipt = replace(&store, "eu/prices", 0..10).await.expect("a put");
    assert_eq!((receipt.version.get(), receipt.rows, receipt.rows_put), (1, 10, 10));
    assert_eq!((receipt.durability, receipt.ticket.as_str()), (Durability::Durable, "eu/prices@1"));
    let receipt = append(&store, "eu/prices", 10..1_000).await.expect("an append");
    assert_eq!((receipt.version.get(), receipt.rows, receipt.rows_put), (2, 1_000, 990));
    append(&store, "eu/prices", 1_000..1_003).await.expect("an append");

    for (number, rows) in [(1, 10), (2, 1_000), (3, 1_003)] {
        let snapshot = store.snapshot(&name("eu/prices"), version(number), None).expect("a version");
        assert_eq!(snapshot.info().rows, rows as u64);
        assert_eq!(snapshot.info().ticket, format!("eu/prices@{number}"));
        assert_eq!(keys(&snapshot).expect("rows"), (0..rows).collect::<Vec<_>>());
    }
    let error = store.snapshot(&name("eu/prices"), version(4), None).expect_err("a later version");
    assert_eq!(error.code(), codes::VERSION_NOT_FOUND);
    assert_eq!(error.hint_text(), Some("versions 1 to 3 can be read; the current one is `eu/prices@3`"));

    let receipt = replace(&store, "eu/prices", 5..7).await.expect("a replace");
    assert_eq!((receipt.version.get(), receipt.rows), (4, 2));
    assert_eq!(read(&store, "eu/prices").expect("rows"), [5, 6]);
    let error = store.snapshot(&name("eu/prices"), version(3), None).expect_err("a replaced version");
    assert_eq!(error.code(), codes::VERSION_NOT_FOUND);
    assert_eq!(error.hint_text(), Some("the current version is `eu/prices@4`"));
    assert_sound(&store).await;
}

#[tokio::test]
async fn durable_tables_survive_a_restart_and_ephemeral_ones_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    replace(&store, "small", 0..3).await.expect("a put");
    replace(&store, "large", 0..5_000).await.expect("a put");
    append(&store, "large", 5_000..5_002).await.expect("an append");
    put(&store, spec("gone", PutMode::Replace, Some(Durability::Ephemeral)), 0..5_000).await.expect("a put");
    let before: Vec<_> = store.list("").into_iter().filter(|info| info.durability == Durability::Durable).collect();
    assert_sound(&store).await;
    store.close().await;
    let error = replace(&store, "small", 0..1).await.expect_err("a closed store");
    assert_eq!(error.code(), codes::SHUTTING_DOWN);

    let (again, recovery) = Store::open(options(folder.path())).expect("the store opens");
    let segments = before.iter().map(|info| info.segments).sum();
    assert_eq!(recovery, Recovery { tables: 2, segments, ..Recovery::default() });
    assert_eq!(again.list(""), before);
    assert_eq!(read(&again, "small").expect("rows"), [0, 1, 2]);
    assert_eq!(read(&again, "large").expect("rows"), (0..5_002).collect::<Vec<_>>());
    let older = again.snapshot(&name("large"), version(1), None).expect("an older version");
    assert_eq!(keys(&older).expect("rows").len(), 5_000);
    assert_eq!(append(&again, "small", 3..4).await.expect("an append").version.get(), 2);
    assert_sound(&again).await;
}

#[tokio::test]
async fn a_store_without_a_folder_keeps_ephemeral_tables() {
    let store = open(StoreOptions { writer: small_sizes(), ..StoreOptions::new(None) });
    let receipt = replace(&store, "t", 0..5_000).await.expect("a put");
    assert_eq!(receipt.durability, Durability::Ephemeral);
    assert_eq!(read(&store, "t").expect("rows").len(), 5_000);
    let asked = put(&store, spec("d", PutMode::Replace, Some(Durability::Durable)), 0..1).await;
    assert_eq!(asked.expect_err("no folder").code(), codes::DURABILITY_CONFLICT);
    assert_eq!(store.damage_report_file(), None);
    assert_sound(&store).await;
}

#[tokio::test]
async fn durability_belongs_to_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let ephemeral = |mode| spec("t", mode, Some(Durability::Ephemeral));
    put(&store, ephemeral(PutMode::Replace), 0..1).await.expect("a put");
    let kept = append(&store, "t", 1..2).await.expect("an append");
    assert_eq!(kept.durability, Durability::Ephemeral);
    let asked = put(&store, spec("t", PutMode::Append, Some(Durability::Durable)), 2..3).await;
    let error = asked.expect_err("another durability");
    assert_eq!(error.code(), codes::DURABILITY_CONFLICT);
    assert_eq!(error.message(), "table `t` is ephemeral, the put asks for durable");

    // A put that began when there was no table meets the one that was made meanwhile.
    let mut first = store.put_batches(spec("u", PutMode::Replace, None), schema()).expect("a put");
    first.append(&batch(0..3)).expect("rows");
    put(&store, spec("u", PutMode::Replace, Some(Durability::Ephemeral)), 0..1).await.expect("a put");
    assert_eq!(first.commit().await.expect_err("too late").code(), codes::DURABILITY_CONFLICT);
    assert_sound(&store).await;
}

#[tokio::test]
async fn appends_must_fit_when_they_begin_and_when_they_are_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let other = Schema::new(vec![Field::new("other", DataType::Int64, false)]);
    let other = TableSchema::from_arrow(&other).expect("a schema");
    let mut first = store.put_batches(spec("t", PutMode::Append, None), schema()).expect("an append to nothing");
    first.append(&batch(0..1_000)).expect("rows");
    let second = store.put_batches(spec("t", PutMode::Replace, None), other.clone()).expect("a put");
    second.commit().await.expect("a put without rows");
    let error = first.commit().await.expect_err("another schema");
    assert_eq!(error.code(), codes::SCHEMA_MISMATCH);
    assert_eq!(error.place(), Some("table `t`, column \"other\""));
    assert!(
        files(folder.path()).is_empty() || {
            store.settle().await;
            files(folder.path()).is_empty()
        }
    );

    replace(&store, "t", 0..3).await.expect("a replace may change the schema");
    let early = store.put_batches(spec("t", PutMode::Append, None), other);
    assert_eq!(early.expect_err("refused early").code(), codes::SCHEMA_MISMATCH);
    assert_eq!(append(&store, "new", 0..2).await.expect("an append makes a table").version.get(), 1);
    assert_sound(&store).await;
}

#[tokio::test]
async fn tables_without_rows_and_appends_without_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let empty = replace(&store, "t", 0..0).await.expect("a put without rows");
    assert_eq!((empty.rows, empty.bytes), (0, 0));
    let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
    assert_eq!(snapshot.schema().arrow(), schema().arrow());
    assert_eq!(keys(&snapshot).expect("rows"), [0_i64; 0]);
    assert_eq!(append(&store, "t", 0..0).await.expect("an append without rows").version.get(), 2);
    append(&store, "t", 0..2).await.expect("an append");
    assert_eq!(keys(&store.snapshot(&name("t"), version(2), None).expect("a version")).expect("rows"), [0_i64; 0]);
    assert_eq!(read(&store, "t").expect("rows"), [0, 1]);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_dropped_table_is_gone_and_its_tickets_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let first = replace(&store, "t", 0..5_000).await.expect("a put");
    assert!(!files(folder.path()).is_empty());
    let dropped = store.drop_table(&name("t")).await.expect("a drop");
    assert_eq!((dropped.table_id, dropped.rows), (first.table_id, 5_000));
    assert!(files(folder.path()).is_empty(), "the files are gone when the drop returns");
    assert_eq!(read(&store, "t").expect_err("dropped").code(), codes::TABLE_NOT_FOUND);
    assert_eq!(store.drop_table(&name("t")).await.expect_err("dropped").code(), codes::TABLE_NOT_FOUND);

    let second = replace(&store, "t", 0..1).await.expect("a put");
    assert_eq!(second.version.get(), 1);
    assert_ne!(second.table_id, first.table_id);
    let old = store.snapshot(&name("t"), version(1), Some(first.table_id)).expect_err("an old ticket");
    assert_eq!(old.code(), codes::TABLE_RECREATED);
    assert!(store.snapshot(&name("t"), version(1), Some(second.table_id)).is_ok());
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(options(folder.path()));
    let mut given_up = store.put_batches(spec("t", PutMode::Replace, None), schema()).expect("a put");
    given_up.append(&batch(0..20_000)).expect("rows");
    assert!(!files(folder.path()).is_empty(), "full segments are in their files already");
    assert_eq!(read(&store, "t").expect_err("not committed").code(), codes::TABLE_NOT_FOUND);
    drop(given_up);
    store.settle().await;
    assert!(files(folder.path()).is_empty());
    assert!(store.list("").is_empty());
    assert_sound(&store).await;
}

#[tokio::test]
async fn lists_by_prefix_in_the_order_of_names() {
    let store = open(StoreOptions::new(None));
    for table in ["eu/b", "b", "eu/a", "a", "default/eu/c", "eur"] {
        replace(&store, table, 0..1).await.expect("a put");
    }
    let names =
        |prefix: &str| -> Vec<String> { store.list(prefix).iter().map(|info| info.table.to_string()).collect() };
    assert_eq!(names(""), ["a", "b", "default/eu/c", "eu/a", "eu/b", "eur"]);
    assert_eq!(names("eu"), ["eu/a", "eu/b", "eur"]);
    assert_eq!(names("eu/"), ["eu/a", "eu/b"]);
    assert_eq!(names("default/"), ["a", "b", "default/eu/c", "eur"]);
    assert_eq!(names("default/e"), ["default/eu/c", "eur"]);
    assert_eq!(names("x"), [""; 0]);
}

#[tokio::test]
async fn s7_the_folder_is_private_and_names_are_no_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("data");
    let store = open(options(&root));
    replace(&store, "a/b..c/LOCK", 0..5_000).await.expect("a put");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("an entry").permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("segments")), 0o700);
    let mut entries: Vec<_> = std::fs::read_dir(&root).expect("a folder").map(|e| e.expect("an entry")).collect();
    entries.extend(std::fs::read_dir(root.join("segments")).expect("a folder").map(|e| e.expect("an entry")));
    assert!(entries.len() > 5);
    for entry in entries.iter().filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert_eq!(mode(&entry.path()), 0o600, "{name}");
        let known = ["LOCK", "FORMAT", "catalog.db", "catalog.db-wal", "catalog.reserve"].contains(&name.as_str());
        let segment = name.strip_suffix(".arrow").is_some_and(|id| id.len() == 32);
        assert!(known || segment, "{name}");
    }
}
