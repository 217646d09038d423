//! Messages compressed for a reader: we and stock readers decode them to the same rows.

use std::sync::Arc;

use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use airlane_segment::encode::compress;
use airlane_segment::{Codec, Message, Segment};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::{BodyCompressionMethod, CompressionType};
use proptest::prelude::*;

use super::arbitrary::{Table, tables};
use super::homes::{HOMES, small, write};
use super::property::{read_stream, rows};

const CODECS: [(Codec, CompressionType); 2] =
    [(Codec::Lz4Frame, CompressionType::LZ4_FRAME), (Codec::Zstd, CompressionType::ZSTD)];

/// The messages of a segment in the order of a stream, compressed.
pub(super) fn compressed(segment: &Segment, codec: Codec) -> Vec<Message> {
    let dictionaries = segment.dictionaries().iter().map(|dictionary| dictionary.message.clone());
    let stored = dictionaries.chain((0..segment.batch_count()).map(|index| segment.message(index)));
    stored
        .map(|stored| {
            let message = compress(&stored, codec).unwrap();
            assert_eq!((message.header.len() % 8, message.body.len() % 64), (0, 0));
            assert!(message.body.len() <= stored.body.len(), "no message grows");
            message
        })
        .collect()
}

fn decode(segment: &Segment, messages: &[Message]) -> Vec<RecordBatch> {
    let mut decoder = StreamDecoder::new(segment.schema().message(), DecodeLimits::default()).unwrap();
    let decode = |message: &Message| decoder.decode(&message.header, Buffer::from(&message.body[..])).unwrap();
    messages.iter().filter_map(decode).collect()
}

fn check(table: &Table) {
    for segment in write(table, small(), HOMES[0]) {
        let stored: Vec<_> = (0..segment.batch_count()).map(|index| segment.batch(index).unwrap()).collect();
        let expected = rows(&stored);
        for (codec, _) in CODECS {
            let messages = compressed(&segment, codec);
            assert_eq!(rows(&decode(&segment, &messages)), expected, "{codec:?}, decoded by us");
            assert_eq!(rows(&read_stream(&segment, &messages)), expected, "{codec:?}, decoded by arrow");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_type_comes_back_equal_from_compressed_messages(table in tables()) {
        check(&table);
    }
}

/// Numbers without a pattern.
fn noise(rows: u64) -> ArrayRef {
    let mixed =
        |row: u64| (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (mixed(row) ^ mixed(row) >> 29) as i64)))
}

fn segment_of(columns: Vec<(&str, ArrayRef)>) -> Segment {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let table = Table { schema: batch.schema(), batches: vec![batch] };
    let mut segments = write(&table, airlane_segment::WriterOptions::default(), HOMES[0]);
    segments.remove(0)
}

#[test]
fn each_buffer_is_compressed_by_itself_and_one_that_would_not_shrink_stays_as_it_was() {
    const ROWS: usize = 10_000;
    let same: ArrayRef = Arc::new(Int64Array::from(vec![7; ROWS]));
    let segment = segment_of(vec![("same", same), ("noise", noise(ROWS as u64))]);
    let stored = segment.message(0);
    for (codec, number) in CODECS {
        let message = compress(&stored, codec).unwrap();
        let header = arrow_ipc::root_as_message(&message.header).unwrap();
        assert_eq!(header.bodyLength(), message.body.len() as i64);
        let batch = header.header_as_record_batch().unwrap();
        let compression = batch.compression().expect("the message says how it is compressed");
        assert_eq!((compression.method(), compression.codec()), (BodyCompressionMethod::BUFFER, number));
        let buffers: Vec<_> = batch.buffers().unwrap().iter().map(|it| (it.offset(), it.length())).collect();
        let [no_nulls, same, none, noise] = buffers[..] else { panic!("{buffers:?}") };
        assert_eq!((no_nulls.1, none.1), (0, 0), "what is empty stays empty");
        let length_of = |(offset, _): (i64, i64)| {
            let prefix = &message.body[offset as usize..offset as usize + 8];
            i64::from_le_bytes(prefix.try_into().unwrap())
        };
        assert_eq!(length_of(same), 8 * ROWS as i64);
        assert!(same.1 < 4_000, "{codec:?}: one number over and over takes {} bytes", same.1);
        assert_eq!((length_of(noise), noise.1), (-1, 8 + 8 * ROWS as i64), "{codec:?}");
        assert_eq!((same.0 % 64, noise.0 % 64), (0, 0));
        assert_eq!(rows(&decode(&segment, &[message])), rows(&[segment.batch(0).unwrap()]));
    }
}

#[test]
fn a_message_that_would_not_shrink_is_the_stored_one() {
    let segment = segment_of(vec![("noise", noise(1_000))]);
    let stored = segment.message(0);
    for (codec, _) in CODECS {
        let message = compress(&stored, codec).unwrap();
        assert_eq!(message.body.as_ptr(), stored.body.as_ptr(), "{codec:?}: nothing is copied");
        assert_eq!(message.header, stored.header);
    }
}

#[test]
fn a_message_whose_buffers_are_not_there_is_refused() {
    let stored = segment_of(vec![("noise", noise(1_000))]).message(0);
    let cut = Message { body: stored.body.slice(..64), ..stored };
    assert_eq!(compress(&cut, Codec::Zstd).expect_err("cut").code(), airlane_model::codes::INTERNAL);
    let rubbish = Message { header: bytes::Bytes::from_static(&[7; 64]), ..cut };
    assert_eq!(compress(&rubbish, Codec::Zstd).expect_err("rubbish").code(), airlane_model::codes::MESSAGE_INVALID);
}
