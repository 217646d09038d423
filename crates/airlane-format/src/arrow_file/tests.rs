use std::sync::Arc;

use airlane_model::codes;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

use crate::Format;
use crate::tests::{read, write};

fn batch(first: &str, second: &str) -> RecordBatch {
    let keyed: DictionaryArray<Int8Type> = [Some(first), None, Some(second), Some(first)].into_iter().collect();
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as ArrayRef),
        ("keyed", Arc::new(keyed)),
    ])
    .expect("batch")
}

#[test]
fn compressed_bodies_are_read() {
    let batch = batch("a", "b");
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let options = || IpcWriteOptions::default().try_with_compression(Some(compression)).expect("options");
        let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).expect("writer");
        file.write(&batch).expect("write");
        let file = file.into_inner().expect("finish");
        assert_eq!(read(&file, None).expect("read").1, std::slice::from_ref(&batch));
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).expect("writer");
        stream.write(&batch).expect("write");
        let stream = stream.into_inner().expect("finish");
        assert_eq!(read(&stream, None).expect("read").1, std::slice::from_ref(&batch));
    }
}

#[test]
fn dictionaries_that_change_between_batches_are_unified() {
    let batches = [batch("a", "b"), batch("c", "a"), batch("a", "b")];
    for format in [Format::ArrowFile, Format::ArrowStream] {
        let bytes = write(format, &batches[0].schema(), &batches).expect("write");
        let (_, back) = read(&bytes, None).expect("read");
        assert_eq!(back, batches, "{format}");
    }
}

#[test]
fn a_file_without_its_footer_is_explained() {
    let bytes = write(Format::ArrowFile, &batch("a", "b").schema(), &[batch("a", "b")]).expect("write");
    let error = read(&bytes[..bytes.len() - 10], None).expect_err("cut");
    assert_eq!(error.code(), codes::FILE_INVALID);
    assert_eq!(error.message(), "the file has no Arrow footer");
    assert!(error.hint_text().is_some());
    let (_, empty) = read(&bytes, None).expect("whole");
    assert_eq!(empty.len(), 1);
}

#[test]
fn a_claimed_length_is_compared_with_the_file() {
    let mut bytes = write(Format::ArrowFile, &batch("a", "b").schema(), &[batch("a", "b")]).expect("write");
    let length = bytes.len() - 10;
    bytes[length..length + 4].copy_from_slice(&i32::MAX.to_le_bytes());
    let error = read(&bytes, None).expect_err("too long");
    assert!(error.message().starts_with("a footer of 2147483647 bytes"), "{error}");
}

/// The first buffer of a compressed body says how large it is uncompressed.
#[test]
fn a1_a_claimed_length_reserves_nothing() {
    let column = Arc::new(Int32Array::from(vec![7; 1_234])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("batch");
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let options = || IpcWriteOptions::default().try_with_compression(Some(compression)).expect("options");
        let mut file = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).expect("writer");
        file.write(&batch).expect("write");
        let mut stream = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options()).expect("writer");
        stream.write(&batch).expect("write");
        let honest = (4_i64 * 1_234).to_le_bytes();
        for bytes in [file.into_inner().expect("finish"), stream.into_inner().expect("finish")] {
            let places: Vec<usize> = (0..bytes.len() - 8).filter(|at| bytes[*at..*at + 8] == honest).collect();
            assert!(!places.is_empty());
            for claim in [-2, 0, 1 << 30, 1 << 40, 1 << 62, i64::MIN] {
                let mut bytes = bytes.clone();
                for at in &places {
                    bytes[*at..*at + 8].copy_from_slice(&i64::to_le_bytes(claim));
                }
                let error = read(&bytes, None).expect_err("a lie");
                assert!([codes::FILE_INVALID, codes::LIMIT_EXCEEDED].contains(&error.code()), "{claim}: {error}");
            }
        }
    }
}
