//! Bodies laid out as they arrive give the tables that decoding and appending them gives.

use std::ops::Range;
use std::sync::Arc;

use airlane_model::{ByteSize, ErrorKind};
use airlane_segment::home::{HomeKind, MemfdPool};
use airlane_segment::writer::RawBatch;
use airlane_segment::{Segment, TableSchema, TableWriter, WriterOptions};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type};
use arrow_array::{Array, BooleanArray, Float64Array, Int16Array, RecordBatch};
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::arbitrary::{Dice, batch_of, leaves};
use super::bytes::check_layout;
use super::homes::small;
use super::property::rows;

/// A table of fixed-width columns, in which some batches have no nulls.
#[derive(Debug)]
struct Input {
    types: Vec<DataType>,
    batches: Vec<(u64, usize, bool)>,
    chunk_bytes: usize,
    alignment: usize,
    kind: HomeKind,
}

fn inputs() -> impl Strategy<Value = Input> {
    let fixed: Vec<DataType> = leaves().into_iter().filter(is_fixed).collect();
    let batch = (any::<u64>(), prop_oneof![1usize..100, 100usize..4000], any::<bool>());
    let chunk_bytes = prop_oneof![1usize..20, 100usize..5000, Just(usize::MAX)];
    let kind = select(vec![HomeKind::Heap, HomeKind::Memfd]);
    (vec(select(fixed), 1..6), vec(batch, 1..5), chunk_bytes, select(vec![8, 64]), kind).prop_map(
        |(types, batches, chunk_bytes, alignment, kind)| Input { types, batches, chunk_bytes, alignment, kind },
    )
}

pub(super) fn is_fixed(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Boolean | DataType::FixedSizeBinary(_)) || data_type.primitive_width().is_some()
}

fn without_nulls(batch: &RecordBatch) -> RecordBatch {
    let columns = batch
        .columns()
        .iter()
        .map(|column| arrow_array::make_array(column.to_data().into_builder().nulls(None).build().unwrap()));
    RecordBatch::try_new(batch.schema(), columns.collect()).unwrap()
}

/// A batch as a stock client sends it.
pub(super) fn stock_message(batch: &RecordBatch, alignment: usize) -> (RawBatch, Vec<u8>) {
    let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5).unwrap();
    let (_, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut DictionaryTracker::new(false), &options, &mut IpcWriteContext::default())
        .unwrap();
    let message = arrow_ipc::root_as_message(&encoded.ipc_message).unwrap().header_as_record_batch().unwrap();
    let range = |buffer: &arrow_ipc::Buffer| -> Range<u64> {
        buffer.offset() as u64..(buffer.offset() + buffer.length()) as u64
    };
    let raw = RawBatch {
        rows: message.length() as u64,
        null_counts: message.nodes().unwrap().iter().map(|node| node.null_count() as u64).collect(),
        buffers: message.buffers().unwrap().iter().map(range).collect(),
        body_bytes: encoded.arrow_data.len() as u64,
    };
    (raw, encoded.arrow_data)
}

fn options(kind: HomeKind) -> WriterOptions {
    let small_max = if kind == HomeKind::Heap { ByteSize::gib(1) } else { ByteSize::bytes(0) };
    WriterOptions {
        segment_bytes_target: ByteSize::kib(96),
        batch_bytes_target: ByteSize::kib(8),
        batch_bytes_max: ByteSize::kib(16),
        segment_small_bytes_max: small_max,
        ..small()
    }
}

/// Puts every batch by its body where that can be done; answers how many were.
fn put(schema: &Schema, batches: &[RecordBatch], input: &Input) -> (Vec<Segment>, usize) {
    let schema = TableSchema::from_arrow(schema).unwrap();
    let mut writer = TableWriter::new(schema, options(input.kind), Box::<MemfdPool>::default());
    let mut raw_count = 0;
    for batch in batches {
        let (raw, body) = stock_message(batch, input.alignment);
        if writer.begin_raw(&raw).unwrap() {
            body.chunks(input.chunk_bytes).for_each(|chunk| writer.raw_body(chunk).unwrap());
            writer.end_raw().unwrap();
            raw_count += 1;
        } else {
            writer.append(batch).unwrap();
        }
    }
    (writer.finish().unwrap(), raw_count)
}

pub(super) fn schema_of(types: &[DataType]) -> SchemaRef {
    let field = |(index, data_type): (usize, &DataType)| Field::new(format!("c{index}"), data_type.clone(), true);
    Arc::new(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

fn check(input: &Input) {
    let schema = schema_of(&input.types);
    let batches: Vec<RecordBatch> = input
        .batches
        .iter()
        .map(|(seed, len, nulls)| {
            let batch = batch_of(&schema, &mut Dice(*seed), *len);
            if *nulls { batch } else { without_nulls(&batch) }
        })
        .collect();
    let (segments, _) = put(&schema, &batches, input);
    segments.iter().for_each(check_layout);
    let read: Vec<RecordBatch> = segments
        .iter()
        .flat_map(|segment| (0..segment.batch_count()).map(|index| segment.batch(index).unwrap()))
        .collect();
    read.iter().for_each(|batch| {
        batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
        assert!(batch.get_array_memory_size() > 0);
    });
    assert_eq!(rows(&read), rows(&batches));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a13_bodies_laid_out_as_they_arrive_are_what_was_sent(input in inputs()) {
        check(&input);
    }
}

fn floats(rows: usize) -> (SchemaRef, RecordBatch) {
    let schema = schema_of(&[DataType::Float64, DataType::Boolean, DataType::Int16]);
    let batch = without_nulls(&batch_of(&schema, &mut Dice(7), rows));
    (schema, batch)
}

fn input(chunk_bytes: usize) -> Input {
    Input { types: vec![], batches: vec![], chunk_bytes, alignment: 8, kind: HomeKind::Memfd }
}

#[test]
fn both_ways_lay_a_batch_out_alike() {
    let (schema, batch) = floats(1_000);
    let (raw, count) = put(&schema, std::slice::from_ref(&batch), &input(777));
    assert_eq!(count, 1);
    let table = TableSchema::from_arrow(&schema).unwrap();
    let mut writer = TableWriter::new(table, options(HomeKind::Memfd), Box::<MemfdPool>::default());
    writer.append(&batch).unwrap();
    assert_eq!(raw[0].file_bytes(), writer.finish().unwrap()[0].file_bytes());
}

/// The lengths of all buffers of the messages.
fn buffer_lengths(segments: &[Segment]) -> Vec<i64> {
    let lengths = |segment: &Segment, index: usize| -> Vec<i64> {
        let message = segment.message(index);
        let batch = arrow_ipc::root_as_message(&message.header).unwrap().header_as_record_batch().unwrap();
        batch.buffers().unwrap().iter().map(|buffer| buffer.length()).collect()
    };
    segments.iter().flat_map(|segment| (0..segment.batch_count()).flat_map(|index| lengths(segment, index))).collect()
}

#[test]
fn a_bitmap_without_nulls_is_never_written() {
    let (schema, batch) = floats(1_000);
    let writer = || {
        let table = TableSchema::from_arrow(&schema).unwrap();
        TableWriter::new(table, options(HomeKind::Heap), Box::<MemfdPool>::default())
    };
    let expected = [0, 8_000, 0, 125, 0, 2_000];
    let nulls = || Some(arrow_buffer::NullBuffer::new_valid(1_000));
    let (numbers, bits, small) = (batch.column(0), batch.column(1), batch.column(2));
    let columns: Vec<arrow_array::ArrayRef> = vec![
        Arc::new(Float64Array::new(numbers.as_primitive::<Float64Type>().values().clone(), nulls())),
        Arc::new(BooleanArray::new(bits.as_boolean().values().clone(), nulls())),
        Arc::new(Int16Array::new(small.as_primitive::<Int16Type>().values().clone(), nulls())),
    ];
    assert!(columns.iter().all(|column| column.nulls().is_some()));
    let mut appended = writer();
    appended.append(&RecordBatch::try_new(schema.clone(), columns).unwrap()).unwrap();
    assert_eq!(buffer_lengths(&appended.finish().unwrap()), expected);

    // The bitmap comes behind the values.
    let (mut raw, mut body) = stock_message(&batch, 8);
    let start = body.len() as u64;
    body.extend([0xff; 128]);
    raw.body_bytes = body.len() as u64;
    raw.buffers.iter_mut().step_by(2).for_each(|validity| *validity = start..start + 125);
    let mut scattered = writer();
    assert!(scattered.begin_raw(&raw).unwrap());
    body.chunks(100).for_each(|chunk| scattered.raw_body(chunk).unwrap());
    scattered.end_raw().unwrap();
    assert_eq!(buffer_lengths(&scattered.finish().unwrap()), expected);
}

#[test]
fn large_bodies_become_few_messages() {
    for rows in [5_000, 8_192, 8_193] {
        let (schema, batch) = floats(rows);
        let (segments, count) = put(&schema, &[batch], &input(777));
        assert_eq!((count, segments.len()), (1, 1));
        let bodies: Vec<usize> =
            (0..segments[0].batch_count()).map(|index| segments[0].message(index).body.len()).collect();
        assert!(bodies.iter().all(|bytes| *bytes <= 16 << 10), "{bodies:?}");
        let fewest = bodies.iter().sum::<usize>().div_ceil(16 << 10);
        assert!(bodies.len() <= fewest + 1, "{bodies:?}");
        assert_eq!(segments[0].rows(), rows as u64);
    }
}

#[test]
fn other_batches_take_the_general_way() {
    let taken = |schema: &SchemaRef, batch: &RecordBatch| put(schema, std::slice::from_ref(batch), &input(100)).1 == 1;
    let (schema, batch) = floats(5_000);
    assert!(taken(&schema, &batch));
    assert!(!taken(&schema, &batch.slice(0, 50)), "small");
    let with_nulls = batch_of(&schema, &mut Dice(1), 5_000);
    assert!(with_nulls.columns().iter().any(|column| column.null_count() > 0));
    assert!(!taken(&schema, &with_nulls), "cut, with nulls");
    assert!(taken(&schema, &with_nulls.slice(0, 1_000)), "whole, with nulls");
    let texts = schema_of(&[DataType::Float64, DataType::Utf8]);
    assert!(!taken(&texts, &batch_of(&texts, &mut Dice(1), 1_000)), "texts");
    assert!(!taken(&schema, &floats(20_000).1), "larger than a segment");
    let long = schema_of(&[DataType::FixedSizeBinary(100)]);
    let long_rows = without_nulls(&batch_of(&long, &mut Dice(1), 600));
    assert!(!taken(&long, &long_rows), "long rows: a step of 512 makes a message that is too large");
    let (segments, _) = put(&long, &[long_rows], &input(100));
    let bodies = (0..segments[0].batch_count()).map(|index| segments[0].message(index).body.len());
    assert!(bodies.max().is_some_and(|bytes| bytes <= 16 << 10));
}

#[test]
fn a5_nulls_that_are_not_there_are_refused() {
    let schema = schema_of(&[DataType::Int64]);
    let batch = batch_of(&schema, &mut Dice(3), 1_000);
    let (raw, body) = stock_message(&batch, 8);
    assert!(raw.null_counts[0] > 1);
    for change in [-1, 1] {
        let null_counts = vec![raw.null_counts[0].checked_add_signed(change).unwrap()];
        let lie = RawBatch { null_counts, ..raw.clone() };
        let mut writer = TableWriter::new(
            TableSchema::from_arrow(&schema).unwrap(),
            options(HomeKind::Heap),
            Box::<MemfdPool>::default(),
        );
        assert!(writer.begin_raw(&lie).unwrap());
        writer.raw_body(&body).unwrap();
        let error = writer.end_raw().unwrap_err();
        assert_eq!(error.code().name(), "data_invalid");
        assert_eq!(error.place(), Some("column \"c0\""));
    }
}

#[test]
fn a3_a_body_of_another_length_is_refused() {
    let (schema, batch) = floats(1_000);
    let (raw, body) = stock_message(&batch, 8);
    let begin = || {
        let mut writer = TableWriter::new(
            TableSchema::from_arrow(&schema).unwrap(),
            options(HomeKind::Heap),
            Box::<MemfdPool>::default(),
        );
        assert!(writer.begin_raw(&raw).unwrap());
        writer
    };
    let mut short = begin();
    short.raw_body(&body[..body.len() - 1]).unwrap();
    assert_eq!(short.end_raw().unwrap_err().kind(), ErrorKind::InvalidArgument);
    let mut long = begin();
    long.raw_body(&body).unwrap();
    assert_eq!(long.raw_body(&[0]).unwrap_err().kind(), ErrorKind::InvalidArgument);
}
