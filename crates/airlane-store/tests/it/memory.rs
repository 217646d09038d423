//! The memory of ephemeral tables: written again by replaces, given back by drops.

use std::sync::Arc;

use airlane_model::{ByteSize, Durability, PutMode};
use airlane_segment::{Segment, TableSchema, WriterOptions};
use airlane_store::{Merging, Store, StoreOptions};
use arrow_array::{Int64Array, RecordBatch};

use crate::support::*;

/// Bytes of the tables here, and of their segments.
const TABLE: ByteSize = ByteSize::mib(64);
const SEGMENT: ByteSize = ByteSize::mib(8);

fn store() -> Store {
    let writer = WriterOptions { segment_bytes_target: SEGMENT, ..WriterOptions::default() };
    open(StoreOptions { writer, merging: Merging::ByHand, ..StoreOptions::new(None) })
}

async fn fill(store: &Store, table: &str) {
    let rows = i64::try_from(SEGMENT.as_u64() / 8).expect("a small number");
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..rows)) as _)]);
    let batch = batch.expect("a batch");
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let spec = spec(table, PutMode::Replace, Some(Durability::Ephemeral));
    let mut put = store.put_batches(spec, schema).expect("a put");
    for _ in 0..TABLE.as_u64() / SEGMENT.as_u64() {
        put.append(&batch).expect("rows");
    }
    put.commit().await.expect("a commit");
}

fn segments(store: &Store, table: &str) -> Vec<Arc<Segment>> {
    let snapshot = store.snapshot(&name(table), None, None).expect("a table");
    snapshot.segments().iter().map(|segment| segment.open().expect("a segment")).collect()
}

#[tokio::test]
async fn a_drop_gives_the_memory_back_before_it_returns() {
    let store = store();
    fill(&store, "t").await;
    fill(&store, "other").await;
    let watched: Vec<_> = segments(&store, "t").iter().map(Arc::downgrade).collect();
    assert!(watched.len() > 4, "{} segments", watched.len());
    store.drop_table(&name("t")).await.expect("a drop");
    assert!(watched.iter().all(|segment| segment.upgrade().is_none()), "no segment is left");
    assert_eq!(store.spare_memory(), ByteSize::bytes(0), "and none of its memory is kept");
    assert_eq!(segments(&store, "other").iter().map(|segment| segment.rows()).sum::<u64>(), TABLE.as_u64() / 8);
}

#[tokio::test]
async fn a_reader_of_a_dropped_table_finishes_and_what_it_held_ages() {
    let store = store();
    fill(&store, "t").await;
    let reader = store.snapshot(&name("t"), None, None).expect("a table");
    store.drop_table(&name("t")).await.expect("a drop");
    assert_eq!(store.spare_memory(), ByteSize::bytes(0));
    for segment in reader.segments() {
        let batch = segment.open().expect("a segment").batch(0).expect("a batch");
        assert!(batch.num_rows() > 0);
    }
    drop(reader);
    store.age_memory();
    store.age_memory();
    assert_eq!(store.spare_memory(), ByteSize::bytes(0));
}

#[tokio::test]
async fn a_replace_keeps_the_memory_for_the_next_one() {
    let store = store();
    // The sweeper may come between, so more than one attempt is granted.
    for _ in 0..10 {
        fill(&store, "t").await;
        fill(&store, "t").await;
        store.settle().await;
        if store.spare_memory() >= TABLE {
            return;
        }
    }
    panic!("what replaces leave is given back at once");
}
