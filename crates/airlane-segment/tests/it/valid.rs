//! What stock Arrow writes is accepted as it is.

use airlane_segment::WriterOptions;
use airlane_segment::decode::decode_panics;
use arrow_array::RecordBatch;

use crate::{corpus, drive};

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
