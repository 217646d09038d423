//! What stock Arrow writes is accepted as it is.

use airlane_segment::WriterOptions;
use airlane_segment::decode::decode_panics;
use arrow_array::RecordBatch;

use crate::forge::Forged;
use crate::{corpus, drive, stream};

fn check(name: &str, batches: &[RecordBatch]) {
    for codec in corpus::CODECS {
        let outcome = drive::decode(&corpus::stream(batches, codec));
        assert!(outcome.refused.is_none(), "{name} {codec:?}: {:?}", outcome.refused);
        assert_eq!(outcome.batches, batches, "{name} {codec:?}");
        for (chunk_bytes, options) in
            [(usize::MAX, WriterOptions::default()), (1000, drive::tiny()), (7, drive::tiny())]
        {
            let segments = drive::take_in(&corpus::stream(batches, codec), chunk_bytes, options).expect(name);
            drive::compare(batches, &segments);
        }
    }
    assert_eq!(decode_panics(), 0);
}

#[test]
fn every_type_is_decoded_equal_in_every_codec() {
    for rows in [0, 1, 17, 1000] {
        for (name, column) in corpus::columns(rows) {
            check(name, &[corpus::batch(vec![(name, column)])]);
        }
    }
}

#[test]
fn all_types_together_are_decoded_equal() {
    check("every column", &[corpus::every_column(9), corpus::every_column(100), corpus::every_column(0)]);
}

#[test]
fn every_type_inside_every_type_inside_every_type_is_decoded_equal() {
    for (outer, wrap_outer) in corpus::WRAPS {
        for (inner, wrap_inner) in corpus::WRAPS {
            let columns = corpus::columns(8).into_iter().map(|(name, column)| (name, wrap_outer(wrap_inner(column))));
            let batch = corpus::batch(columns.collect());
            let outcome = drive::stream(&corpus::stream(std::slice::from_ref(&batch), None));
            assert!(outcome.refused.is_none(), "{outer} of {inner}: {:?}", outcome.refused);
            assert_eq!(outcome.batches, [batch], "{outer} of {inner}");
        }
    }
}

#[test]
fn slices_at_odd_offsets_are_decoded_equal() {
    let batch = corpus::every_column(100);
    check("slices", &[batch.slice(3, 50), batch.slice(99, 1), batch.slice(8, 64)]);
}

#[test]
fn no_columns_are_decoded_with_their_rows() {
    check("no columns", &[corpus::no_columns(5), corpus::no_columns(0)]);
}

#[test]
fn dictionaries_grow_by_deltas_and_are_replaced() {
    check("deltas", &corpus::deltas());
}

/// Changes the last message of the stream of a column so that it is unusual and means the same.
fn check_unusual(name: &str, change: impl FnOnce(&mut Forged)) {
    let mut columns = corpus::columns(17);
    columns.retain(|(column, _)| *column == name);
    let batch = corpus::batch(columns);
    let mut pieces = stream::split(&corpus::stream(std::slice::from_ref(&batch), None));
    let mut last = Forged::of(&pieces.pop().expect("a batch"));
    change(&mut last);
    pieces.push(last.piece());
    let outcome = drive::stream(&stream::join(&pieces));
    assert!(outcome.refused.is_none(), "{name}: {:?}", outcome.refused);
    assert_eq!(outcome.batches, [batch], "{name}");
}

#[test]
fn what_is_unusual_and_allowed_means_the_same() {
    // Fixed size lists have more values than they need.
    check_unusual("fixed_size_list", |message| {
        message.nodes[1].0 += 5;
        let mut values = message.buffer(2).to_vec();
        values.resize(4 * (17 * 3 + 5), 0xAB);
        message.set_buffer(2, &values);
        let mut validity = message.buffer(1).to_vec();
        validity.resize(16, 0xFF);
        message.nodes[1].1 = (message.nodes[1].0 as usize - bits(&validity, message.nodes[1].0 as usize)) as i64;
        message.set_buffer(1, &validity);
    });
    // Text begins behind bytes that belong to nobody and are no text, and ends before some.
    check_unusual("utf8", |message| {
        let shifted: Vec<u8> = numbers(message.buffer(1)).flat_map(|offset| (offset + 3).to_le_bytes()).collect();
        let data = [&[0xFF; 3][..], message.buffer(2), &[0xFE; 9]].concat();
        message.set_buffer(1, &shifted);
        message.set_buffer(2, &data);
    });
    // Lists point behind values that belong to nobody.
    check_unusual("list", |message| {
        let shifted: Vec<u8> = numbers(message.buffer(1)).flat_map(|offset| (offset + 2).to_le_bytes()).collect();
        let values = [&[0xAB; 8][..], message.buffer(3)].concat();
        message.set_buffer(1, &shifted);
        message.set_buffer(3, &values);
        message.nodes[1].0 += 2;
    });
    // The last run ends behind the last row, and a run follows that nobody sees.
    check_unusual("run_end", |message| {
        let runs: Vec<u8> = [4_i16, 8, 12, 16, 30_000, 30_001].into_iter().flat_map(i16::to_le_bytes).collect();
        message.set_buffer(1, &runs);
        let offsets = message.buffer(3).to_vec();
        let last = offsets[offsets.len() - 4..].to_vec();
        message.set_buffer(3, &[offsets, last].concat());
        message.nodes[1].0 = 6;
        message.nodes[2].0 = 6;
        message.set_buffer(2, &[0b10_1101]);
        message.nodes[2].1 = 2;
    });
    // A bitmap of zeros counts for nothing where no nulls are counted.
    check_unusual("union_sparse", |message| {
        let validity = vec![0; 8];
        message.set_buffer(3, &validity);
        assert_eq!(message.nodes[2].1, 0);
    });
    // Buffers are longer than they need to be.
    check_unusual("int64", |message| {
        let values = [message.buffer(1), &[0xAB; 64]].concat();
        message.set_buffer(1, &values);
    });
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes))
}

fn bits(bytes: &[u8], count: usize) -> usize {
    (0..count).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1).count()
}
