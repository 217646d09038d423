mod keys;
mod later;

use std::path::PathBuf;

use airlane_model::{Retention, TableId, TableName, TicketId, TimeSpan, Timestamp, Version};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::catalog::conformance;
use crate::catalog::counts::{Counted, StoredCount, Until};
use crate::catalog::memory::MemoryCatalog;
use crate::catalog::{NewSegment, Place, StoredDictionary, StoredSegment, StoredVersion};

fn table(number: u8) -> TableId {
    TableId::from_bytes([number; 16])
}

fn new_segment(id: SegmentId, bytes: usize) -> NewSegment {
    let facts = StoredSegment {
        id,
        rows: 10,
        payload_bytes: 64,
        file_bytes: bytes as u64,
        checksum: 1 << 63,
        dictionaries: vec![StoredDictionary { hash: 1, bytes: 2 }],
        uptime: Uptime::from_micros(3),
        place: if bytes > 0 { Place::Catalog } else { Place::File },
    };
    NewSegment { facts, body: (bytes > 0).then(|| Bytes::from(vec![0xa7; bytes])) }
}

fn version(number: u64) -> StoredVersion {
    let version = Version::new(number).expect("versions count from 1");
    StoredVersion {
        version,
        rows: number * 10,
        bytes: number * 64,
        committed: Timestamp::from_micros(5),
        uptime: Uptime::from_micros(number * 3),
        put: version,
    }
}

fn create(number: u8, name: &str) -> [Change; 2] {
    let segments = vec![new_segment(SegmentId::from_bytes([number; 16]), 100)];
    [
        Change::CreateTable {
            id: table(number),
            name: TableName::parse(name).expect("a valid name"),
            created: Timestamp::from_micros(1),
        },
        Change::ReplaceContent {
            table: table(number),
            owner: Some("ada".into()),
            schema: Bytes::from_static(b"schema"),
            version: version(1),
            segments,
        },
    ]
}

fn path_in(folder: &TempDir) -> PathBuf {
    folder.path().join("catalog.db")
}

#[test]
fn conforms() {
    conformance::run(|| {
        let folder = tempfile::tempdir().expect("a folder");
        Box::new(move || Box::new(SqliteCatalog::open(&path_in(&folder)).expect("the catalog opens")))
    });
}

#[test]
fn refuses_files_that_are_no_catalog_of_this_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = path_in(&folder);
    drop(SqliteCatalog::open(&path).expect("a new catalog"));
    let change = |pragma: &str| {
        let connection = Connection::open(&path).expect("an open file");
        connection.execute_batch(pragma).expect("a pragma");
    };
    for layout in [3, 5, 6, 9, 10, 12, 15] {
        change(&format!("PRAGMA user_version = {layout}"));
        let error = SqliteCatalog::open(&path).expect_err("another layout");
        assert_eq!(error.code(), codes::FORMAT_UNSUPPORTED);
        assert!(error.hint_text().is_some_and(|hint| hint.contains("reads layouts up to 11")), "{error}");
    }
    change("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert_eq!(SqliteCatalog::open(&path).expect_err("another program's").code(), codes::FORMAT_UNSUPPORTED);
    std::fs::write(&path, b"not a database, but long enough to be read as the header of one, is it not so?")
        .expect("a written file");
    assert_eq!(SqliteCatalog::open(&path).expect_err("no database").code(), codes::DATA_DAMAGED);
}

#[test]
fn a_second_owner_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    first.commit(&create(1, "a")).expect("a commit");
    assert_eq!(SqliteCatalog::open(&path_in(&folder)).expect_err("a second one").code(), codes::FOLDER_LOCKED);
}

/// A catalog that cannot grow stands for a full disk: SQLite answers both with the same code.
#[test]
fn d5_a_full_disk_refuses_a_commit_and_the_catalog_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    catalog.commit(&create(1, "a")).expect("a commit");
    let before = catalog.load().expect("tables");
    let pages: i64 = catalog.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("pages");
    catalog.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).expect("a limit");

    let [made, Change::ReplaceContent { table, owner, schema, version, .. }] = create(2, "b") else {
        panic!("two changes")
    };
    let segments = vec![new_segment(SegmentId::from_bytes([9; 16]), 200_000)];
    let large = [made, Change::ReplaceContent { table, owner, schema, version, segments }];
    match catalog.commit(&large) {
        Err(CommitError::RolledBack(error)) => assert_eq!(error.code(), codes::STORAGE_FULL),
        other => panic!("{other:?}"),
    }
    assert_eq!(catalog.load().expect("tables"), before);
    catalog.connection.pragma_update_and_check(None, "max_page_count", pages * 1_000, |_| Ok(())).expect("no limit");
    catalog.commit(&large).expect("room again");
    assert_eq!(catalog.load().expect("tables").len(), 2);
}

/// The log is copied into the file between commits, so that none waits for it, and only when there is much of it.
#[test]
fn a_long_log_is_copied_when_nobody_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    catalog.commit(&create(1, "a")).expect("a commit");
    let pages = |catalog: &SqliteCatalog| catalog.log_pages.load(Ordering::Relaxed);
    let before = pages(&catalog);
    catalog.tidy().expect("little to do");
    assert!(before > 0 && pages(&catalog) == before, "a short log is left alone");

    let [made, Change::ReplaceContent { table, owner, schema, version, .. }] = create(2, "b") else {
        panic!("two changes")
    };
    let bytes = (LOG_PAGES_MAX as usize + 1) * 4096;
    let segments = vec![new_segment(SegmentId::from_bytes([9; 16]), bytes)];
    catalog.commit(&[made, Change::ReplaceContent { table, owner, schema, version, segments }]).expect("a commit");
    assert!(pages(&catalog) > LOG_PAGES_MAX);
    let size = || std::fs::metadata(path_in(&folder)).expect("the file").len();
    assert!(size() < bytes as u64, "it is in the log alone");
    catalog.tidy().expect("the log is copied");
    assert_eq!(pages(&catalog), 0);
    assert!(size() > bytes as u64);
    assert_eq!(catalog.body(SegmentId::from_bytes([9; 16])).expect("the bytes").len(), bytes);
}

#[test]
fn what_was_dropped_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    let secret = b"a secret that nobody may find again";
    let holds_secret = || {
        let files = std::fs::read_dir(folder.path()).expect("a folder");
        files
            .filter_map(|file| std::fs::read(file.expect("an entry").path()).ok())
            .any(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
    };
    let mut changes = create(1, "a");
    if let Change::ReplaceContent { segments, .. } = &mut changes[1] {
        segments[0].body = Some(Bytes::from(secret.repeat(300)));
    }
    catalog.commit(&changes).expect("a commit");
    assert!(holds_secret());
    catalog.commit(&[Change::DropTable { table: table(1) }]).expect("a drop");
    catalog.purge().expect("a purge");
    assert!(!holds_secret());
}

/// A catalog of two tables of two versions each, closed.
fn two_tables(folder: &TempDir) -> Vec<StoredTable> {
    let mut catalog = SqliteCatalog::open(&path_in(folder)).expect("the catalog");
    for (number, name) in [(1, "quotes"), (2, "second")] {
        let append = Change::AppendContent {
            table: table(number),
            version: version(2),
            segments: vec![new_segment(SegmentId::from_bytes([number + 10; 16]), 0)],
            keep_from: Version::FIRST,
        };
        catalog.commit(&create(number, name)).expect("a table");
        catalog.commit(&[append]).expect("a version");
    }
    let retention = Retention { pinned: true, ..Retention::default() };
    let retain = Change::SetRetention { table: table(1), retention, keep_from: Version::FIRST };
    catalog.commit(&[retain]).expect("a retention");
    catalog.load().expect("tables")
}

#[test]
fn d4_a_change_of_any_column_damages_its_table_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = two_tables(&folder);
    let written = std::fs::read(path_in(&folder)).expect("a file");
    let (mut changes, mut columns) = (Vec::new(), 0);
    let connection = Connection::open(path_in(&folder)).expect("an open file");
    let rows = [
        ("tables", "key = 1", "key = 1"),
        ("versions", "table_key = 1", "table_key = 1 AND version = 1"),
        ("segments", "table_key = 1", "table_key = 1 AND position = 0"),
    ];
    for (of, all, one) in rows {
        let mut statement =
            connection.prepare(&format!("SELECT name, type FROM pragma_table_info('{of}')")).expect("SQL");
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns");
        for (column, kind) in found.map(|column: rusqlite::Result<(String, String)>| column.expect("a column")) {
            let value = match (column.as_str(), kind.as_str()) {
                // What the bytes are is for their own checksum; whether they are here is for that of the row.
                ("body", _) => "NULL".to_owned(),
                ("name", _) => "'third'".to_owned(),
                (_, "BLOB") => format!("CAST(x'07' || substr({column}, 2) AS BLOB)"),
                _ => format!("{column} + 7"),
            };
            changes.push(format!("UPDATE {of} SET {column} = {value} WHERE {one}"));
            columns += 1;
        }
        changes.push(format!("DELETE FROM {of} WHERE {all}"));
    }
    drop(connection);
    // Of these columns the value of rows of earlier layouts is not in the checksum.
    changes.push("UPDATE tables SET retention = x'' WHERE key = 1".into());
    changes.push("UPDATE tables SET owner = '' WHERE key = 1".into());
    changes.push("UPDATE versions SET uptime = 0 WHERE table_key = 1 AND version = 1".into());
    assert!(columns >= 28, "only {columns} columns");
    for change in changes {
        std::fs::write(path_in(&folder), &written).expect("a file");
        let connection = Connection::open(path_in(&folder)).expect("an open file");
        assert!(connection.execute(&change, []).expect(&change) > 0, "{change}");
        drop(connection);
        let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect(&change);
        let loaded = catalog.load().expect(&change);
        assert_eq!(loaded.iter().find(|table| table.damage.is_none()), Some(&before[1]), "{change}");
        let damaged: Vec<_> = loaded.iter().filter(|table| table.damage.is_some()).map(|table| table.id).collect();
        // Rows that are no longer found by their key are shown as a table too.
        assert!((1..=2).contains(&damaged.len()), "{change}: {loaded:?}");
        for id in damaged {
            catalog.commit(&[Change::DropTable { table: id }]).expect(&change);
        }
        assert_eq!(catalog.load().expect(&change), before[1..], "{change}");
        catalog.commit(&create(1, "quotes")).expect("the name and the id are free");
        let whole: String =
            catalog.connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).expect("an answer");
        assert_eq!(whole, "ok");
    }
}

#[test]
fn d4_a_damaged_index_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = two_tables(&folder);
    let written = std::fs::read(path_in(&folder)).expect("a file");
    let places: Vec<usize> =
        written.windows(6).enumerate().filter(|(_, bytes)| bytes == b"quotes").map(|(place, _)| place).collect();
    assert_eq!(places.len(), 2, "the name is in its row and in an index");
    let mut damaged = 0;
    for place in places {
        let mut flipped = written.clone();
        flipped[place] ^= 1;
        std::fs::write(path_in(&folder), flipped).expect("a file");
        let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog opens");
        let loaded = catalog.load().expect("tables");
        if loaded == before {
            catalog.commit(&create(3, "puotes")).expect("the name is free");
        } else {
            damaged += 1;
            assert_eq!(loaded.iter().filter(|table| table.damage.is_none()).collect::<Vec<_>>(), [&before[1]]);
        }
        catalog.commit(&[Change::DropTable { table: table(1) }]).expect("a drop");
        catalog.commit(&create(4, "quotes")).expect("the name is free");
    }
    assert_eq!(damaged, 1, "the row, and not the index");
}

/// A damaged uptime is none: time that did not pass would have tables expire early.
#[test]
fn d10_d4_a_damaged_uptime_counts_for_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    let uptime = Uptime::from_micros(77);
    catalog.commit(&[Change::SaveUptime { uptime }]).expect("a commit");
    assert_eq!(catalog.saved_uptime().expect("an uptime"), uptime);
    for damage in ["UPDATE uptime SET micros = micros + 1", "UPDATE uptime SET row_checksum = 7", "DELETE FROM uptime"]
    {
        catalog.commit(&[Change::SaveUptime { uptime }]).expect("a commit");
        assert_eq!(catalog.connection.execute(damage, []).expect(damage), 1, "{damage}");
        assert_eq!(catalog.saved_uptime().expect(damage), Uptime::default(), "{damage}");
    }
}

/// What a damaged count says is not believed, and nobody may take it for none: its id is told.
#[test]
fn d4_a_damaged_count_is_told_by_its_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    let count = |number: u8| StoredCount {
        of: Counted::Ticket(TicketId::from_bytes([number; 16])),
        used: 3,
        until: Until { uptime: Uptime::from_micros(5), wall: Timestamp::from_micros(6) },
    };
    for column in ["kind", "version", "used", "until", "until_uptime", "row_checksum", "id"] {
        catalog.commit(&[1, 2].map(|number| Change::SetCount { count: count(number) })).expect("a commit");
        let value =
            if column == "id" { "CAST(x'07' || substr(id, 2) AS BLOB)".to_owned() } else { format!("{column} + 1") };
        let damage = format!("UPDATE counts SET {column} = {value} WHERE id = x'{}'", "01".repeat(16));
        assert_eq!(catalog.connection.execute(&damage, []).expect(&damage), 1, "{damage}");
        let stored = catalog.counts().expect("counts");
        assert_eq!(stored.counts, [count(2)], "{damage}");
        assert_eq!(stored.damaged.len(), 1, "{damage}");
        assert_eq!(stored.damaged[0][8..], [1; 8], "{damage}");
        catalog.connection.execute("DELETE FROM counts", []).expect("none");
    }
}

/// A commit makes a new checksum of the table's row: not of one that was damaged since the start.
#[test]
fn d4_a_commit_makes_no_damaged_row_good() {
    let folder = tempfile::tempdir().expect("a folder");
    two_tables(&folder);
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    catalog.load().expect("tables");
    catalog.connection.execute("UPDATE tables SET schema = x'07' WHERE key = 1", []).expect("a change");
    let append =
        Change::AppendContent { table: table(1), version: version(3), segments: Vec::new(), keep_from: Version::FIRST };
    match catalog.commit(&[append]) {
        Err(CommitError::RolledBack(error)) => assert_eq!(error.code(), codes::DATA_DAMAGED),
        other => panic!("{other:?}"),
    }
    assert!(catalog.load().expect("tables")[0].damage.is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Replace(u8, u8),
    Append(u8, u8),
    Merge(u8, u8, u8),
    Retain(u8, u8),
    Drop(u8),
    KeepKey(u8, u8),
    ForgetKeys(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8).prop_map(Step::Create),
        (0..4_u8, 0..4_u8).prop_map(|(table, segments)| Step::Replace(table, segments)),
        (0..4_u8, 0..3_u8).prop_map(|(table, segments)| Step::Append(table, segments)),
        (0..4_u8, 0..6_u8, 0..6_u8).prop_map(|(table, first, count)| Step::Merge(table, first, count)),
        (0..4_u8, 0..3_u8).prop_map(|(table, back)| Step::Retain(table, back)),
        (0..4_u8).prop_map(Step::Drop),
        (0..4_u8, 0..6_u8).prop_map(|(table, key)| Step::KeepKey(table, key)),
        (0..3_u8).prop_map(Step::ForgetKeys),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both catalogs take and refuse the same commits, and hold the same afterwards.
    #[test]
    fn agrees_with_the_memory_catalog(batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..20)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut sqlite = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
        let mut memory = MemoryCatalog::default();
        let (mut segments, mut versions) = (0_u64, 0_u64);
        for batch in batches {
            let known = memory.load().expect("tables");
            let mut fresh = |count: u8| {
                (0..count).map(|index| {
                    segments += 1;
                    new_segment(SegmentId::from_bytes(u128::from(segments).to_be_bytes()), usize::from(index) * 9)
                }).collect::<Vec<_>>()
            };
            let mut changes = Vec::new();
            for step in batch {
                versions += 1;
                let version = version(versions);
                match step {
                    Step::Create(number) => changes.extend(create(number, &format!("t{number}")).into_iter().take(1)),
                    Step::Replace(number, count) => changes.push(Change::ReplaceContent {
                        table: table(number),
                        owner: (count > 1).then(|| format!("caller {number}").into()),
                        schema: Bytes::from(vec![number; 3]),
                        version,
                        segments: fresh(count),
                    }),
                    Step::Append(number, count) => changes.push(Change::AppendContent {
                        table: table(number),
                        version,
                        segments: fresh(count),
                        keep_from: Version::new(versions.saturating_sub(5).max(1)).expect("not zero"),
                    }),
                    Step::Merge(number, first, count) => {
                        let stored = known.iter().find(|stored| stored.id == table(number));
                        let ids = stored.into_iter().flat_map(|stored| &stored.segments).map(|segment| segment.id);
                        let old: Vec<_> = ids.skip(first.into()).take(count.into()).collect();
                        changes.push(Change::ReplaceSegments { table: table(number), old, new: fresh(1) });
                    }
                    Step::Retain(number, back) => changes.push(Change::SetRetention {
                        table: table(number),
                        retention: Retention {
                            ttl: Some(TimeSpan::new(Duration::from_secs(back.into()))),
                            ..Retention::default()
                        },
                        keep_from: Version::new(versions.saturating_sub(back.into()).max(1)).expect("not zero"),
                    }),
                    Step::Drop(number) => changes.push(Change::DropTable { table: table(number) }),
                    Step::KeepKey(number, key) => changes.push(keys::keep(&keys::stored(number, key))),
                    Step::ForgetKeys(count) => changes.push(Change::ForgetKeys { count: count.into() }),
                }
            }
            let outcomes = (sqlite.commit(&changes).is_ok(), memory.commit(&changes).is_ok());
            prop_assert_eq!(outcomes.0, outcomes.1, "{:?}", changes);
            prop_assert_eq!(sqlite.load().expect("tables"), memory.load().expect("tables"));
            prop_assert_eq!(sqlite.keys().expect("keys"), memory.keys().expect("keys"));
        }
    }
}
