use std::io::Cursor;
use std::sync::Arc;

use airlane_model::ByteSize;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::reader::FileReader;
use arrow_select::concat::concat_batches;

use super::*;
use crate::home::{HomeKind, MemfdPool};

fn options() -> WriterOptions {
    WriterOptions {
        batch_bytes_target: ByteSize::kib(8),
        batch_bytes_min: ByteSize::kib(2),
        batch_bytes_max: ByteSize::kib(16),
        segment_bytes_target: ByteSize::kib(64),
        segment_small_bytes_max: ByteSize::kib(4),
        dictionary_bytes_max: ByteSize::kib(4),
    }
}

fn sample(rows: usize, seed: i64) -> RecordBatch {
    let ids = Int64Array::from_iter((0..rows as i64).map(|row| (row % 7 != 3).then_some(row * seed)));
    let prices = Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 3.0));
    let names = StringArray::from_iter((0..rows).map(|row| (row % 5 != 1).then(|| format!("name {}", row * 31 % 101))));
    let kinds: DictionaryArray<Int8Type> =
        (0..rows).map(|row| (row % 4 != 0).then(|| ["a", "bb", "ccc"][(row + seed as usize) % 3])).collect();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("id", Arc::new(ids)), ("price", Arc::new(prices)), ("name", Arc::new(names)), ("kind", Arc::new(kinds))];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn write(batches: &[RecordBatch], options: WriterOptions) -> Vec<Segment> {
    let schema = TableSchema::from_arrow(&batches[0].schema()).unwrap();
    let mut writer = TableWriter::new(schema, options, Box::<MemfdPool>::default());
    batches.iter().for_each(|batch| writer.append(batch).unwrap());
    writer.finish().unwrap()
}

#[test]
fn gathers_slices_and_unifies() {
    let batches = [sample(1, 1), sample(10, 2), sample(5_000, 3), sample(3, 1), sample(900, 5)];
    let segments = write(&batches, options());
    assert!(segments.len() > 1);
    let schema = batches[0].schema();
    let expected = concat_batches(&schema, &batches).unwrap();
    let mut own = Vec::new();
    let mut stock = Vec::new();
    for segment in &segments {
        let body_bytes = segment.payload_bytes();
        assert!(body_bytes <= 80 << 10, "{body_bytes}");
        own.extend((0..segment.batch_count()).map(|index| segment.batch(index).unwrap()));
        let reader = FileReader::try_new(Cursor::new(segment.file_bytes()), None).unwrap();
        stock.extend(reader.map(|batch| batch.unwrap()));
    }
    assert!(own.iter().all(|batch| batch.get_array_memory_size() > 0));
    assert_eq!(own, stock);
    assert_eq!(concat_batches(&schema, &stock).unwrap(), expected);
    assert_eq!(segments[0].home_kind(), HomeKind::Memfd);
    assert_eq!(segments.iter().map(Segment::rows).sum::<u64>(), 5_914);
}

#[test]
fn what_waits_ends_its_segment_before_the_next_part_is_rewritten() {
    // The small batch waits, the large one has it written, which fills the segment. The large one's indices belong to
    // the dictionary of the next segment.
    let batches = [sample(20, 1), sample(400, 2)];
    let tight = WriterOptions { segment_bytes_target: ByteSize::bytes(64), ..options() };
    let mut read = Vec::new();
    for segment in write(&batches, tight) {
        read.extend((0..segment.batch_count()).map(|index| segment.batch(index).unwrap()));
    }
    let schema = batches[0].schema();
    assert_eq!(concat_batches(&schema, &read).unwrap(), concat_batches(&schema, &batches).unwrap());
}
