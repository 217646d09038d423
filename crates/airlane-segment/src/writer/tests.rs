use std::io::{self, Cursor, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use airlane_model::ByteSize;
use arrow_array::types::{Int8Type, Int16Type};
use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int16Array, Int64Array, ListViewArray, RecordBatch,
    RunArray, StringArray,
};
use arrow_buffer::Buffer;
use arrow_ipc::reader::FileReader;
use arrow_schema::{DataType, Field};
use arrow_select::concat::concat_batches;

use super::*;
use crate::budget::MemoryBudget;
use crate::home::{Home, HomeKind, MemfdPool, Target, storage_error};

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

/// Makes targets that fail at the operation that is told, counted over all of them.
struct FailingFactory {
    operations: Arc<AtomicUsize>,
    error: i32,
    homes: MemfdPool,
}

struct FailingTarget {
    operations: Arc<AtomicUsize>,
    error: i32,
    target: Box<dyn Target>,
}

fn step(operations: &AtomicUsize, error: i32) -> io::Result<()> {
    match operations.fetch_sub(1, Ordering::Relaxed) {
        1 => Err(io::Error::from_raw_os_error(error)),
        _ => Ok(()),
    }
}

impl HomeFactory for FailingFactory {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        step(&self.operations, self.error).map_err(|error| storage_error("make a target", error))?;
        let (operations, error) = (self.operations.clone(), self.error);
        Ok(Box::new(FailingTarget { operations, error, target: self.homes.create()? }))
    }

    fn budget(&self) -> &MemoryBudget {
        self.homes.budget()
    }
}

impl Target for FailingTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        step(&self.operations, self.error)?;
        self.target.write_at(offset, pieces)
    }

    fn seal(self: Box<Self>, len: u64) -> Result<Home> {
        step(&self.operations, self.error).map_err(|error| storage_error("seal", error))?;
        self.target.seal(len)
    }
}

#[test]
fn d2_every_operation_can_fail_and_leaves_no_memory_behind() {
    let batches = [sample(3_000, 1), sample(50, 2), sample(3_000, 3)];
    let schema = TableSchema::from_arrow(&batches[0].schema()).unwrap();
    for (error, code) in [(libc::ENOSPC, codes::STORAGE_FULL), (libc::EIO, codes::STORAGE_FAILED)] {
        for operation in 1.. {
            let homes = MemfdPool::new(ByteSize::bytes(0), MemoryBudget::unlimited());
            let operations = Arc::new(AtomicUsize::new(operation));
            let factory = FailingFactory { operations: operations.clone(), error, homes };
            let mut writer = TableWriter::new(schema.clone(), options(), Box::new(factory));
            let appended = batches.iter().try_for_each(|batch| writer.append(batch));
            let finished = appended.and_then(|()| writer.finish());
            match finished {
                Err(error) => assert_eq!(error.code(), code, "operation {operation}"),
                Ok(segments) => {
                    assert!(operation > 20, "only {operation} operations");
                    assert!(operations.load(Ordering::Relaxed) > 0);
                    assert_eq!(segments.iter().map(Segment::rows).sum::<u64>(), 6_050);
                    break;
                }
            }
            // Whoever holds a target holds the counter.
            assert_eq!(Arc::strong_count(&operations), 1, "operation {operation}");
        }
    }
}

fn one_column(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("column", array, true)]).unwrap()
}

#[test]
fn uneven_rows_are_cut_where_they_are_large() {
    let texts = (0..2_000).map(|row| "x".repeat(if row % 700 == 3 { 30 << 10 } else { 8 }));
    let batch = one_column(Arc::new(StringArray::from_iter_values(texts)));
    let segments = write(std::slice::from_ref(&batch), options());
    let messages = segments.iter().flat_map(|segment| (0..segment.batch_count()).map(move |index| (segment, index)));
    for (segment, index) in messages {
        let (bytes, rows) = (segment.message(index).body.len(), segment.batch_rows(index));
        assert!(bytes <= 16 << 10 || rows.end - rows.start == 1, "{bytes} bytes, rows {rows:?}");
    }
    let read = segments.iter().map(Segment::rows).sum::<u64>();
    assert_eq!(read, 2_000);
}

#[test]
fn a10_a_batch_that_cutting_would_blow_up_stays_whole() {
    // A hundred rows that all show the same large list.
    let field = Arc::new(Field::new("item", DataType::Int64, true));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
    let lists = ListViewArray::new(field, vec![0; 100].into(), vec![10_000; 100].into(), values, None);
    let segments = write(&[one_column(Arc::new(lists))], options());
    assert_eq!((segments.len(), segments[0].batch_count()), (1, 1));
    assert!(segments[0].payload_bytes() < 90_000, "{}", segments[0].payload_bytes());
}

#[test]
fn a_row_that_no_message_can_hold_is_refused() {
    // Forty columns of the same 64 MiB: more than 2 GiB in a message, and 64 MiB here.
    let value = FixedSizeBinaryArray::new(64 << 20, Buffer::from(vec![0; 64 << 20]), None);
    let value: ArrayRef = Arc::new(value);
    let batch = RecordBatch::try_from_iter((0..40).map(|index| (format!("c{index}"), value.clone()))).unwrap();
    let schema = TableSchema::from_arrow(&batch.schema()).unwrap();
    let mut writer = TableWriter::new(schema, WriterOptions::default(), Box::<MemfdPool>::default());
    assert_eq!(writer.append(&batch).unwrap_err().code(), codes::LIMIT_EXCEEDED);
}

#[test]
fn floods_of_single_rows_become_few_messages() {
    let batch = sample(5_000, 1);
    let rows: Vec<RecordBatch> = (0..5_000).map(|row| batch.slice(row, 1)).collect();
    let segments = write(&rows, WriterOptions { segment_bytes_target: ByteSize::gib(1), ..options() });
    let read: Vec<RecordBatch> =
        (0..segments[0].batch_count()).map(|index| segments[0].batch(index).unwrap()).collect();
    assert_eq!(concat_batches(&batch.schema(), &read).unwrap(), batch);
    // Not counted are the paddings of each row, which are ten times its bytes.
    assert!(read.len() < 50, "{}", read.len());
}

#[test]
fn short_run_ends_are_not_gathered_beyond_their_type() {
    let runs = |rows: i16| -> ArrayRef {
        Arc::new(RunArray::<Int16Type>::try_new(&Int16Array::from(vec![rows]), &Int64Array::from(vec![7])).unwrap())
    };
    let batches: Vec<RecordBatch> = (0..5).map(|_| one_column(runs(20_000))).collect();
    let segments = write(&batches, options());
    assert_eq!(segments[0].batch_count(), 5);
    assert_eq!(segments[0].rows(), 100_000);
}

#[test]
fn a12_batches_of_another_schema_are_refused() {
    let schema = TableSchema::from_arrow(&sample(1, 1).schema()).unwrap();
    let mut writer = TableWriter::new(schema, options(), Box::<MemfdPool>::default());
    writer.append(&sample(1, 1)).unwrap();
    let other = one_column(Arc::new(Int64Array::from(vec![1])));
    assert_eq!(writer.append(&other).unwrap_err().code(), codes::SCHEMA_MISMATCH);
}
