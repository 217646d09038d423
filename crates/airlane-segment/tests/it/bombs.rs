//! Small puts that would make a server large or busy: what they cost is in proportion to what came.

use std::sync::Arc;

use airlane_model::error::codes::LIMIT_EXCEEDED;
use airlane_model::{ByteSize, Error};
use airlane_segment::decode::StreamDecoder;
use airlane_segment::{DecodeLimits, Intake, MemfdPool, Segment, TableSchema, TableWriter, WriterOptions};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray, ListViewArray, RecordBatch,
    StringArray, StringViewArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, OffsetBuffer};
use arrow_ipc::Type;
use arrow_schema::{DataType, Field};

use crate::compressed::bomb;
use crate::corpus;
use crate::forge::{self, Forged, ForgedField};
use crate::memory::{allocated, peak};
use crate::messages::{decode, open};
use crate::stream::{self, Piece};

fn item(data_type: &DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type.clone(), true))
}

fn dictionary(values: ArrayRef) -> RecordBatch {
    let keys = Int32Array::from_iter_values(0..values.len() as i32);
    let column = DictionaryArray::<Int32Type>::try_new(keys, values).expect("valid keys");
    corpus::batch(vec![("d", Arc::new(column))])
}

fn write(batches: &[RecordBatch]) -> Vec<Segment> {
    let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
    let mut writer = TableWriter::new(schema, WriterOptions::default(), Box::<MemfdPool>::default());
    batches.iter().for_each(|batch| writer.append(batch).expect("valid"));
    writer.finish().expect("sealed")
}

fn intake(batch: &RecordBatch, options: WriterOptions) -> (Intake, Vec<Piece>) {
    let mut pieces = stream::split(&corpus::stream(std::slice::from_ref(batch), None));
    let (schema, homes) = (pieces.remove(0), Box::new(MemfdPool::default()));
    let intake = Intake::from_message(&schema.header, DecodeLimits::default(), options, homes);
    (intake.expect("a schema"), pieces)
}

fn take(intake: &mut Intake, piece: &Piece) -> Result<(), Error> {
    intake.begin(&piece.header, piece.body.len() as u64)?;
    intake.body(&piece.body)?;
    intake.end()
}

/// In the form in which values are compared each bit has tens of bytes.
#[test]
fn a10_lists_of_bits_in_a_dictionary_are_not_blown_up() {
    for width in [1, 8] {
        let list = |start: bool| -> ArrayRef {
            let bits = 32 << 20;
            let values: ArrayRef = match width {
                1 => Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(bits, |bit| (bit == 0) == start), None)),
                _ => Arc::new(arrow_array::Int8Array::from(vec![i8::from(start); bits / 8])),
            };
            let offsets = OffsetBuffer::from_lengths([values.len()]);
            Arc::new(ListArray::new(item(values.data_type()), offsets, values, None))
        };
        let batches = [dictionary(list(true)), dictionary(list(false)), dictionary(list(true))];
        let bytes = peak(|| assert_eq!(write(&batches).iter().map(Segment::rows).sum::<u64>(), 3));
        assert!(bytes < 64 << 20, "{width}: {bytes}");
    }
}

/// To be found again, each value would be held twice more.
#[test]
fn a11_a_value_above_the_bound_is_held_once() {
    let batch = dictionary(Arc::new(StringArray::from(vec!["x".repeat(16 << 20)])));
    let bytes = peak(|| assert_eq!(write(&[batch.clone(), batch.clone()])[0].rows(), 2));
    assert!(bytes < 20 << 20, "{bytes}");
}

#[test]
fn a11_a_dictionary_that_columns_share_counts_for_each_of_them() {
    let column = |index: usize| ForgedField {
        name: format!("c{index}"),
        dictionary: Some(Some((8, true))),
        ..ForgedField::new(Type::Utf8, forge::empty)
    };
    let schema = forge::schema(&(0..50).map(column).collect::<Vec<_>>());
    let mut decoder = StreamDecoder::new(&schema, DecodeLimits::default()).expect("all use dictionary 0");
    let message = |bytes: i32| {
        let mut message = Forged::empty(1);
        message.dictionary = Some((0, false));
        message.nodes = vec![(1, 0)];
        message.buffers = vec![(0, 0); 3];
        message.set_buffer(1, &[0_i32.to_le_bytes(), bytes.to_le_bytes()].concat());
        message.set_buffer(2, &vec![b'x'; bytes as usize]);
        message.piece()
    };
    decode(&mut decoder, &message(1 << 20)).expect("50 MiB");
    let (large, body) = (message(16 << 20), Buffer::from(message(16 << 20).body));
    let bytes = peak(|| {
        let error = decoder.decode(&large.header, body.clone()).expect_err("800 MiB");
        assert_eq!(error.code(), LIMIT_EXCEEDED);
    });
    assert!(bytes < 64 << 10, "{bytes}");
}

/// An index of each row would be 32 times what is copied.
#[test]
fn a10_bits_that_list_views_leave_out_are_not_indexed() {
    let bits = 1 << 24;
    let values: ArrayRef = Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(bits, |bit| bit % 3 == 0), None));
    let inner = OffsetBuffer::from_lengths([bits / 2, 1, bits / 2 - 1]);
    let lists: ArrayRef = Arc::new(ListArray::new(item(&DataType::Boolean), inner, values.clone(), None));
    let half = bits as i32 / 2;
    for (values, offsets, sizes) in [(values, vec![0, half + 1], vec![half, half - 1]), (lists, vec![0, 2], vec![1, 1])]
    {
        let field = item(values.data_type());
        let views = ListViewArray::new(field, offsets.into(), sizes.into(), values, None);
        let batch = corpus::batch(vec![("v", Arc::new(views))]);
        let bytes = peak(|| {
            let segments = write(std::slice::from_ref(&batch));
            assert!(segments[0].payload_bytes() < 3 << 20);
        });
        assert!(bytes < 16 << 20, "{bytes}");
    }
}

/// A text of one byte in a buffer of megabytes.
fn sparse(bytes: usize) -> Forged {
    let mut message = Forged::empty(1);
    message.nodes = vec![(1, 0)];
    message.buffers = vec![(0, 0); 3];
    message.set_buffer(1, &[5_i32.to_le_bytes(), 6_i32.to_le_bytes()].concat());
    message.set_buffer(2, &vec![b'x'; bytes]);
    message
}

#[test]
fn a10_what_waits_does_not_keep_the_bodies_that_it_came_in() {
    let batch = corpus::batch(vec![("t", Arc::new(StringArray::from(vec!["x"])))]);
    let (mut intake, _) = intake(&batch, WriterOptions::default());
    let piece = sparse(4 << 20).piece();
    let bytes = peak(|| (0..64).for_each(|_| take(&mut intake, &piece).expect("valid")));
    assert!(bytes < 16 << 20, "{bytes}");
    let segments = intake.finish().expect("sealed");
    assert_eq!((segments[0].rows(), segments[0].batch_count()), (64, 1));
    assert_eq!(segments[0].batch(0).expect("a batch").column(0).len(), 64);
    assert!(segments[0].payload_bytes() < 4 << 10);
}

#[test]
fn a11_a_dictionary_counts_as_large_as_the_body_that_it_keeps() {
    let limits = || DecodeLimits { dictionary_bytes_max: ByteSize::mib(8), ..DecodeLimits::default() };
    let texts: [(ArrayRef, Forged); 2] = [
        (Arc::new(StringArray::from(vec!["x"])), sparse(1 << 20)),
        (Arc::new(StringViewArray::from(vec!["x"])), {
            let mut message = sparse(1 << 20);
            message.variadic = Some(vec![1]);
            message.set_buffer(1, &[1_u32.to_le_bytes(), *b"x\0\0\0", [0; 4], [0; 4]].concat());
            message
        }),
    ];
    for (values, mut message) in texts {
        let (mut decoder, _) = open(&[dictionary(values)], None, limits());
        message.dictionary = Some((0, false));
        decode(&mut decoder, &message.piece()).expect("the first");
        message.dictionary = Some((0, true));
        let piece = message.piece();
        let taken = (0..20).take_while(|_| decode(&mut decoder, &piece).is_ok()).count();
        assert!((4..8).contains(&taken), "{taken} deltas of a megabyte beside the first");
        assert_eq!(decode(&mut decoder, &piece).expect_err("too large").code(), LIMIT_EXCEEDED);
    }
}

/// A delta of one number.
fn small_delta() -> Piece {
    let mut message = Forged::empty(1);
    message.dictionary = Some((0, true));
    message.nodes = vec![(1, 0)];
    message.buffers = vec![(0, 0); 2];
    message.set_buffer(1, &7_i64.to_le_bytes());
    message.piece()
}

#[test]
fn a11_a_flood_of_deltas_costs_no_copy_of_the_dictionary_each() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1 << 20));
    let batch = dictionary(values).slice(0, 1);
    let (mut decoder, pieces) = open(&[batch], None, DecodeLimits::default());
    decode(&mut decoder, &pieces[0]).expect("8 MiB");
    let (delta, deltas) = (small_delta(), 60_000);
    let body = Buffer::from(delta.body);
    let mut total = 0;
    let most = peak(|| {
        total = allocated(|| {
            for _ in 0..deltas {
                decoder.decode(&delta.header, body.clone()).expect("a delta");
            }
            let batch = decode(&mut decoder, &pieces[1]).expect("valid").expect("a batch");
            let column = batch.column(0).as_any().downcast_ref::<DictionaryArray<Int32Type>>().expect("a dictionary");
            assert_eq!(column.values().len(), (1 << 20) + deltas);
        });
    });
    assert!(most < 32 << 20, "{most}");
    assert!(total < 1 << 30, "{total} bytes were allocated, 8 MiB for each delta are 500 GB");
}

#[test]
fn a11_deltas_between_batches_may_not_copy_the_dictionary_for_ever() {
    let batch = dictionary(Arc::new(Int64Array::from(vec![7])));
    let (mut decoder, pieces) = open(&[batch], None, DecodeLimits::default());
    let mut first = Forged::of(&bomb(2 << 20));
    first.dictionary = Some((0, false));
    decode(&mut decoder, &first.piece()).expect("16 MiB of a kilobyte");
    let delta = small_delta();
    let refused = (0..200).find_map(|_| {
        decode(&mut decoder, &delta).expect("small");
        decode(&mut decoder, &pieces[1]).err()
    });
    let error = refused.expect("a gigabyte was copied");
    assert_eq!((error.code(), error.place()), (LIMIT_EXCEEDED, Some("dictionary 0")));
}

/// Values that share their bytes cannot be compared, and so not joined: each change ends a segment.
#[test]
fn a11_dictionaries_that_are_written_again_for_every_delta_are_bounded() {
    let text = "x".repeat(256 << 10);
    let one = StringViewArray::from(vec![text.as_str()]);
    let views = std::iter::repeat_n(one.views()[0], 100).collect();
    let values = StringViewArray::new(views, one.data_buffers().to_vec(), None);
    let options = WriterOptions { dictionary_bytes_max: ByteSize::kib(64), ..WriterOptions::default() };
    let (mut intake, pieces) = intake(&dictionary(Arc::new(values)), options);
    let mut delta = Forged::empty(1);
    delta.dictionary = Some((0, true));
    delta.nodes = vec![(1, 0)];
    delta.buffers = vec![(0, 0); 2];
    delta.variadic = Some(vec![0]);
    delta.set_buffer(1, &[0; 16]);
    let delta = delta.piece();
    take(&mut intake, &pieces[0]).expect("256 KiB");
    let refused = (0..20).find_map(|_| take(&mut intake, &pieces[1]).and_then(|()| take(&mut intake, &delta)).err());
    assert_eq!(refused.expect("5 MiB of 260 KiB").code(), LIMIT_EXCEEDED);
}
