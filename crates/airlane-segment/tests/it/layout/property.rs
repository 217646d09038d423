//! Whatever goes in comes back, through every home and to stock readers.

use std::io::Cursor;

use airlane_segment::{Home, MemoryBudget, MemoryUse, Segment, TableSchema, Trust};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::SchemaRef;
use proptest::prelude::*;

use super::arbitrary::{Table, tables};
use super::bytes::check_layout;
use super::homes::{HOMES, small, write};
use crate::drive;

/// The rows as texts, whatever batches and dictionaries they are in.
pub(super) fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅").with_display_error(false);
    let batch_rows = |batch: &RecordBatch| {
        let formatters: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        let row = |row| formatters.iter().map(|column| format!("{};", column.value(row))).collect::<String>();
        (0..batch.num_rows()).map(row).collect::<Vec<_>>()
    };
    batches.iter().flat_map(batch_rows).collect()
}

fn batches(segment: &Segment) -> Vec<RecordBatch> {
    (0..segment.batch_count()).map(|index| segment.batch(index).unwrap()).collect()
}

fn all_batches(segments: &[Segment]) -> Vec<RecordBatch> {
    segments.iter().flat_map(batches).collect()
}

fn check(table: &Table) {
    let expected = rows(&table.batches);
    let mut files: Vec<Vec<bytes::Bytes>> = Vec::new();
    for kind in HOMES {
        let segments = write(table, small(), kind);
        assert_eq!(segments.iter().map(Segment::rows).sum::<u64>() as usize, expected.len());
        for segment in &segments {
            assert_eq!(segment.home_kind(), kind);
            check_layout(segment);
        }
        let read = all_batches(&segments);
        read.iter().for_each(|batch| {
            batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
        });
        assert_eq!(rows(&read), expected);
        // Texts hide the bits of a NaN. Dictionaries are other ones after they were unified, and have texts alone.
        if !table.schema.fields().iter().any(|field| field.data_type().to_string().contains("Dictionary")) {
            drive::compare(&table.batches, &segments);
        }
        files.push(segments.iter().map(Segment::file_bytes).collect());
    }
    assert_eq!(files[0], files[1], "the same bytes in every home");
    assert_eq!(files[0], files[2], "the same bytes in every home");
    check_stock_reader(table, &files[0], &expected);
    let segments = write(table, small(), HOMES[0]);
    segments.iter().for_each(check_opened);
    check_slices(&segments, &expected);
}

/// Opening the bytes again gives the same segment, also with everything validated.
fn check_opened(segment: &Segment) {
    for trust in [Trust::Validated, Trust::Foreign] {
        let opened = Segment::open(
            Home::heap(segment.file_bytes().to_vec().into(), MemoryBudget::unlimited().begin(MemoryUse::Tables)),
            trust,
        )
        .unwrap();
        assert_eq!(opened.schema().arrow(), segment.schema().arrow());
        assert_eq!(opened.rows(), segment.rows());
        assert_eq!(opened.payload_bytes(), segment.payload_bytes());
        assert_eq!(opened.checksum(), segment.checksum());
        assert_eq!(batches(&opened), batches(segment));
        let hashes = |segment: &Segment| segment.dictionaries().iter().map(|d| (d.id, d.hash)).collect::<Vec<_>>();
        assert_eq!(hashes(&opened), hashes(segment));
    }
}

fn check_stock_reader(table: &Table, files: &[bytes::Bytes], expected: &[String]) {
    let mut read = Vec::new();
    for file in files {
        let reader = FileReader::try_new(Cursor::new(file), None).unwrap();
        assert_eq!(reader.schema(), table.schema);
        read.extend(reader.map(|batch| batch.unwrap()));
    }
    assert_eq!(rows(&read), expected);
}

/// Every message, and slices of it, make a stream that a stock reader reads.
fn check_slices(segments: &[Segment], expected: &[String]) {
    let mut row = 0;
    for segment in segments {
        for index in 0..segment.batch_count() {
            let all = segment.batch_rows(index);
            let cut = (all.end - all.start) / 3;
            for part in [all.start..all.start + cut, all.start + cut..all.end - cut, all.end - cut..all.end] {
                let message = segment.slice(index, part.clone()).unwrap();
                let dictionaries = segment.dictionaries().iter().map(|dictionary| dictionary.message.clone());
                let read = rows(&read_stream(segment, &dictionaries.chain([message]).collect::<Vec<_>>()));
                assert_eq!(read, &expected[row + part.start as usize..row + part.end as usize]);
            }
            assert!(segment.slice(index, all.start..all.end + 1).is_err());
        }
        row += segment.rows() as usize;
    }
}

/// What a stock reader reads from messages that follow the schema of a segment.
pub(super) fn read_stream(segment: &Segment, messages: &[airlane_segment::Message]) -> Vec<RecordBatch> {
    let stream = stream(segment, messages);
    StreamReader::try_new(Cursor::new(stream), None).unwrap().map(|batch| batch.unwrap()).collect()
}

/// The schema of a segment and messages as an IPC stream.
pub(super) fn stream(segment: &Segment, messages: &[airlane_segment::Message]) -> Vec<u8> {
    stream_of(segment.schema(), messages)
}

/// A schema and messages as an IPC stream.
pub(super) fn stream_of(schema: &TableSchema, messages: &[airlane_segment::Message]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut push = |header: &[u8], body: &[u8]| {
        assert_eq!(header.len() % 8, 0);
        stream.extend([0xff; 4]);
        stream.extend((header.len() as u32).to_le_bytes());
        stream.extend_from_slice(header);
        stream.extend_from_slice(body);
    };
    push(schema.message(), &[]);
    messages.iter().for_each(|message| push(&message.header, &message.body));
    stream
}

#[test]
fn a_table_without_batches_is_a_segment_with_a_schema() {
    let schema: SchemaRef = std::sync::Arc::new(arrow_schema::Schema::empty());
    let table = Table { schema, batches: vec![] };
    let segments = write(&table, small(), HOMES[0]);
    assert_eq!((segments.len(), segments[0].rows(), segments[0].batch_count()), (1, 0, 0));
    check(&table);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a13_every_type_comes_back_equal_through_every_home(table in tables()) {
        check(&table);
    }
}
