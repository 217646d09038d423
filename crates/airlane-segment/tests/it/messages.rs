//! Record batches of strangers: counts, buffers and rows (A3 to A5, A7).

use airlane_model::ByteSize;
use airlane_model::error::codes::{LIMIT_EXCEEDED, MESSAGE_INVALID};
use airlane_model::{Error, error::Code};
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::{StreamDecoder, decode_panics};
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{CompressionType, MetadataVersion};

use crate::forge::Forged;
use crate::stream::{self, Piece};
use crate::{corpus, drive};

/// A decoder for the stream that `batch` gives, and the stream's messages.
pub(crate) fn open(
    batches: &[RecordBatch],
    codec: Option<CompressionType>,
    limits: DecodeLimits,
) -> (StreamDecoder, Vec<Piece>) {
    let mut pieces = stream::split(&corpus::stream(batches, codec));
    let schema = pieces.remove(0);
    (StreamDecoder::new(&schema.header, limits).expect("a valid schema"), pieces)
}

pub(crate) fn column(name: &str, rows: usize) -> RecordBatch {
    let mut columns = corpus::columns(rows);
    columns.retain(|(column, _)| *column == name);
    corpus::batch(columns)
}

pub(crate) fn decode(decoder: &mut StreamDecoder, piece: &Piece) -> Result<Option<RecordBatch>, Error> {
    let checked = decoder.check(&piece.header, piece.body.len() as u64);
    let decoded = decoder.decode(&piece.header, Buffer::from(piece.body.as_slice()));
    if let Err(error) = checked {
        assert_eq!(decoded.expect_err("refused by the check").code(), error.code());
        return Err(error);
    }
    decoded
}

/// Changes the last message of a stream of one column, and decodes the stream.
pub(crate) fn forged(
    name: &str,
    codec: Option<CompressionType>,
    change: impl FnOnce(&mut Forged),
) -> Result<RecordBatch, Error> {
    let (mut decoder, mut pieces) = open(&[column(name, 17)], codec, DecodeLimits::default());
    let mut last = Forged::of(&pieces.pop().expect("a batch"));
    change(&mut last);
    for piece in &pieces {
        assert!(decode(&mut decoder, piece).expect("valid").is_none());
    }
    decode(&mut decoder, &last.piece()).map(|batch| batch.expect("a record batch"))
}

fn refuse(name: &str, code: Code, change: impl FnOnce(&mut Forged)) -> Error {
    let error = forged(name, None, change).expect_err("refused");
    assert_eq!(error.code(), code, "{name}: {error:?}");
    assert_eq!(decode_panics(), 0, "{name}: the check let through what makes the decoder panic: {error:?}");
    error
}

#[test]
fn a3_buffers_outside_the_body_are_refused() {
    for (offset, bytes) in [
        (0, 1 << 20),
        (1 << 20, 8),
        (i64::MAX, 8),
        (8, i64::MAX),
        (i64::MAX, i64::MAX),
        (-8, 16),
        (0, -1),
        (i64::MIN, i64::MIN),
    ] {
        let error = refuse("int64", MESSAGE_INVALID, |message| message.buffers[1] = (offset, bytes));
        assert_eq!(error.place(), Some("column \"int64\""));
    }
}

#[test]
fn a3_a_body_is_what_was_announced() {
    refuse("int64", MESSAGE_INVALID, |message| message.body_length = Some(message.body.len() as i64 + 1));
    refuse("int64", MESSAGE_INVALID, |message| message.body_length = Some(-1));
    refuse("int64", MESSAGE_INVALID, |message| message.body.truncate(8));
    let limits = DecodeLimits { body_bytes_max: ByteSize::kib(1), ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("int64", 200)], None, limits);
    let error = decode(&mut decoder, &pieces[0]).expect_err("too large");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
    assert!(error.hint_text().is_some());
}

#[test]
fn a4_buffers_that_are_too_short_or_odd_are_refused_for_every_type() {
    for (name, _) in corpus::columns(17) {
        let original = forged(name, None, |_| {}).expect("valid");
        assert_eq!(original.num_rows(), 17);
        let buffers = {
            let (_, pieces) = open(&[column(name, 17)], None, DecodeLimits::default());
            Forged::of(pieces.last().expect("a batch")).buffers
        };
        for (index, (_, bytes)) in buffers.iter().enumerate().filter(|(_, (_, bytes))| *bytes > 0) {
            for shorter in [0, 1, bytes / 2, bytes - 1] {
                // What is cut may be padding; then the data is whole and accepted.
                let outcome = forged(name, None, |message| message.buffers[index].1 = shorter);
                if let Ok(batch) = outcome {
                    drive::touch(&batch);
                }
            }
        }
    }
    assert_eq!(decode_panics(), 0);
}

#[test]
fn a4_misaligned_buffers_are_laid_out_anew() {
    for (name, _) in corpus::columns(17) {
        for shift in [1, 2, 4, 7] {
            let original = forged(name, None, |_| {}).expect("valid");
            let shifted = forged(name, None, |message| {
                message.body.splice(0..0, vec![0xAA; shift]);
                message.buffers.iter_mut().for_each(|(offset, _)| *offset += shift as i64);
            });
            assert_eq!(shifted.expect("valid"), original, "{name} {shift}");
        }
    }
    assert_eq!(decode_panics(), 0);
}

#[test]
fn a4_counts_that_do_not_fit_the_schema_are_refused() {
    for name in ["int64", "utf8_view", "union_dense", "run_end", "struct", "map", "list_view"] {
        refuse(name, MESSAGE_INVALID, |message| message.nodes.truncate(message.nodes.len() - 1));
        refuse(name, MESSAGE_INVALID, |message| message.nodes.push((17, 0)));
        refuse(name, MESSAGE_INVALID, |message| message.buffers.truncate(message.buffers.len() - 1));
        refuse(name, MESSAGE_INVALID, |message| message.buffers.push((0, 0)));
        refuse(name, MESSAGE_INVALID, |message| message.variadic.get_or_insert_default().push(1));
    }
    for counts in [vec![], vec![-1], vec![i64::MAX], vec![i64::MIN], vec![2], vec![0, 1]] {
        refuse("utf8_view", MESSAGE_INVALID, |message| message.variadic = Some(counts));
    }
    for (codec, method) in [(2, 0), (-1, 0), (0, 1), (1, -1)] {
        refuse("int64", MESSAGE_INVALID, |message| message.compression = Some((codec, method)));
    }
    refuse("int64", MESSAGE_INVALID, |message| message.metadata = Some(("ARROW:experimental_compression", "LZ4")));
    for version in [MetadataVersion::V1, MetadataVersion::V3, MetadataVersion(99)] {
        refuse("int64", MESSAGE_INVALID, |message| message.version = version);
    }
}

#[test]
fn a4_children_have_the_rows_of_their_parents() {
    for (name, child) in [("struct", 1), ("struct", 2), ("union_sparse", 1), ("fixed_size_list", 1), ("run_end", 2)] {
        for rows in [0, 16, 1 << 40] {
            let error = refuse(name, MESSAGE_INVALID, |message| message.nodes[child] = (rows, 0));
            assert!(error.place().unwrap_or_default().starts_with(&format!("column \"{name}.")), "{error:?}");
        }
    }
}

#[test]
fn a4_unions_of_metadata_version_4_have_a_validity_bitmap() {
    for name in ["union_dense", "union_sparse"] {
        let original = forged(name, None, |_| {}).expect("valid");
        let old = forged(name, None, |message| {
            message.version = MetadataVersion::V4;
            message.buffers.insert(0, (0, 0));
        });
        assert_eq!(old.expect("valid"), original);
        refuse(name, MESSAGE_INVALID, |message| message.version = MetadataVersion::V4);
        // Version 5 knows no nulls of a union itself, so they would be lost.
        let error = refuse(name, MESSAGE_INVALID, |message| {
            message.version = MetadataVersion::V4;
            message.nodes[0].1 = 1;
            message.buffers.insert(0, (0, 0));
            message.set_buffer(0, &[0xFE, 0xFF, 0x01]);
        });
        assert!(error.message().contains("nulls of its own"), "{error:?}");
        assert_eq!(error.place(), Some(format!("column \"{name}\"").as_str()));
    }
}

#[test]
fn a5_rows_are_neither_negative_nor_made_of_nothing() {
    for rows in [-1, -5, i64::MIN, 16, 18, i64::MAX] {
        refuse("int64", MESSAGE_INVALID, |message| message.rows = rows);
        refuse("int64", MESSAGE_INVALID, |message| message.nodes[0].0 = rows);
        refuse("int64", MESSAGE_INVALID, |message| message.nodes[0].1 = if rows < 0 { rows } else { 18 });
    }
    for rows in [1_i64 << 20, 1 << 60, i64::MAX] {
        for name in ["int64", "bool", "utf8", "fixed_binary", "list", "utf8_view", "union_dense"] {
            let error = refuse(name, MESSAGE_INVALID, |message| {
                message.rows = rows;
                message.nodes[0] = (rows, 0);
            });
            assert!(error.message().contains("rows"), "{error:?}");
        }
    }
}

#[test]
fn a5_rows_that_cost_no_byte_are_bounded() {
    let limit = DecodeLimits::default().free_rows_max as i64;
    for name in ["null", "fixed_binary_empty", "struct_empty", "run_end"] {
        for rows in [limit + 1, i64::MAX] {
            let error = refuse(name, LIMIT_EXCEEDED, |message| {
                message.rows = rows;
                message.nodes[0] = (rows, if name == "null" { rows } else { 0 });
            });
            assert!(error.message().contains("16777216"), "{error:?}");
        }
    }
    let batch = forged("null", None, |message| {
        message.rows = limit;
        message.nodes[0] = (limit, limit);
    });
    assert_eq!(batch.expect("at the limit").num_rows() as i64, limit);
    refuse("null", MESSAGE_INVALID, |message| message.nodes[0] = (17, 0));

    let (mut decoder, _) = open(&[corpus::no_columns(1)], None, DecodeLimits::default());
    let batch = decode(&mut decoder, &Forged::empty(limit).piece()).expect("at the limit").expect("a batch");
    assert_eq!(batch.num_rows() as i64, limit);
    let error = decode(&mut decoder, &Forged::empty(limit + 1).piece()).expect_err("above the limit");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
}

#[test]
fn a5_the_rows_of_a_put_are_bounded() {
    let limits = DecodeLimits { put_rows_max: 40, ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("int64", 17)], None, limits);
    for rows in [17, 34] {
        decode(&mut decoder, &pieces[0]).expect("below the limit");
        assert_eq!(decoder.rows(), rows);
    }
    let error = decode(&mut decoder, &pieces[0]).expect_err("above the limit");
    assert_eq!((error.code(), decoder.rows()), (LIMIT_EXCEEDED, 34));
    assert!(error.message().contains("40 rows"), "{error:?}");
}

#[test]
fn a5_a_body_that_is_used_many_times_is_refused() {
    // 40 columns over one buffer would be laid out as 40 buffers.
    let batch = corpus::batch((0..40).map(|_| ("n", corpus::columns(4096)[3].1.clone())).collect());
    let (mut decoder, pieces) = open(&[batch], None, DecodeLimits::default());
    let mut message = Forged::of(&pieces[0]);
    let shared = message.buffers[1];
    message.body = message.buffer(1).to_vec();
    message.buffers.iter_mut().enumerate().for_each(|(index, buffer)| *buffer = (0, shared.1 * (index as i64 % 2)));
    message.nodes.iter_mut().for_each(|node| node.1 = 0);
    let error = decode(&mut decoder, &message.piece()).expect_err("refused");
    assert_eq!(error.code(), MESSAGE_INVALID);
    assert!(error.message().contains("overlap"), "{error:?}");
}

#[test]
fn a7_headers_that_are_no_flatbuffer_are_refused() {
    let (mut decoder, pieces) = open(&[column("utf8", 17)], None, DecodeLimits::default());
    let valid = &pieces[0];
    for header in [vec![], vec![0; 3], vec![0; 64], vec![255; 64], b"GET / HTTP/1.1\r\n".to_vec()] {
        let error = decode(&mut decoder, &Piece { header, body: valid.body.clone() }).expect_err("refused");
        assert_eq!(error.code(), MESSAGE_INVALID);
    }
    for position in 0..valid.header.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut piece = valid.clone();
            piece.header[position] ^= flip;
            if let Ok(Some(batch)) = decode(&mut decoder, &piece) {
                drive::touch(&batch);
            }
        }
        let piece = Piece { header: valid.header[..position].to_vec(), body: valid.body.clone() };
        let _ = decode(&mut decoder, &piece);
    }
    assert_eq!(decode_panics(), 0);
}
