use std::os::fd::AsFd;

use airlane_model::ByteSize;
use arrow_array::types::Int8Type;
use arrow_array::{DictionaryArray, Int32Array, StringArray, StringViewArray};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};

use super::*;
use crate::budget::{MemoryBudget, MemoryUse};
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

/// A file of stock arrow-rs, laid out as ours are.
fn stock_file_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V5).unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn footer_of(file: &[u8]) -> (usize, arrow_ipc::Footer<'_>) {
    let trailer = file.len() - 10;
    let length = u32::from_le_bytes(file[trailer..trailer + 4].try_into().unwrap()) as usize;
    (trailer - length, arrow_ipc::root_as_footer(&file[trailer - length..trailer]).unwrap())
}

/// Where the flatbuffer of a message lies in the file.
fn header_at(file: &[u8], offset: usize) -> Range<usize> {
    let length = u32::from_le_bytes(file[offset + 4..offset + 8].try_into().unwrap()) as usize;
    offset + 8..offset + 8 + length
}

/// Where the number of a table lies in its flatbuffer.
fn slot(table: &flatbuffers::Table<'_>, field: flatbuffers::VOffsetT) -> usize {
    let slot = table.vtable().get(field);
    assert_ne!(slot, 0, "the number is there");
    table.loc() + usize::from(slot)
}

fn open(bytes: &[u8], trust: Trust) -> Result<Segment> {
    let charge = MemoryBudget::unlimited().begin(MemoryUse::Tables);
    Segment::open(Home::heap(Buffer::from(bytes), charge), trust)
}

#[test]
fn a_segment_is_opened_batch_by_batch() {
    let options = WriterOptions { batch_bytes_min: ByteSize::bytes(0), ..WriterOptions::default() };
    let schema = TableSchema::from_arrow(&sample().schema()).unwrap();
    let mut writer = TableWriter::new(schema.clone(), options, Box::<MemfdPool>::default());
    (0..3).for_each(|_| writer.append(&sample()).unwrap());
    let whole = writer.finish().unwrap().remove(0);
    let home = |bytes: &[u8]| Home::heap(Buffer::from(bytes), MemoryBudget::unlimited().begin(MemoryUse::Tables));
    for like in [None, Some(&schema), Some(&TableSchema::from_arrow(&Schema::empty()).unwrap())] {
        let mut gradual = GradualSegment::open(home(&whole.file_bytes()), like).unwrap();
        assert_eq!(gradual.schema().arrow(), schema.arrow());
        for batch in 1..=3 {
            assert_eq!(gradual.next_as(&schema).unwrap(), Some(sample()));
            assert_eq!(gradual.rows(), batch * sample().num_rows() as u64);
        }
        assert!(gradual.next_as(&schema).unwrap().is_none());
    }
    // What is wrong with a batch is found when it is asked for, and with the file at once.
    let mut damaged = whole.file_bytes().to_vec();
    let second = whole.batches[1].block.offset as usize + PREFIX_BYTES;
    damaged[second..second + 16].fill(0xff);
    let mut gradual = GradualSegment::open(home(&damaged), None).unwrap();
    assert_eq!(gradual.next_as(&schema).unwrap(), Some(sample()));
    assert_eq!(gradual.next_as(&schema).unwrap_err().code(), codes::DATA_DAMAGED);
    damaged.truncate(damaged.len() - 1);
    assert_eq!(GradualSegment::open(home(&damaged), None).unwrap_err().code(), codes::DATA_DAMAGED);
}

#[test]
fn a_footer_tells_its_length_and_is_not_believed() {
    let file = tempfile::tempfile().unwrap();
    let bytes = stock_file(64, None);
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    let footer = bytes.len() - 10 - footer_of(&bytes).0;
    assert_eq!(footer_bytes(file.as_fd(), bytes.len() as u64), Some(footer as u64));
    assert_eq!(footer_bytes(file.as_fd(), 9), None);
    assert_eq!(footer_bytes(file.as_fd(), bytes.len() as u64 + 100), None);
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
    let opened = open(&stock_file(64, None), Trust::Foreign).unwrap();
    assert_eq!(opened.batch(0).unwrap(), sample());
    assert_eq!(open(&stock_file(8, None), Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID);
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

#[test]
fn a6_dictionaries_in_another_order_than_ours_are_refused() {
    // Were the values taken in the order of the stranger's ids, text would be read from bytes that are none.
    let texts = |values: [&str; 2]| -> ArrayRef { Arc::new(DictionaryArray::<Int8Type>::from_iter(values)) };
    let bytes: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![&[0xff_u8, 0xfe][..], &[0xc0, 0x80]]));
    let keys = arrow_array::Int8Array::from(vec![0, 1]);
    let bytes: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::try_new(keys, bytes).unwrap());
    let mut file = stock_file_of(vec![("a", texts(["x", "y"])), ("b", texts(["é", "ü"])), ("c", bytes)]);
    assert_eq!(open(&file, Trust::Foreign).unwrap().rows(), 2);

    let (footer_start, footer) = footer_of(&file);
    let encoding = arrow_ipc::DictionaryEncoding::VT_ID;
    let of_schema = |schema: arrow_ipc::Schema<'_>, start: usize| -> Vec<usize> {
        let fields = schema.fields().unwrap();
        (1..3).map(|field| start + slot(&fields.get(field).dictionary().unwrap()._tab, encoding)).collect()
    };
    let in_footer = of_schema(footer.schema().unwrap(), footer_start);
    let first = header_at(&file, 64);
    let message = arrow_ipc::root_as_message(&file[first.clone()]).unwrap();
    let in_schema = of_schema(message.header_as_schema().unwrap(), first.start);
    let blocks = footer.dictionaries().unwrap();
    let in_blocks: Vec<usize> = (1..3)
        .map(|block| {
            let header = header_at(&file, blocks.get(block).offset() as usize);
            let message = arrow_ipc::root_as_message(&file[header.clone()]).unwrap();
            let dictionary = message.header_as_dictionary_batch().unwrap();
            header.start + slot(&dictionary._tab, arrow_ipc::DictionaryBatch::VT_ID)
        })
        .collect();
    for pair in [in_footer, in_schema, in_blocks] {
        assert_eq!((file[pair[0]], file[pair[1]]), (1, 2));
        file.swap(pair[0], pair[1]);
    }
    assert_eq!(open(&file, Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID);
}

#[test]
fn a6_a_footer_with_another_schema_is_refused() {
    let file = segment().file_bytes();
    let (footer_start, footer) = footer_of(&file);
    let blocks = |blocks: Option<flatbuffers::Vector<'_, arrow_ipc::Block>>| -> Vec<Block> {
        let block = |block: &arrow_ipc::Block| Block {
            offset: block.offset() as u64,
            metadata_bytes: block.metaDataLength() as u32,
            body_bytes: block.bodyLength() as u64,
        };
        blocks.unwrap().iter().map(block).collect()
    };
    let (dictionaries, batches) = (blocks(footer.dictionaries()), blocks(footer.recordBatches()));
    let with = |schema: &Schema| {
        let footer = crate::encode::footer(schema, &dictionaries, &batches).unwrap();
        open(&[&file[..footer_start], footer.as_slice()].concat(), Trust::Foreign)
    };
    let own = sample().schema();
    assert_eq!(with(&own).unwrap().rows(), 4);
    let mut fields: Vec<Field> = own.fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[1] = Field::new("text", DataType::Binary, false);
    let other_type = Schema::new(fields.clone());
    fields[1] = Field::new("text", DataType::Utf8, true);
    let may_be_null = Schema::new(fields.clone());
    fields[1] = Field::new("other", DataType::Utf8, false);
    for other in [other_type, may_be_null, Schema::new(fields), Schema::empty()] {
        assert_eq!(with(&other).unwrap_err().code(), codes::MESSAGE_INVALID, "{other:?}");
    }
}

#[test]
fn a13_bytes_where_nothing_lies_are_refused() {
    let segment = segment();
    let file = segment.file_bytes();
    let body = segment.batches[0].block.offset as usize + segment.batches[0].block.metadata_bytes as usize;
    // Behind the magic, behind the first bitmap, behind the last buffer.
    let end = body + segment.batches[0].block.body_bytes as usize;
    for position in [6, 63, body + 1, body + 63, end - 1] {
        let mut dirty = file.to_vec();
        assert_eq!(dirty[position], 0);
        dirty[position] = 1;
        assert_eq!(open(&dirty, Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID, "{position}");
    }
}

#[test]
fn a4_numbers_that_do_not_lie_at_a_multiple_of_64_are_refused() {
    let fields = arrow_schema::UnionFields::try_new([0], [Field::new("n", DataType::Int32, true)]).unwrap();
    let values: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1, 2, 3]))];
    let union = arrow_array::UnionArray::try_new(fields, vec![0; 3].into(), Some(vec![0, 1, 2].into()), values);
    let file = stock_file_of(vec![("u", Arc::new(union.unwrap()))]);
    open(&file, Trust::Foreign).unwrap();
    let (_, footer) = footer_of(&file);
    let block = *footer.recordBatches().unwrap().get(0);
    let (start, body) = (block.offset() as usize, (block.offset() + i64::from(block.metaDataLength())) as usize);
    let buffer = [64_i64.to_le_bytes(), 12_i64.to_le_bytes()].concat();
    let at = start + file[start..body].windows(16).position(|bytes| bytes == buffer).unwrap();
    for shift in [1, 4, 8, 32] {
        let mut shifted = file.clone();
        shifted[at..at + 8].copy_from_slice(&(64 + shift as i64).to_le_bytes());
        shifted.copy_within(body + 64..body + 76, body + 64 + shift);
        shifted[body + 64..body + 64 + shift].fill(0);
        assert_eq!(open(&shifted, Trust::Foreign).unwrap_err().code(), codes::MESSAGE_INVALID, "{shift}");
    }
}

#[test]
fn a6_views_under_nulls_that_nobody_can_read_are_refused_in_a_file() {
    let file = stock_file_of(vec![("v", Arc::new(StringViewArray::from(vec![Some("abc"), None, Some("de")])))]);
    open(&file, Trust::Foreign).unwrap();
    let (_, footer) = footer_of(&file);
    let block = *footer.recordBatches().unwrap().get(0);
    let body = (block.offset() + i64::from(block.metaDataLength())) as usize;
    let views = body + file[body..].windows(3).position(|bytes| bytes == b"abc").unwrap() - 4;
    let second = views + 16;
    assert_eq!(file[second..second + 16], [0; 16]);
    let mut dirty = file.clone();
    // No length, and a byte behind it.
    dirty[second + 8] = 1;
    assert_eq!(open(&dirty, Trust::Foreign).unwrap_err().code(), codes::DATA_INVALID);
    // A text that is one would do.
    let mut clean = file;
    clean[second..second + 5].copy_from_slice(b"\x01\0\0\0x");
    open(&clean, Trust::Foreign).unwrap();
}
