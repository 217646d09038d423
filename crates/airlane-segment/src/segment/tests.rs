use arrow_array::types::Int8Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};

use super::*;
use crate::home::MemfdPool;
use crate::writer::{TableWriter, WriterOptions};

fn sample() -> RecordBatch {
    let kinds: DictionaryArray<Int8Type> = ["a", "b", "a", "c"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("number", Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]))),
        ("text", Arc::new(StringArray::from(vec!["one", "two", "three", "four"]))),
        ("kind", Arc::new(kinds)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn segment() -> Segment {
    let schema = TableSchema::from_arrow(&sample().schema()).unwrap();
    let mut writer = TableWriter::new(schema, WriterOptions::default(), Box::<MemfdPool>::default());
    writer.append(&sample()).unwrap();
    writer.finish().unwrap().remove(0)
}

fn stock_file(alignment: usize, codec: Option<arrow_ipc::CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5).unwrap();
    let options = options.try_with_compression(codec).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &sample().schema(), options).unwrap();
    writer.write(&sample()).unwrap();
    writer.into_inner().unwrap()
}

fn open(bytes: &[u8], trust: Trust) -> Result<Segment> {
    Segment::open(Home::heap(Buffer::from(bytes)), trust)
}

#[test]
fn arrays_point_into_the_home() {
    let segment = segment();
    let file = segment.file_bytes();
    let range = file.as_ptr_range();
    let batch = segment.batch(0).unwrap();
    for column in batch.columns() {
        let data = column.to_data();
        let buffers = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
        assert!(buffers.into_iter().all(|buffer| buffer.is_empty() || range.contains(&buffer.as_ptr())));
    }
    drop(segment);
    assert_eq!(batch, sample());
}

#[test]
fn messages_point_into_the_home_and_slices_are_small() {
    let segment = segment();
    let file = segment.file_bytes();
    let whole = segment.slice(0, 0..4).unwrap();
    assert!(file.as_ptr_range().contains(&whole.body.as_ptr()));
    assert_eq!(whole.body.as_ptr().align_offset(64), 0);
    let part = segment.slice(0, 1..2).unwrap();
    assert!(!file.as_ptr_range().contains(&part.body.as_ptr()));
    assert_eq!(segment.slice(0, 2..2).unwrap().body.len(), 64, "one offset");
    for rows in [3..5, 4..4 + 1, 5..6] {
        assert_eq!(segment.slice(0, rows).unwrap_err().code(), codes::ROWS_OUT_OF_RANGE);
    }
    assert_eq!(segment.payload_bytes(), (whole.body.len() + segment.dictionaries()[0].message.body.len()) as u64);
}

#[test]
fn dictionaries_are_known_again_by_their_hash() {
    let (first, second) = (segment(), segment());
    assert_eq!(first.dictionaries()[0].hash, second.dictionaries()[0].hash);
    assert_eq!(first.checksum(), second.checksum());
    assert_eq!(first.checksum(), xxh3_64(&first.file_bytes()));
}

#[test]
fn files_of_stock_writers_are_opened_when_they_could_be_ours() {
    for alignment in [8, 64] {
        let opened = open(&stock_file(alignment, None), Trust::Foreign).unwrap();
        assert_eq!(opened.batch(0).unwrap(), sample());
    }
    let compressed = stock_file(64, Some(arrow_ipc::CompressionType::LZ4_FRAME));
    assert_eq!(open(&compressed, Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID);
    assert_eq!(open(&stock_file(8, None), Trust::Validated).unwrap_err().code(), codes::DATA_DAMAGED);
}

#[test]
fn what_is_cut_off_is_refused() {
    let file = segment().file_bytes();
    for len in 0..file.len() {
        assert_eq!(open(&file[..len], Trust::Validated).unwrap_err().code(), codes::DATA_DAMAGED, "{len}");
        assert_eq!(open(&file[..len], Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID, "{len}");
    }
}

#[test]
fn a3_a6_foreign_bytes_are_refused_or_read_but_never_crash() {
    let file = segment().file_bytes();
    let mut refused = 0;
    for position in 0..file.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = file.to_vec();
            damaged[position] ^= change;
            match open(&damaged, Trust::Foreign) {
                Err(_) => refused += 1,
                Ok(segment) => {
                    for index in 0..segment.batch_count() {
                        let batch = segment.batch(index).unwrap();
                        batch.columns().iter().for_each(|column| column.to_data().validate_full().unwrap());
                        assert!(segment.slice(index, segment.batch_rows(index)).is_ok());
                    }
                }
            }
            // The structure alone is checked here: with a damaged byte the checksum would not have matched.
            let _ = open(&damaged, Trust::Validated);
        }
    }
    assert!(refused > file.len() / 2, "{refused} of {}", 3 * file.len());
}

#[test]
fn blocks_outside_of_the_file_or_over_one_another_are_refused() {
    let segment = segment();
    let file = segment.file_bytes();
    let batch = segment.batches[0].block;
    let dictionary = segment.dictionary_blocks[0];
    let trailer = |footer: Vec<u8>| {
        let content =
            &file[..dictionary.offset as usize + dictionary.metadata_bytes as usize + dictionary.body_bytes as usize];
        open(&[content, &crate::encode::end_of_stream(), &footer].concat(), Trust::Validated)
    };
    let schema = segment.schema().arrow();
    let with = |batches: &[Block]| crate::encode::footer(schema, &[dictionary], batches).unwrap();
    assert_eq!(trailer(with(&[batch])).unwrap().rows(), 4);
    for wrong in [
        vec![batch, batch],
        vec![dictionary],
        vec![Block { offset: batch.offset + 8, ..batch }],
        vec![Block { offset: 1 << 62, ..batch }],
        vec![Block { body_bytes: batch.body_bytes + 64, ..batch }],
        vec![Block { body_bytes: u64::MAX >> 1, ..batch }],
        vec![Block { metadata_bytes: 64, ..batch }],
        vec![Block { metadata_bytes: 0, ..batch }],
    ] {
        assert_eq!(trailer(with(&wrong)).unwrap_err().code(), codes::DATA_DAMAGED, "{wrong:?}");
    }
    let missing = crate::encode::footer(schema, &[], &[batch]).unwrap();
    assert_eq!(trailer(missing).unwrap_err().code(), codes::DATA_DAMAGED);
}
