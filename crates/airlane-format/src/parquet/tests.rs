use std::sync::Arc;

use airlane_model::codes;
use arrow_array::{Int64Array, StringArray};

use super::*;
use crate::Format;
use crate::tests::{read, write};

#[test]
fn batches_follow_the_bytes_of_a_row_and_row_groups_are_named() {
    let text = "x".repeat(1 << 20);
    let column = StringArray::from_iter_values((0..20).map(|row| format!("{row}{text}")));
    let batch = RecordBatch::try_from_iter([("text", Arc::new(column) as _)]).expect("batch");
    let bytes = write(Format::Parquet, &batch.schema(), std::slice::from_ref(&batch)).expect("write");
    let (_, batches) = read(&bytes, None).expect("read");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20);
    assert!(batches.iter().all(|batch| batch.num_rows() <= 9), "{:?}", batches.len());
}

#[test]
fn a_damaged_page_is_an_error_with_its_row_group() {
    let column = Int64Array::from_iter_values(0..100_000);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(column) as _)]).expect("batch");
    let mut bytes = write(Format::Parquet, &batch.schema(), std::slice::from_ref(&batch)).expect("write");
    bytes[4..2000].fill(0x5a);
    let error = read(&bytes, Some(Format::Parquet)).expect_err("damaged");
    assert_eq!(error.code(), codes::FILE_INVALID);
    assert!(error.place().expect("place").ends_with("row group 0"), "{error}");
}
