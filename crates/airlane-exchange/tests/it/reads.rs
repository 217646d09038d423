use std::sync::Arc;

use airlane_exchange::{Exchange, StreamMessage};
use airlane_model::{Caller, PutMode, RowRange, codes};
use airlane_segment::{Codec, Message};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use crate::support::*;

/// Reads a ticket as one stream; compares what the plan promised with what came.
fn read(exchange: &Exchange, text: &str) -> Vec<String> {
    let mut stream = exchange.read(&Caller::local(), &ticket(text)).expect("a read");
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
    assert_eq!(Some(found.len() as u64), stream.rows());
    for endpoints_max in [1, 4] {
        check_flights(exchange, text, endpoints_max, &found);
    }
    for codec in [Codec::Lz4Frame, Codec::Zstd] {
        let mut stream = exchange.read(&Caller::local(), &ticket(text)).expect("a read").compressed(Some(codec));
        let (all, _) = messages(&mut stream);
        assert_eq!(rows(&decode(stream.schema(), &all)), found, "{codec:?}");
    }
    let mut stream = exchange.read(&Caller::local(), &ticket(text)).expect("a read");
    let in_process: Vec<_> = std::iter::from_fn(|| stream.next_batch().expect("a batch")).collect();
    assert_eq!(rows(&in_process), found);
    assert!(same_columns(stream.schema().arrow(), &in_process));
    found
}

/// The flights together give the rows, and exactly the rows and bytes that were promised.
fn check_flights(exchange: &Exchange, text: &str, endpoints_max: usize, expected: &[String]) {
    let segments = || exchange.list(&Caller::local(), "").iter().map(|table| table.segments).collect::<Vec<_>>();
    loop {
        let before = segments();
        let plan = exchange.flights(&Caller::local(), &ticket(text), endpoints_max).expect("a plan");
        assert!((1..=endpoints_max.max(1)).contains(&plan.endpoints.len()));
        let (mut found, mut bytes) = (Vec::new(), 0);
        for endpoint in &plan.endpoints {
            // A ticket is passed on as text.
            let mut stream =
                exchange.read(&Caller::local(), &ticket(&endpoint.ticket.to_string())).expect("an endpoint");
            let (all, of_endpoint) = messages(&mut stream);
            assert_eq!(stream.rows(), Some(endpoint.rows));
            assert_eq!(plain(&endpoint.ticket.to_string()).table_id, Some(plan.info.table_id));
            found.extend(rows(&decode(stream.schema(), &all)));
            bytes += of_endpoint;
        }
        assert_eq!(found, expected);
        // A merge between the promise and the reads lays the same rows out in fewer bytes.
        if segments() == before {
            assert_eq!(
                (plan.rows, plan.bytes),
                (found.len() as u64, Some(bytes)),
                "{text}: what is promised is what comes"
            );
            return;
        }
    }
}

#[tokio::test]
async fn whole_tables_versions_and_ranges() {
    let exchange = exchange();
    let names = ["ada", "bob", "cyd"];
    put(&exchange, "t", PutMode::Replace, &[batch(0..5_000, &names)]).await;
    let receipt = put(&exchange, "t", PutMode::Append, &[batch(5_000..5_040, &names)]).await;
    let all = read(&exchange, "t");
    assert_eq!(all, rows(&[batch(0..5_040, &names)]));
    assert_eq!(exchange.flights(&Caller::local(), &ticket("t"), 1).expect("a plan").bytes, Some(receipt.bytes));
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
        assert_eq!(exchange.read(&Caller::local(), &ticket(text)).expect_err(text).code(), code);
        assert_eq!(exchange.flights(&Caller::local(), &ticket(text), 4).expect_err(text).code(), code);
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
        let mut stream = exchange.read(&Caller::local(), &ticket("t")).expect("a read");
        let (all, bytes) = messages(&mut stream);
        let sent = all.iter().filter(|message| matches!(message, StreamMessage::Dictionary(_))).count();
        assert_eq!(sent, dictionaries, "after part {index}");
        assert_eq!(stream.info().expect("a table").bytes, bytes, "the table's size is what a reader receives");
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
    let segments = || exchange.list(&Caller::local(), "t")[0].segments;
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
    let plan = exchange.flights(&Caller::local(), &ticket("t"), 4).expect("a plan");
    assert_eq!((plan.endpoints.len(), plan.rows), (1, 0));
    assert_eq!(plain(&plan.endpoints[0].ticket.to_string()).rows, None);
    let described = exchange.describe(&Caller::local(), &plain("t")).expect("a table");
    assert_eq!(described.schema.arrow().fields().len(), 2);
    assert_eq!(RowRange::new(0, 0).expect("a range").rows(), described.info.rows);
}

#[tokio::test]
async fn a_read_keeps_its_version_while_the_table_changes() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["a", "b"])]).await;
    let mut stream = exchange.read(&Caller::local(), &ticket("t")).expect("a read");
    let first = stream.next_message().expect("a message").expect("not the end");
    put(&exchange, "t", PutMode::Replace, &[batch(7..8, &["x"])]).await;
    exchange.drop_table(&Caller::local(), &plain("t").table).await.expect("a drop");
    let (rest, _) = messages(&mut stream);
    let all: Vec<_> = std::iter::once(first).chain(rest).collect();
    assert_eq!(rows(&decode(stream.schema(), &all)), rows(&[batch(0..3_000, &["a", "b"])]));
    assert_eq!(exchange.read(&Caller::local(), &ticket("t")).expect_err("dropped").code(), codes::TABLE_NOT_FOUND);
}

#[tokio::test]
async fn a_compressed_read_is_smaller_and_tells_that_it_takes_long() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..20_000, &["a", "b"])]).await;
    put(&exchange, "small", PutMode::Replace, &[batch(0..200, &["a", "b"])]).await;
    let bytes_of =
        |codec| messages(&mut exchange.read(&Caller::local(), &ticket("t")).expect("a read").compressed(codec)).1;
    for codec in [Codec::Lz4Frame, Codec::Zstd] {
        assert!(bytes_of(Some(codec)) < bytes_of(None) * 3 / 4, "{codec:?}: {} bytes", bytes_of(Some(codec)));
    }
    let may_block = |text: &str, codec| {
        exchange.read(&Caller::local(), &ticket(text)).expect("a read").compressed(codec).may_block()
    };
    assert!(!may_block("t", None), "what lies in memory is there at once");
    assert!(!may_block("small", Some(Codec::Zstd)), "little is compressed at once");
}

/// A pause may come before any message.
#[tokio::test]
async fn pauses_give_no_rows_and_change_nothing() {
    let exchange = exchange();
    for part in 0..4 {
        // Each part has a dictionary of its own.
        let own = format!("of {part}");
        put(&exchange, "t", PutMode::Append, &[batch(part * 1_000..(part + 1) * 1_000, &["a", "b", &own])]).await;
    }
    let expected = read(&exchange, "t?rows=500-3500");
    let all = messages(&mut exchange.read(&Caller::local(), &ticket("t?rows=500-3500")).expect("a read")).0;
    for pause_at in 0..=all.len() {
        let mut stream = exchange.read(&Caller::local(), &ticket("t?rows=500-3500")).expect("a read");
        let (mut said, mut position, mut dictionaries) = (Vec::new(), 500, 0);
        for index in 0..=all.len() {
            if index == pause_at {
                let mut pause = stream.pause();
                let first = pause.fill();
                let [.., StreamMessage::Batch { row_offset, rows: 0, .. }] = first[..] else { panic!("{first:?}") };
                assert_eq!(row_offset, position, "where the next row is");
                let missing = if dictionaries == 0 { 1 } else { 0 };
                assert_eq!(first.len(), missing + 1, "a reader has a dictionary before the first batch");
                said.extend(first);
                let again = pause.fill();
                assert!(matches!(again[..], [StreamMessage::Batch { rows: 0, .. }]), "{again:?}");
                said.extend(again);
            }
            match stream.next_message().expect("a message") {
                Some(message) => {
                    match &message {
                        StreamMessage::Dictionary(_) => dictionaries += 1,
                        StreamMessage::Batch { rows, .. } => position += rows,
                    }
                    said.push(message);
                }
                None => assert_eq!(index, all.len()),
            }
        }
        assert_eq!(rows(&decode(stream.schema(), &said)), expected, "a pause before message {pause_at}");
    }
}

#[tokio::test]
async fn a_read_in_plain_types_has_the_same_rows_at_the_same_places() {
    let exchange = exchange();
    // Dictionaries stay, with plain values.
    let part = |from: i64| {
        let texts: Vec<String> = (from..from + 1_500).map(|key| format!("the text of row {key}")).collect();
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let keys = (0..1_500).map(|key| Some(key % 7)).collect();
        let labels = DictionaryArray::<Int32Type>::try_new(keys, texts.slice(0, 7)).expect("a dictionary");
        RecordBatch::try_from_iter([("text", texts), ("label", Arc::new(labels) as ArrayRef)]).expect("a batch")
    };
    let parts = [part(0), part(1_500), part(3_000)];
    for part in &parts {
        put(&exchange, "t", PutMode::Append, std::slice::from_ref(part)).await;
    }
    let expected = rows(&parts);
    for (text, range) in [("t", 0..4_500), ("t?rows=1234-4321", 1_234..4_321), ("t?rows=7-8", 7..8)] {
        for codec in [None, Some(Codec::Zstd)] {
            let stream = exchange.read(&Caller::local(), &ticket(text)).expect("a read").compressed(codec);
            let mut stream = stream.in_plain_types().expect("plain types");
            assert!(stream.may_block(), "rows are written anew");
            let types: Vec<String> =
                stream.schema().arrow().fields().iter().map(|field| field.data_type().to_string()).collect();
            assert_eq!(types, ["Utf8", "Dictionary(Int32, Utf8)"]);
            let (all, _) = messages(&mut stream);
            let mut position = range.start as u64;
            for message in &all {
                if let StreamMessage::Batch { row_offset, rows, .. } = message {
                    assert_eq!(*row_offset, position, "{text}");
                    position += rows;
                }
            }
            assert_eq!(rows(&decode(stream.schema(), &all)), expected[range.clone()], "{text}, {codec:?}");
        }
    }
    let in_plain =
        exchange.read(&Caller::local(), &ticket("t")).expect("a read").in_plain_types().expect("plain types");
    let of_description =
        Exchange::plain_schema(&exchange.describe(&Caller::local(), &plain("t")).expect("a table").schema);
    assert_eq!(of_description.expect("a schema").arrow(), in_plain.schema().arrow());
}

#[tokio::test]
async fn a_table_of_plain_types_is_sent_as_it_lies() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["a", "b"])]).await;
    let mut own = exchange.read(&Caller::local(), &ticket("t")).expect("a read");
    let mut plain =
        exchange.read(&Caller::local(), &ticket("t")).expect("a read").in_plain_types().expect("plain types");
    assert!(!plain.may_block());
    let bodies = |messages: Vec<StreamMessage>| -> Vec<_> {
        let body = |message| match message {
            StreamMessage::Dictionary(Message { body, .. })
            | StreamMessage::Batch { message: Message { body, .. }, .. } => body.as_ptr(),
        };
        messages.into_iter().map(body).collect()
    };
    assert_eq!(bodies(messages(&mut own).0), bodies(messages(&mut plain).0));
}
