//! Views of strangers, which may share their bytes (A6, A10).

use airlane_model::error::codes::DATA_INVALID;
use airlane_segment::{DecodeLimits, Intake, MemfdPool, Segment, WriterOptions};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

use crate::corpus;
use crate::forge::Forged;
use crate::messages::{column, decode, open};
use crate::stream::{self, Piece};

fn view(bytes: u32, prefix: [u8; 4], buffer: u32, offset: u32) -> [u8; 16] {
    let parts = [bytes.to_le_bytes(), prefix, buffer.to_le_bytes(), offset.to_le_bytes()];
    parts.concat().try_into().expect("four times four")
}

/// A message of one column of these views into one buffer.
fn message(views: &[[u8; 16]], data: &[u8]) -> Forged {
    let mut message = Forged::empty(views.len() as i64);
    message.nodes = vec![(views.len() as i64, 0)];
    message.buffers = vec![(0, 0); 3];
    message.variadic = Some(vec![1]);
    message.set_buffer(1, &views.concat());
    message.set_buffer(2, data);
    message
}

fn take_in(name: &str, piece: &Piece) -> Vec<Segment> {
    let schema = stream::split(&corpus::stream(&[column(name, 1)], None)).remove(0);
    let (limits, options) = (DecodeLimits::default(), WriterOptions::default());
    let homes = Box::new(MemfdPool::default());
    let mut intake = Intake::from_message(&schema.header, limits, options, homes).expect("a schema");
    intake.begin(&piece.header, piece.body.len() as u64).expect("judged");
    intake.body(&piece.body).expect("taken");
    intake.end().expect("valid");
    intake.finish().expect("sealed")
}

/// One by one these views have 800 GiB.
#[test]
fn a10_views_that_share_their_bytes_cost_no_more_than_their_bytes() {
    let data = "äöü—abcde".repeat((8 << 20) / 14).into_bytes();
    let views = vec![view(data.len() as u32, *data.first_chunk().expect("four bytes"), 0, 0); 100_000];
    for name in ["utf8_view", "binary_view"] {
        let segments = take_in(name, &message(&views, &data).piece());
        assert_eq!(segments.iter().map(Segment::rows).sum::<u64>(), 100_000);
        let bytes: u64 = segments.iter().map(Segment::payload_bytes).sum();
        assert!(bytes < 11 << 20, "{name}: {bytes}");
    }
}

#[test]
fn a6_a_view_that_cuts_a_character_is_refused_at_its_row() {
    for garbage in [0, 1] {
        let mut data = "äöü—abcde".repeat(1000).into_bytes();
        data.extend(vec![0xFF; garbage]);
        let valid = view(14 * 900, *data.first_chunk().expect("four bytes"), 0, 0);
        let mut views = vec![valid; 5_000];
        let start = 14 * 10 + 1;
        views[1_234] = view(14, *data[start..].first_chunk().expect("four bytes"), 0, start as u32);
        let (mut decoder, _) = open(&[column("utf8_view", 1)], None, DecodeLimits::default());
        let error = decode(&mut decoder, &message(&views, &data).piece()).expect_err("a character is cut");
        assert_eq!((error.code(), error.place()), (DATA_INVALID, Some("row 1234, column \"utf8_view\"")));
        assert!(error.message().contains("UTF-8"), "{error:?}");

        let (mut decoder, _) = open(&[column("binary_view", 1)], None, DecodeLimits::default());
        decode(&mut decoder, &message(&views, &data).piece()).expect("bytes may begin anywhere");
    }
}

fn inner(batch: &RecordBatch) -> &[u128] {
    let data = batch.column(0).as_any();
    let texts = data.downcast_ref::<arrow_array::StringViewArray>().map(|it| it.views());
    texts.or_else(|| data.downcast_ref::<arrow_array::BinaryViewArray>().map(|it| it.views())).expect("views")
}

/// Other writers leave there what was there before.
#[test]
fn views_under_nulls_may_be_anything_and_become_zero() {
    for name in ["utf8_view", "binary_view"] {
        let batch = column(name, 17);
        let nulls: Vec<usize> = (0..17).filter(|row| batch.column(0).is_null(*row)).collect();
        let (mut decoder, pieces) = open(std::slice::from_ref(&batch), None, DecodeLimits::default());
        let mut forged = Forged::of(&pieces[0]);
        let mut views = forged.buffer(1).to_vec();
        let garbage = [view(100, *b"text", 9, 7), view(3, [0xFF; 4], 1, 1), [0xFF; 16], view(13, *b"XXXX", 0, 0)];
        for (count, row) in nulls.iter().enumerate() {
            views[16 * row..][..16].copy_from_slice(&garbage[count % garbage.len()]);
        }
        assert!(nulls.len() >= 2, "{nulls:?}");
        forged.set_buffer(1, &views);
        let decoded = decode(&mut decoder, &forged.piece()).expect("valid").expect("a batch");
        assert_eq!(decoded.columns(), batch.columns());
        decoded.column(0).to_data().validate_full().expect("also where it is null");
        nulls.iter().for_each(|row| assert_eq!(inner(&decoded)[*row], 0));
        let stored = take_in(name, &forged.piece()).remove(0).batch(0).expect("a batch");
        assert_eq!(stored.columns(), batch.columns());
        nulls.iter().for_each(|row| assert_eq!(inner(&stored)[*row], 0));
    }
}

/// On any level: the message is read with blobs in place of views, and then again with the views.
#[test]
fn views_inside_any_type_are_validated() {
    for (wrap, make) in corpus::WRAPS {
        let views = corpus::columns(8).into_iter().find(|(name, _)| *name == "utf8_view").expect("a column").1;
        let batch = corpus::batch(vec![("c", make(views))]);
        let (mut decoder, pieces) = open(std::slice::from_ref(&batch), None, DecodeLimits::default());
        let last = pieces.len() - 1;
        let is_dictionary = matches!(batch.column(0).data_type(), DataType::Dictionary(_, _));
        let holds_views = if is_dictionary { 0 } else { last };
        for (index, piece) in pieces.iter().enumerate() {
            if index == holds_views {
                // The last views of the message.
                let mut forged = Forged::of(piece);
                let counts = forged.variadic.clone().expect("views");
                let at = forged.buffers.len() - 1 - *counts.last().expect("a count") as usize;
                let mut views = forged.buffer(at).to_vec();
                views[..16].copy_from_slice(&view(1 << 20, *b"text", 0, 0));
                forged.set_buffer(at, &views);
                let error = decode(&mut decoder, &forged.piece()).expect_err(wrap);
                assert_eq!(error.code(), DATA_INVALID, "{wrap}: {error:?}");
            }
            if let Some(decoded) = decode(&mut decoder, piece).expect(wrap) {
                assert_eq!(decoded.columns(), batch.columns(), "{wrap}");
            }
        }
    }
}
