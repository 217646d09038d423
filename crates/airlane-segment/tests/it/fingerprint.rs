//! The hash of the rows of a put: the same for the same rows, another for others.

use std::collections::HashMap;
use std::sync::Arc;

use airlane_segment::{DecodeLimits, Intake, MemfdPool, TableSchema, WriterOptions};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeListArray, Int64Array, ListArray, PrimitiveArray,
    RecordBatch, StringArray, StringViewArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_ipc::CompressionType;
use arrow_schema::{DataType, Field};
use proptest::prelude::*;

use crate::corpus;
use crate::stream;

/// Types of which the cut into messages is a part.
const AS_THEY_COME: [&str; 5] = ["list_view", "large_list_view", "union_sparse", "union_dense", "run_end"];

fn of_stream(batches: &[RecordBatch], codec: Option<CompressionType>, discards: bool) -> u128 {
    let mut pieces = stream::split(&corpus::stream(batches, codec));
    let schema = pieces.remove(0);
    let (limits, homes) = (DecodeLimits::default(), Box::new(MemfdPool::default()));
    let intake = Intake::from_message(&schema.header, limits, WriterOptions::default(), homes).expect("a schema");
    let intake = intake.with_fingerprint();
    let mut intake = if discards { intake.discarding() } else { intake };
    for piece in pieces {
        intake.begin(&piece.header, piece.body.len() as u64).expect("valid");
        piece.body.chunks(1_000).try_for_each(|chunk| intake.body(chunk)).expect("valid");
        intake.end().expect("valid");
    }
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
    assert_eq!(intake.rows(), rows);
    let fingerprint = intake.fingerprint().expect("it was asked for");
    let kept = intake.finish().expect("sealed").iter().map(airlane_segment::Segment::rows).sum::<u64>();
    assert_eq!(kept, if discards { 0 } else { rows });
    fingerprint
}

fn of_batches(batches: &[RecordBatch]) -> u128 {
    let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
    let homes = Box::new(MemfdPool::default());
    let mut intake = Intake::from_schema(schema, WriterOptions::default(), homes).with_fingerprint();
    batches.iter().try_for_each(|batch| intake.append(batch)).expect("valid");
    intake.fingerprint().expect("it was asked for")
}

fn cut(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

#[test]
fn an_intake_has_none_unless_it_is_asked_for() {
    let batch = corpus::every_column(3);
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let mut intake = Intake::from_schema(schema, WriterOptions::default(), Box::new(MemfdPool::default()));
    intake.append(&batch).expect("valid");
    assert_eq!(intake.fingerprint(), None);
}

#[test]
fn every_type_has_the_same_however_it_is_cut_and_compressed() {
    for (name, column) in corpus::columns(200) {
        let batch = corpus::batch(vec![(name, column)]);
        let expected = of_batches(std::slice::from_ref(&batch));
        for codec in corpus::CODECS {
            assert_eq!(of_stream(std::slice::from_ref(&batch), codec, false), expected, "{name}");
            assert_eq!(of_stream(std::slice::from_ref(&batch), codec, true), expected, "{name}");
        }
        if AS_THEY_COME.contains(&name) {
            continue;
        }
        for rows in [1, 7, 63, 64, 65, 130] {
            let batches = cut(&batch, rows);
            assert_eq!(of_stream(&batches, None, false), expected, "{name} by {rows}");
            assert_eq!(of_batches(&batches), expected, "{name} by {rows}");
        }
    }
}

/// The way of chunks to their place, the way over arrays, and both in turn.
#[test]
fn columns_of_fixed_width_have_the_same_on_every_way() {
    for nulls in [false, true] {
        let rows = 60_000;
        let flags = BooleanArray::from_iter((0..rows).map(|row| (!nulls || row % 5 != 3).then_some(row % 3 == 0)));
        let numbers = Int64Array::from_iter((0..rows).map(|row| (!nulls || row % 7 != 2).then_some(row)));
        let columns: [(&str, ArrayRef, bool); 2] = [("a", Arc::new(flags), nulls), ("b", Arc::new(numbers), nulls)];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        let expected = of_batches(std::slice::from_ref(&batch));
        for rows in [60_000, 33_333, 20_001, 19] {
            assert_eq!(of_stream(&cut(&batch, rows), None, false), expected, "nulls {nulls}, by {rows}");
        }
        assert_eq!(of_stream(&cut(&batch, 33_333), None, true), expected, "nulls {nulls}, discarded");
        let turns =
            [batch.slice(0, 100), batch.slice(100, 40_001), batch.slice(40_101, 1), batch.slice(40_102, 19_898)];
        assert_eq!(of_stream(&turns, None, false), expected, "nulls {nulls}, in turn");
        assert_eq!(of_stream(&turns, Some(CompressionType::ZSTD), false), expected, "nulls {nulls}, compressed");
    }
}

/// Contents that differ in one thing, and that a hash over joined bytes would take for one another.
/// Programs leave under nulls what the memory had, so a job that is started again would be told that its put is another.
#[test]
fn what_lies_under_nulls_does_not_count() {
    let rows = 30_000;
    let is_valid = |row: i64| row % 7 != 2 && row % 1_000 < 900;
    let validity = || NullBuffer::from_iter((0..rows).map(is_valid));
    let column = |garbage: i64| -> Vec<(&'static str, ArrayRef)> {
        let value = |row: i64| if is_valid(row) { row } else { garbage };
        let numbers = Int64Array::new((0..rows).map(value).collect(), Some(validity()));
        let flags = BooleanArray::new((0..rows).map(|row| value(row) % 3 == 1).collect(), Some(validity()));
        let lengths = (0..rows).map(|row| if is_valid(row) { 3 } else { garbage as usize % 5 });
        let offsets: OffsetBuffer<i32> = OffsetBuffer::from_lengths(lengths);
        let mut texts = Vec::new();
        for (row, ends) in (0..rows).zip(offsets.windows(2)) {
            texts.resize(ends[1] as usize, if is_valid(row) { b'v' } else { b'g' });
        }
        let texts = StringArray::new(offsets.clone(), texts.into(), Some(validity()));
        let child: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(value)));
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
        let structs = StructArray::new(vec![field("n")].into(), vec![child.clone()], Some(validity()));
        let fixed = FixedSizeListArray::new(field("item"), 1, child, Some(validity()));
        let mut of_lists = Vec::new();
        for row in 0..rows {
            let length = offsets[row as usize + 1] - offsets[row as usize];
            of_lists.extend((0..length).map(|_| value(row)));
        }
        let lists = ListArray::new(field("item"), offsets, Arc::new(Int64Array::from(of_lists)), Some(validity()));
        let keys = (0..rows).map(|row| (value(row) % 2) as i32).collect();
        let keys = PrimitiveArray::<Int32Type>::new(keys, Some(validity()));
        let words = DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["x", "y"])));
        vec![
            ("numbers", Arc::new(numbers)),
            ("flags", Arc::new(flags)),
            ("texts", Arc::new(texts)),
            ("structs", Arc::new(structs)),
            ("fixed", Arc::new(fixed)),
            ("lists", Arc::new(lists)),
            ("words", Arc::new(words)),
        ]
    };
    for ((name, clean), (_, dirty)) in column(0).into_iter().zip(column(7)) {
        let [clean, dirty] = [clean, dirty]
            .map(|column| RecordBatch::try_from_iter_with_nullable([(name, column, true)]).expect("a batch"));
        let expected = of_batches(std::slice::from_ref(&clean));
        for batch in [&clean, &dirty] {
            assert_eq!(of_batches(std::slice::from_ref(batch)), expected, "{name}");
            for rows in [777, 9_001] {
                assert_eq!(of_batches(&cut(batch, rows)), expected, "{name} by {rows}");
                assert_eq!(of_stream(&cut(batch, rows), None, false), expected, "{name} by {rows}");
            }
            assert_eq!(of_stream(std::slice::from_ref(batch), None, false), expected, "{name} in one message");
            assert_eq!(of_stream(std::slice::from_ref(batch), None, true), expected, "{name} once more");
        }
        let valid = dirty.slice(0, 29_000);
        assert_ne!(of_batches(&[valid]), expected, "{name}");
    }
}

#[test]
fn no_rows_are_no_rows() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
    let empty = [batch.slice(0, 0), batch.slice(1, 0)];
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let homes = Box::new(MemfdPool::default());
    let none = Intake::from_schema(schema, WriterOptions::default(), homes).with_fingerprint();
    for fingerprint in [of_batches(&empty), of_stream(&empty, None, false), of_stream(&empty, None, true)] {
        assert_eq!(Some(fingerprint), none.fingerprint());
    }
    assert_ne!(Some(of_batches(&[batch])), none.fingerprint());
}

#[test]
fn what_differs_has_another() {
    let texts = |texts: &[Option<&str>]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    let views = |texts: &[Option<&str>]| -> ArrayRef { Arc::new(StringViewArray::from(texts.to_vec())) };
    let words = |words: &[Option<&str>]| -> ArrayRef {
        Arc::new(words.iter().copied().collect::<DictionaryArray<Int32Type>>())
    };
    let numbers = |numbers: &[Option<i64>]| -> ArrayRef { Arc::new(Int64Array::from(numbers.to_vec())) };
    let flags = |flags: &[Option<bool>]| -> ArrayRef { Arc::new(BooleanArray::from(flags.to_vec())) };
    let lists = |lists: &[Option<Vec<Option<i32>>>]| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists.to_vec()))
    };
    let mut known: HashMap<u128, String> = HashMap::new();
    for column in [
        texts(&[]),
        texts(&[Some("")]),
        texts(&[None]),
        texts(&[Some("ab"), Some("c")]),
        texts(&[Some("a"), Some("bc")]),
        texts(&[Some("ab"), None, Some("c")]),
        texts(&[Some("ab"), Some(""), Some("c")]),
        texts(&[Some("c"), Some("ab")]),
        words(&[Some("a"), Some("b")]),
        words(&[Some("b"), Some("a")]),
        words(&[Some("a"), Some("a")]),
        views(&[Some("a text that is longer"), Some("than a view")]),
        views(&[Some("a text that is longer than"), Some(" a view")]),
        views(&[Some("a text that is longer"), None]),
        numbers(&[Some(1), Some(2)]),
        numbers(&[Some(2), Some(1)]),
        numbers(&[Some(1), Some(2), Some(0)]),
        numbers(&[Some(1), Some(2), None]),
        numbers(&[Some(0)]),
        numbers(&[Some(0), Some(0)]),
        flags(&[Some(true)]),
        flags(&[Some(true), Some(false)]),
        flags(&[Some(true), None]),
        lists(&[Some(vec![Some(1)]), Some(vec![Some(2), None])]),
        lists(&[Some(vec![Some(1), Some(2)]), Some(vec![None])]),
        lists(&[Some(vec![Some(1), Some(2), None])]),
    ] {
        let name = format!("{column:?}");
        let batch = RecordBatch::try_from_iter([("c", column)]).expect("a batch");
        if let Some(before) = known.insert(of_batches(&[batch]), name.clone()) {
            panic!("{before} and {name}");
        }
    }
}

/// Kilobytes of views that name the same bytes cost what they take, not what they name.
#[test]
fn views_that_share_bytes_are_not_read_again_and_again() {
    let text = "x".repeat(1 << 20);
    let mut builder = arrow_array::builder::StringViewBuilder::new();
    let block = builder.append_block(arrow_buffer::Buffer::from(text.into_bytes()));
    for _ in 0..100_000 {
        builder.try_append_view(block, 0, 1 << 20).expect("a view");
    }
    let views: ArrayRef = Arc::new(builder.finish());
    let other = views.slice(1, 99_999);
    let batch = |column: ArrayRef| {
        let schema =
            TableSchema::from_arrow(RecordBatch::try_from_iter([("c", column.clone())]).expect("a batch").schema_ref());
        let homes = Box::new(MemfdPool::default());
        let intake = Intake::from_schema(schema.expect("a schema"), WriterOptions::default(), homes);
        let mut intake = intake.with_fingerprint().discarding();
        intake.append(&RecordBatch::try_from_iter([("c", column)]).expect("a batch")).expect("valid");
        intake.fingerprint().expect("it was asked for")
    };
    assert_ne!(batch(views.clone()), batch(other), "a hundred gigabytes, if each were read");
    assert_eq!(batch(views.clone()), batch(views));
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(values in prop::collection::vec(any::<Option<(bool, i16)>>(), 1..300), cuts in prop::collection::vec(1..90_usize, 1..20)) {
        let flags: ArrayRef = Arc::new(values.iter().map(|value| value.map(|(flag, _)| flag)).collect::<BooleanArray>());
        let texts = values.iter().map(|value| value.map(|(_, number)| "y".repeat(usize::from(number.unsigned_abs() % 9))));
        let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
        let batch = RecordBatch::try_from_iter_with_nullable([("a", flags, true), ("b", texts, true)]).expect("a batch");
        let expected = of_batches(std::slice::from_ref(&batch));
        let (mut parts, mut start) = (Vec::new(), 0);
        for rows in cuts.iter().cycle() {
            if start == batch.num_rows() {
                break;
            }
            let rows = (*rows).min(batch.num_rows() - start);
            parts.push(batch.slice(start, rows));
            start += rows;
        }
        prop_assert_eq!(of_batches(&parts), expected);
        prop_assert_eq!(of_stream(&parts, None, false), expected);
    }
}
