use airlane_model::{Durability, PutKey};

use super::*;
use crate::catalog::{Outcome, StoredKey};

pub(super) fn stored(number: u8, key: u8) -> StoredKey {
    let outcome = Outcome {
        table_id: table(number),
        version: Version::FIRST,
        rows: 9,
        bytes: 64,
        rows_put: 9,
        durability: Durability::Durable,
    };
    StoredKey {
        key: PutKey { caller: "ada".into(), key: format!("key {key}").parse().expect("a valid key") },
        table: TableName::parse(&format!("t{number}")).expect("a valid name"),
        content: 7 << 100,
        outcome,
        uptime: Uptime::from_micros(1_000 + u64::from(key)),
    }
}

pub(super) fn keep(key: &StoredKey) -> Change {
    Change::KeepKey { key: Box::new(key.clone()) }
}

/// A catalog of a table and two keys, closed.
fn two_keys(folder: &TempDir) -> [StoredKey; 2] {
    let keys = [stored(1, 1), stored(1, 2)];
    let mut catalog = SqliteCatalog::open(&path_in(folder)).expect("the catalog");
    catalog.commit(&create(1, "t1")).expect("a table");
    catalog.commit(&keys.each_ref().map(keep)).expect("keys");
    keys
}

#[test]
fn d4_a_change_of_any_column_of_a_key_is_found_and_damages_no_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = two_keys(&folder);
    let written = std::fs::read(path_in(&folder)).expect("a file");
    let connection = Connection::open(path_in(&folder)).expect("an open file");
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info('put_keys')").expect("SQL");
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns");
    let columns: Vec<(String, String)> = columns.map(|column| column.expect("a column")).collect();
    drop(statement);
    drop(connection);
    assert!(columns.len() >= 13, "{columns:?}");
    for (column, kind) in columns.iter().filter(|(column, _)| column != "seq") {
        let value = match kind.as_str() {
            "BLOB" => format!("CAST(x'07' || substr({column}, 2) AS BLOB)"),
            "TEXT" => format!("{column} || 'x'"),
            _ => format!("{column} + 7"),
        };
        std::fs::write(path_in(&folder), &written).expect("a file");
        let connection = Connection::open(path_in(&folder)).expect("an open file");
        let change = format!("UPDATE put_keys SET {column} = {value} WHERE seq = 1");
        assert_eq!(connection.execute(&change, []).expect(&change), 1, "{change}");
        drop(connection);
        let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect(&change);
        assert!(catalog.load().expect(&change)[0].damage.is_none(), "{change}");
        let found = catalog.keys().expect(&change);
        assert_eq!(found.iter().map(|key| key.is_damaged).collect::<Vec<_>>(), [true, false], "{change}");
        assert_eq!(found[1], second.facts(), "{change}");
        let hash = first.facts().hash;
        assert!(found[0].hash == hash || found[0].also == Some(hash), "{change}: a put with the key asks the catalog");
        let error = catalog.find_key(&first.key, &first.table).expect_err(&change);
        assert_eq!(error.code(), codes::DATA_DAMAGED, "{change}");
        assert_eq!(catalog.find_key(&second.key, &second.table).expect(&change).as_ref(), Some(&second));
        catalog.commit(&[Change::ForgetKeys { count: 1 }, keep(&stored(1, 3))]).expect("it can be forgotten");
        assert!(catalog.find_key(&first.key, &first.table).expect("gone").is_none());
    }
}

/// The index has no checksums: what it does not find, and is known to be there, is looked for in the rows.
#[test]
fn d4_a_key_that_its_index_hides_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = two_keys(&folder);
    let connection = Connection::open(path_in(&folder)).expect("an open file");
    let damage = "DROP INDEX put_keys_by_hash;
                  CREATE INDEX put_keys_by_hash ON put_keys (hash + (seq = 1));
                  PRAGMA writable_schema = ON;
                  UPDATE sqlite_schema SET sql = 'CREATE INDEX put_keys_by_hash ON put_keys (hash)'
                         WHERE name = 'put_keys_by_hash';";
    connection.execute_batch(damage).expect("an index with other numbers");
    drop(connection);
    let mut catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    for key in [&first, &second] {
        assert_eq!(catalog.find_key(&key.key, &key.table).expect("whole rows").as_ref(), Some(key));
    }
    assert!(catalog.find_key(&stored(1, 3).key, &first.table).expect("no such row").is_none());
}

/// Nothing is looked through to find the oldest.
#[test]
fn forgetting_keys_reads_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    two_keys(&folder);
    let catalog = SqliteCatalog::open(&path_in(&folder)).expect("the catalog");
    let sql = "EXPLAIN QUERY PLAN
               DELETE FROM put_keys WHERE seq IN (SELECT seq FROM put_keys ORDER BY seq LIMIT 2)";
    let mut statement = catalog.connection.prepare(sql).expect("SQL");
    let steps = statement.query_map([], |row| row.get::<_, String>(3)).expect("a plan");
    let steps: Vec<String> = steps.map(|step| step.expect("a step")).collect();
    assert!(steps.iter().any(|step| step.contains("SEARCH put_keys USING INTEGER PRIMARY KEY")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
}
