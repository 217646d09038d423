use std::sync::Arc;

use airlane_exchange::{Exchange, StreamMessage};
use airlane_model::{PutMode, RowRange, codes};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use crate::support::*;

/// Reads a ticket as one stream; compares what the plan promised with what came.
fn read(exchange: &Exchange, text: &str) -> Vec<String> {
    let mut stream = exchange.read(&ticket(text)).expect("a read");
    let (all, _) = messages(&mut stream);
    let batches = decode(stream.schema(), &all);
    let mut position = None;
    for message in &all {
        if let StreamMessage::Batch { row_offset, rows, .. } = message {
            assert!(position.is_none_or(|position| position == *row_offset), "positions follow one another");
            position = Some(row_offset + rows);
        }
    }
    let found = rows(&batches);
    assert_eq!(found.len() as u64, stream.rows());
    for endpoints_max in [1, 4] {
        check_flights(exchange, text, endpoints_max, &found);
    }
    let mut stream = exchange.read(&ticket(text)).expect("a read");
    let in_process: Vec<_> = std::iter::from_fn(|| stream.next_batch().expect("a batch")).collect();
    assert_eq!(rows(&in_process), found);
    assert!(same_columns(stream.schema().arrow(), &in_process));
    found
}

/// The flights together give the rows, and exactly the rows and bytes that were promised.
fn check_flights(exchange: &Exchange, text: &str, endpoints_max: usize, expected: &[String]) {
    let plan = exchange.flights(&ticket(text), endpoints_max).expect("a plan");
    assert!((1..=endpoints_max.max(1)).contains(&plan.endpoints.len()));
    let (mut found, mut bytes) = (Vec::new(), 0);
    for endpoint in &plan.endpoints {
        // A ticket is passed on as text.
        let mut stream = exchange.read(&ticket(&endpoint.ticket.to_string())).expect("an endpoint");
        let (all, of_endpoint) = messages(&mut stream);
        assert_eq!(stream.rows(), endpoint.rows);
        assert_eq!(endpoint.ticket.table_id, Some(plan.info.table_id));
        found.extend(rows(&decode(stream.schema(), &all)));
        bytes += of_endpoint;
    }
    assert_eq!(found, expected);
    assert_eq!((plan.rows, plan.bytes), (found.len() as u64, bytes), "{text}: what is promised is what comes");
}

#[tokio::test]
async fn whole_tables_versions_and_ranges() {
    let exchange = exchange();
    let names = ["ada", "bob", "cyd"];
    put(&exchange, "t", PutMode::Replace, &[batch(0..5_000, &names)]).await;
    let receipt = put(&exchange, "t", PutMode::Append, &[batch(5_000..5_040, &names)]).await;
    let all = read(&exchange, "t");
    assert_eq!(all, rows(&[batch(0..5_040, &names)]));
    assert_eq!(exchange.flights(&ticket("t"), 1).expect("a plan").bytes, receipt.bytes);
    assert_eq!(read(&exchange, "t@1"), all[..5_000]);
    for (start, end) in [(0, 0), (0, 1), (17, 18), (0, 5_040), (1_234, 4_321), (4_999, 5_001), (5_040, 5_040)] {
        assert_eq!(read(&exchange, &format!("t?rows={start}-{end}")), all[start..end], "{start}-{end}");
    }
    assert_eq!(read(&exchange, "t@1?rows=4990-5000"), all[4_990..5_000]);
    for (text, code) in [
        ("t?rows=0-5041", codes::ROWS_OUT_OF_RANGE),
        ("t@1?rows=0-5001", codes::ROWS_OUT_OF_RANGE),
        ("t@3", codes::VERSION_NOT_FOUND),
        ("u", codes::TABLE_NOT_FOUND),
        ("t?id=00000000000000000000000000000001", codes::TABLE_RECREATED),
    ] {
        assert_eq!(exchange.read(&ticket(text)).expect_err(text).code(), code);
        assert_eq!(exchange.flights(&ticket(text), 4).expect_err(text).code(), code);
    }
}

#[tokio::test]
async fn dictionaries_are_sent_when_they_change_and_not_again() {
    let exchange = exchange();
    let mut expected = Vec::new();
    let parts: [(&[&str], usize); 5] =
        [(&["a", "b"], 1), (&["a", "b"], 1), (&["c", "d", "e"], 2), (&["c", "d", "e"], 2), (&["a", "b"], 3)];
    for (index, (names, dictionaries)) in (0..).zip(parts) {
        let part = batch(index * 1_000..index * 1_000 + 300, names);
        expected.extend(rows(std::slice::from_ref(&part)));
        put(&exchange, "t", PutMode::Append, &[part]).await;
        assert_eq!(read(&exchange, "t"), expected);
        let mut stream = exchange.read(&ticket("t")).expect("a read");
        let (all, bytes) = messages(&mut stream);
        let sent = all.iter().filter(|message| matches!(message, StreamMessage::Dictionary(_))).count();
        assert_eq!(sent, dictionaries, "after part {index}");
        assert_eq!(stream.info().bytes, bytes, "the table's size is what a reader receives");
    }
}

/// The outer dictionary's own bytes stay the same while the one inside it changes.
#[tokio::test]
async fn a_dictionary_is_sent_again_when_one_inside_it_changes() {
    let exchange = exchange();
    let nested = |text: &str| {
        let inner: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let inner = DictionaryArray::<Int32Type>::try_new([0].into_iter().collect(), inner).expect("a dictionary");
        let field =
            Arc::new(Field::new("inner", DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()), false));
        let values: ArrayRef = Arc::new(StructArray::from(vec![(field, Arc::new(inner) as ArrayRef)]));
        let outer =
            DictionaryArray::<Int32Type>::try_new([0, 0, 0].into_iter().collect(), values).expect("a dictionary");
        RecordBatch::try_from_iter([("outer", Arc::new(outer) as ArrayRef)]).expect("a batch")
    };
    let mut stream_rows = Vec::new();
    for text in ["first", "other", "other"] {
        let part = nested(text);
        stream_rows.extend(rows(std::slice::from_ref(&part)));
        put(&exchange, "t", PutMode::Append, &[part]).await;
    }
    assert_eq!(read(&exchange, "t"), stream_rows);
}

/// An append may name the insides of lists otherwise, and promise more: readers and merges see the table's schema.
#[tokio::test]
async fn appends_of_another_dialect_take_the_tables_schema() {
    let exchange = exchange();
    let lists = |name: &str, nullable: bool, from: i64| {
        let field = Arc::new(Field::new(name, DataType::Int64, nullable));
        let values = Arc::new(Int64Array::from_iter_values(from..from + 20));
        let lists = ListArray::try_new(field, OffsetBuffer::from_lengths([5; 4]), values, None).expect("lists");
        RecordBatch::try_from_iter_with_nullable([("lists", Arc::new(lists) as ArrayRef, nullable)]).expect("a batch")
    };
    let mut expected = Vec::new();
    for part in 0..20 {
        let (name, nullable) = if part % 2 == 0 { ("item", true) } else { ("element", false) };
        let part = lists(name, nullable, part * 20);
        expected.extend(rows(std::slice::from_ref(&part)));
        put(&exchange, "t", PutMode::Append, &[part]).await;
        assert_eq!(read(&exchange, "t"), expected);
    }
    let segments = || exchange.list("t")[0].segments;
    while segments() >= 8 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(read(&exchange, "t"), expected);
}

#[tokio::test]
async fn tables_without_rows_have_one_flight_and_no_messages() {
    let exchange = exchange();
    let receipt = put(&exchange, "t", PutMode::Replace, &[batch(0..0, &["a"])]).await;
    assert_eq!((receipt.rows, receipt.bytes), (0, 0));
    assert_eq!(read(&exchange, "t"), [""; 0]);
    let plan = exchange.flights(&ticket("t"), 4).expect("a plan");
    assert_eq!((plan.endpoints.len(), plan.rows), (1, 0));
    assert_eq!(plan.endpoints[0].ticket.rows, None);
    let described = exchange.describe(&ticket("t")).expect("a table");
    assert_eq!(described.schema.arrow().fields().len(), 2);
    assert_eq!(RowRange::new(0, 0).expect("a range").rows(), described.info.rows);
}

#[tokio::test]
async fn a_read_keeps_its_version_while_the_table_changes() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["a", "b"])]).await;
    let mut stream = exchange.read(&ticket("t")).expect("a read");
    let first = stream.next_message().expect("a message").expect("not the end");
    put(&exchange, "t", PutMode::Replace, &[batch(7..8, &["x"])]).await;
    exchange.drop_table(&ticket("t").table).await.expect("a drop");
    let (rest, _) = messages(&mut stream);
    let all: Vec<_> = std::iter::once(first).chain(rest).collect();
    assert_eq!(rows(&decode(stream.schema(), &all)), rows(&[batch(0..3_000, &["a", "b"])]));
    assert_eq!(exchange.read(&ticket("t")).expect_err("dropped").code(), codes::TABLE_NOT_FOUND);
}
