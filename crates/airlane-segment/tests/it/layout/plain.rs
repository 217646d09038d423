//! Rows in types that every reader knows: the same values, whatever shared them.

use std::ops::Range;
use std::sync::Arc;

use airlane_model::{Result, codes};
use airlane_segment::encode::{PlainBatch, plain_schema};
use airlane_segment::{Message, Segment, TableSchema, WriterOptions};
use arrow_array::builder::StringViewBuilder;
use arrow_array::types::{Int16Type, Int32Type};
use arrow_array::{Array, ArrayRef, Int32Array, ListViewArray, NullArray, RecordBatch, RunArray, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;

use super::arbitrary::{Table, tables};
use super::homes::{HOMES, small, write};
use super::property::{rows, stream_of};

/// The messages of a segment in plain types, rows and messages.
fn plain(segment: &Segment) -> Result<Vec<(Range<usize>, Message)>> {
    let mut messages = Vec::new();
    for index in 0..segment.batch_count() {
        let batch = PlainBatch::new(segment.batch(index)?);
        let count = (segment.batch_rows(index).end - segment.batch_rows(index).start) as usize;
        let mut start = 0;
        while start < count {
            let end = batch.end_of_message(start);
            assert!(start < end && end <= count);
            messages.push((start..end, batch.message(start..end)?));
            start = end;
        }
    }
    Ok(messages)
}

fn read(segment: &Segment, schema: &TableSchema) -> Result<Vec<RecordBatch>> {
    let ids = 0..segment.dictionaries().len() as i64;
    let mut messages = ids.map(|id| segment.plain_dictionary_as(id, id)).collect::<Result<Vec<_>>>()?;
    messages.extend(plain(segment)?.into_iter().map(|(_, message)| message));
    let stream = stream_of(schema, &messages);
    let batches = StreamReader::try_new(std::io::Cursor::new(stream), None).unwrap();
    Ok(batches.map(|batch| batch.unwrap()).collect())
}

fn is_plain(data_type: &DataType) -> bool {
    let text = data_type.to_string();
    !["View", "RunEndEncoded"].iter().any(|other| text.contains(other))
}

fn check(table: &Table) {
    for segment in write(table, small(), HOMES[0]) {
        let schema = match plain_schema(segment.schema()) {
            Ok(schema) => schema.unwrap_or_else(|| segment.schema().clone()),
            Err(error) => {
                assert_eq!(error.code(), codes::NOT_IMPLEMENTED, "{error}");
                continue;
            }
        };
        assert!(schema.arrow().fields().iter().all(|field| is_plain(field.data_type())), "{:?}", schema.arrow());
        assert!(plain_schema(&schema).unwrap().is_none(), "plain types are plain");
        assert_eq!(schema.dictionaries().len(), segment.schema().dictionaries().len());
        let stored: Vec<_> = (0..segment.batch_count()).map(|index| segment.batch(index).unwrap()).collect();
        match read(&segment, &schema) {
            Ok(read) => {
                read.iter().for_each(|batch| {
                    assert_eq!(batch.schema().fields(), schema.arrow().fields());
                    batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                });
                assert_eq!(rows(&read), rows(&stored));
            }
            Err(error) => assert_eq!(error.code(), codes::NOT_IMPLEMENTED, "{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_type_gives_the_same_rows_in_plain_types(table in tables()) {
        check(&table);
    }
}

fn segment_of(column: ArrayRef) -> Segment {
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    let table = Table { schema: batch.schema(), batches: vec![batch] };
    write(&table, WriterOptions::default(), HOMES[0]).remove(0)
}

/// Views of one long value.
fn views(count: usize, bytes: usize) -> ArrayRef {
    let mut views = StringViewBuilder::new();
    let block = views.append_block(vec![b'x'; bytes].into());
    (0..count).for_each(|_| views.try_append_view(block, 0, bytes as u32).unwrap());
    Arc::new(views.finish())
}

/// One row that is a list view of all values.
fn one_list(values: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    let size = values.len() as i32;
    Arc::new(ListViewArray::new(field, vec![0].into(), vec![size].into(), values, None))
}

#[test]
fn a10_rows_that_share_their_values_are_sent_in_parts() {
    const ROWS: usize = 2_000;
    const VALUE_BYTES: usize = 30_000;
    let value = StringArray::from(vec!["x".repeat(VALUE_BYTES)]);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![ROWS as i32]), &value).unwrap();
    for column in [views(ROWS, VALUE_BYTES), Arc::new(runs)] {
        let segment = segment_of(column);
        assert!(segment.payload_bytes() < 100_000, "{} bytes are stored", segment.payload_bytes());
        let messages = plain(&segment).unwrap();
        assert_eq!(messages.iter().map(|(rows, _)| rows.len()).sum::<usize>(), ROWS);
        let largest = messages.iter().map(|(_, message)| message.body.len()).max().unwrap();
        assert!(largest <= 2 << 20, "{largest} bytes at a time");
    }
}

#[test]
fn a10_a_row_that_would_become_too_large_is_refused() {
    let deep = one_list(one_list(views(1_000, 100_000)));
    let nothing = one_list(Arc::new(NullArray::new(20 << 20)));
    for column in [one_list(views(1_000, 100_000)), deep, nothing] {
        let segment = segment_of(column);
        assert!(segment.payload_bytes() < 1 << 20);
        let error = plain(&segment).expect_err("too large");
        assert_eq!(error.code(), codes::LIMIT_EXCEEDED, "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("airlane-types")), "{error}");
    }
}

#[test]
fn nulls_of_runs_become_nulls_of_rows() {
    let values = StringArray::from(vec![Some("a"), None]);
    let runs = RunArray::<Int16Type>::try_new(&arrow_array::Int16Array::from(vec![2_i16, 3]), &values).unwrap();
    let segment = segment_of(Arc::new(runs));
    let schema = plain_schema(segment.schema()).unwrap().expect("another one");
    assert_eq!(schema.arrow().field(0), &Field::new("c", DataType::Utf8, true));
    let read = read(&segment, &schema).unwrap();
    assert_eq!(read[0].column(0).as_ref(), &StringArray::from(vec![Some("a"), Some("a"), None]) as &dyn Array);
}

#[test]
fn a_dictionary_of_runs_of_a_dictionary_is_refused_by_name() {
    let inner = DataType::Dictionary(DataType::Int8.into(), DataType::Null.into());
    let runs = DataType::RunEndEncoded(
        Field::new("run_ends", DataType::Int16, false).into(),
        Field::new("values", inner, true).into(),
    );
    let runs_of_dictionaries = DataType::Dictionary(DataType::Int8.into(), runs.into());
    let list = DataType::List(Field::new("item", runs_of_dictionaries.clone(), true).into());
    for data_type in [runs_of_dictionaries, list] {
        let schema = Schema::new(vec![Field::new("c", data_type, true)]);
        let error = plain_schema(&TableSchema::from_arrow(&schema).unwrap()).expect_err("no plain type for it");
        assert_eq!(error.code(), codes::NOT_IMPLEMENTED, "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("airlane-types")), "{error}");
    }
}
