//! Small tables, and a store with small sizes so that a few rows fill files.

use std::path::Path;
use std::sync::Arc;

use airlane_model::{ByteSize, Durability, PutKey, PutMode, Receipt, Result, RetentionChange, TableName};
use airlane_segment::{MemoryUse, TableSchema, WriterOptions};
use airlane_store::{Merging, PutSpec, Snapshot, Store, StoreOptions};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

/// Segments of 16 KiB; what is above 2 KiB gets a file.
pub(crate) fn small_sizes() -> WriterOptions {
    WriterOptions {
        batch_bytes_target: ByteSize::kib(4),
        batch_bytes_min: ByteSize::kib(1),
        batch_bytes_max: ByteSize::kib(8),
        segment_bytes_target: ByteSize::kib(16),
        segment_small_bytes_max: ByteSize::kib(2),
        dictionary_bytes_max: ByteSize::kib(64),
    }
}

pub(crate) fn options(folder: &Path) -> StoreOptions {
    StoreOptions { writer: small_sizes(), ..StoreOptions::new(Some(folder.to_owned())) }
}

pub(crate) fn by_hand(options: StoreOptions) -> StoreOptions {
    StoreOptions { merging: Merging::ByHand, ..options }
}

pub(crate) fn open(options: StoreOptions) -> Store {
    Store::open(options).expect("the store opens").0
}

pub(crate) fn name(text: &str) -> TableName {
    TableName::parse(text).expect("a valid name")
}

pub(crate) fn schema() -> TableSchema {
    let fields = vec![Field::new("key", DataType::Int64, false), Field::new("text", DataType::Utf8, true)];
    TableSchema::from_arrow(&Schema::new(fields)).expect("a valid schema")
}

/// Rows whose content tells their numbers.
pub(crate) fn batch(keys: std::ops::Range<i64>) -> RecordBatch {
    let texts: StringArray = keys.clone().map(|key| (key % 3 != 0).then(|| format!("row {key}"))).collect();
    let columns: Vec<arrow_array::ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(keys)), Arc::new(texts)];
    RecordBatch::try_new(schema().arrow().clone(), columns).expect("a valid batch")
}

pub(crate) fn spec(table: &str, mode: PutMode, durability: Option<Durability>) -> PutSpec {
    PutSpec { table: name(table), mode, durability, retention: RetentionChange::default(), key: None, caller: None }
}

/// The key of a caller.
pub(crate) fn key_of(caller: &str, key: &str) -> PutKey {
    PutKey { caller: caller.into(), key: key.parse().expect("a valid key") }
}

/// A change of retention, by its rules.
pub(crate) fn change(rules: &[(&str, &str)]) -> RetentionChange {
    let rules = rules.iter().map(|(rule, text)| RetentionChange::of(rule, text));
    rules.fold(RetentionChange::default(), |all, rule| all.join(rule.expect("a rule")).expect("no contradiction"))
}

pub(crate) async fn put(store: &Store, spec: PutSpec, keys: std::ops::Range<i64>) -> Result<Receipt> {
    let mut put = store.put_batches(spec, schema())?;
    put.append(&batch(keys))?;
    put.commit().await
}

pub(crate) async fn replace(store: &Store, table: &str, keys: std::ops::Range<i64>) -> Result<Receipt> {
    put(store, spec(table, PutMode::Replace, None), keys).await
}

pub(crate) async fn append(store: &Store, table: &str, keys: std::ops::Range<i64>) -> Result<Receipt> {
    put(store, spec(table, PutMode::Append, None), keys).await
}

/// The keys of a version; every row's text is compared with its key.
pub(crate) fn keys(snapshot: &Snapshot) -> Result<Vec<i64>> {
    let mut keys = Vec::new();
    for part in snapshot.segments() {
        let segment = part.open()?;
        assert_eq!(segment.rows(), part.rows());
        for index in 0..segment.batch_count() {
            let batch = segment.batch(index)?;
            let column = batch.column(0).as_primitive::<Int64Type>();
            let texts = batch.column(1).as_string::<i32>();
            for (key, text) in column.values().iter().zip(texts) {
                assert_eq!(text.map(str::to_owned), (key % 3 != 0).then(|| format!("row {key}")));
                keys.push(*key);
            }
        }
    }
    let rows = usize::try_from(snapshot.info().rows).expect("few rows");
    assert!(keys.len() >= rows, "the version has {rows} rows, its segments {}", keys.len());
    keys.truncate(rows);
    Ok(keys)
}

pub(crate) fn read(store: &Store, table: &str) -> Result<Vec<i64>> {
    keys(&store.snapshot(&name(table), None, None)?)
}

/// The store at rest contradicts itself nowhere.
pub(crate) async fn assert_sound(store: &Store) {
    store.settle().await;
    let store = store.clone();
    let found = tokio::task::spawn_blocking(move || store.check()).await.expect("the check ends");
    assert!(found.is_empty(), "{found:#?}");
}

/// Names of the segment files of a data folder.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("segments")).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What the facts of tables take of the budget.
pub(crate) fn facts_of(store: &Store) -> u64 {
    store.memory_budget().used_for(MemoryUse::Facts).as_u64()
}
