//! Record batches and dictionaries of strangers: structure (A1 to A7, A10 to A12).

use airlane_model::ByteSize;
use airlane_model::error::codes::{DATA_INVALID, LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID};
use airlane_model::{Error, error::Code};
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::{StreamDecoder, decode_panics};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::{CompressionType, MessageHeader, MetadataVersion};

use crate::forge::{self, Forged};
use crate::stream::{self, Piece};
use crate::{corpus, drive};

/// A decoder for the stream that `batch` gives, and the stream's messages.
fn open(batches: &[RecordBatch], codec: Option<CompressionType>, limits: DecodeLimits) -> (StreamDecoder, Vec<Piece>) {
    let mut pieces = stream::split(&corpus::stream(batches, codec));
    let schema = pieces.remove(0);
    (StreamDecoder::new(&schema.header, limits).expect("a valid schema"), pieces)
}

fn column(name: &str, rows: usize) -> RecordBatch {
    let mut columns = corpus::columns(rows);
    columns.retain(|(column, _)| *column == name);
    corpus::batch(columns)
}

fn decode(decoder: &mut StreamDecoder, piece: &Piece) -> Result<Option<RecordBatch>, Error> {
    let checked = decoder.check(&piece.header, piece.body.len() as u64);
    let decoded = decoder.decode(&piece.header, Buffer::from(piece.body.as_slice()));
    if let Err(error) = checked {
        assert_eq!(decoded.expect_err("refused by the check").code(), error.code());
        return Err(error);
    }
    decoded
}

/// Changes the last message of a stream of one column, and decodes the stream.
fn forged(name: &str, codec: Option<CompressionType>, change: impl FnOnce(&mut Forged)) -> Result<RecordBatch, Error> {
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

const COMPRESSED: [CompressionType; 2] = [CompressionType::LZ4_FRAME, CompressionType::ZSTD];

#[test]
fn a1_claimed_lengths_are_judged_before_anything_is_reserved() {
    for codec in COMPRESSED {
        for (claim, code) in [
            (1_i64 << 30, LIMIT_EXCEEDED),
            (1 << 40, LIMIT_EXCEEDED),
            (1 << 62, LIMIT_EXCEEDED),
            (i64::MAX - 7, LIMIT_EXCEEDED),
            (-2, MESSAGE_INVALID),
            (i64::MIN, MESSAGE_INVALID),
            (0, MESSAGE_INVALID),
            (135, MESSAGE_INVALID),
        ] {
            let error = forged("int64", Some(codec), |message| {
                let mut bytes = message.buffer(1).to_vec();
                bytes[..8].copy_from_slice(&claim.to_le_bytes());
                message.set_buffer(1, &bytes);
            });
            assert_eq!(error.expect_err("refused").code(), code, "{codec:?} {claim}");
        }
    }
}

/// A message of one row whose buffer claims a length.
pub(crate) fn claim(length: i64) -> Piece {
    let mut message = Forged::empty(1);
    message.compression = Some((CompressionType::LZ4_FRAME.0, 0));
    message.nodes = vec![(1, 0)];
    message.body = length.to_le_bytes().to_vec();
    message.body.resize(64, 0);
    message.buffers = vec![(0, 0), (0, 64)];
    message.piece()
}

#[test]
fn a1_a_message_of_328_bytes_is_an_error_and_no_abort() {
    let (mut decoder, _) = open(&[column("int64", 17)], None, DecodeLimits::default());
    let piece = claim(1 << 62);
    assert!(piece.header.len() + piece.body.len() <= 328);
    let error = decode(&mut decoder, &piece).expect_err("refused");
    assert_eq!(error.code(), LIMIT_EXCEEDED, "{error:?}");
}

#[test]
fn a1_a_small_claim_over_a_large_stream_is_an_error() {
    let large = vec![0_u8; 1 << 20];
    let frames = [
        (CompressionType::ZSTD, zstd::bulk::compress(&large, 1).expect("compresses")),
        (CompressionType::LZ4_FRAME, lz4_frame(&large)),
    ];
    for (codec, frame) in frames {
        let error = forged("int64", Some(codec), |message| {
            message.set_buffer(1, &[&136_i64.to_le_bytes()[..], &frame].concat());
        });
        let error = error.expect_err("refused");
        assert_eq!(error.code(), MESSAGE_INVALID);
        assert_eq!(error.place(), Some("column \"int64\""));
    }
}

#[test]
fn a1_damaged_frames_are_errors() {
    for codec in COMPRESSED {
        let (mut decoder, pieces) = open(&[column("utf8", 300)], Some(codec), DecodeLimits::default());
        let piece = pieces.last().expect("a batch");
        let mut refused = 0;
        for position in 0..piece.body.len() {
            let mut damaged = piece.clone();
            damaged.body[position] ^= 0x55;
            refused += usize::from(decode(&mut decoder, &damaged).is_err());
        }
        assert!(refused > piece.body.len() / 4, "{codec:?}: {refused} of {}", piece.body.len());
    }
    assert_eq!(decode_panics(), 0);
}

#[test]
fn a1_a_length_of_minus_one_means_that_the_buffer_is_not_compressed() {
    let values: Vec<u8> = (0..17_i64).flat_map(i64::to_le_bytes).collect();
    for codec in COMPRESSED {
        let batch = forged("int64", Some(codec), |message| {
            message.nodes = vec![(17, 0)];
            message.set_buffer(1, &[&(-1_i64).to_le_bytes()[..], &values].concat());
        });
        let batch = batch.expect("valid");
        assert_eq!(batch.column(0).to_data().buffers()[0].as_slice(), values);
    }
}

fn lz4_frame(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, bytes).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

/// A ZSTD frame of zeros: a block of four bytes for every 128 KiB
/// ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878), sections 3.1.1.1 and 3.1.1.2).
fn zstd_zeros(bytes: u64) -> Vec<u8> {
    const BLOCK_BYTES: u64 = 128 << 10;
    const RUN_LENGTH: u32 = 1;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1110_0000];
    frame.extend_from_slice(&bytes.to_le_bytes());
    let blocks = bytes.div_ceil(BLOCK_BYTES);
    for block in 0..blocks {
        let size = (bytes - block * BLOCK_BYTES).min(BLOCK_BYTES) as u32;
        let header = u32::from(block + 1 == blocks) | RUN_LENGTH << 1 | size << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A batch of zeros, `rows` of eight bytes, compressed by zstd.
pub(crate) fn bomb(rows: i64) -> Piece {
    let mut message = Forged::empty(rows);
    message.compression = Some((CompressionType::ZSTD.0, 0));
    message.nodes = vec![(rows, 0)];
    message.buffers = vec![(0, 0), (0, 0)];
    let frame = zstd_zeros(rows as u64 * 8);
    message.set_buffer(1, &[&(rows * 8).to_le_bytes()[..], &frame].concat());
    message.piece()
}

#[test]
fn a2_an_honest_bomb_is_refused_by_its_size_and_by_its_ratio() {
    let (mut decoder, _) = open(&[column("int64", 17)], None, DecodeLimits::default());
    let piece = bomb(100_000_000);
    assert!(piece.body.len() < 25_000, "{}", piece.body.len());
    let error = decode(&mut decoder, &piece).expect_err("800 MB of 24 KB");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
    assert!(error.message().contains("256 MiB"), "{error:?}");

    let piece = bomb(4 << 20);
    let error = decode(&mut decoder, &piece).expect_err("32 MiB of 1 KB");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
    assert!(error.message().contains("1000 times"), "{error:?}");

    let batch = decode(&mut decoder, &bomb(1 << 20)).expect("a small batch of zeros is no attack").expect("a batch");
    assert_eq!(batch.num_rows(), 1 << 20);
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

#[test]
fn a11_dictionaries_are_bounded_in_number_and_size() {
    let dictionary = |pieces: &[Piece]| Forged::of(&pieces[0]);
    let limits = DecodeLimits { dictionaries_max: 1000, ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, limits);
    let message = dictionary(&pieces).piece();
    for _ in 0..1000 {
        decode(&mut decoder, &message).expect("replaces the dictionary");
    }
    let error = decode(&mut decoder, &message).expect_err("one too many");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
    assert!(error.message().contains("1000 dictionary messages"), "{error:?}");

    let limits = DecodeLimits { dictionary_bytes_max: ByteSize::bytes(400), ..DecodeLimits::default() };
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, limits);
    decode(&mut decoder, &pieces[0]).expect("small");
    let mut delta = dictionary(&pieces);
    delta.dictionary = Some((0, true));
    let refused = (0..100).find_map(|_| decode(&mut decoder, &delta.piece()).err()).expect("grows too large");
    assert_eq!(refused.code(), LIMIT_EXCEEDED);
    assert!(refused.message().contains("400 B"), "{refused:?}");
    assert_eq!(refused.place(), Some("dictionary 0"));
    decode(&mut decoder, &pieces[0]).expect("a replacement makes it small again");
}

#[test]
fn a11_dictionaries_whose_values_cost_nothing_are_bounded() {
    use arrow_array::{DictionaryArray, NullArray, UInt8Array, types::UInt8Type};
    let keys = UInt8Array::from(vec![0]);
    let nulls = std::sync::Arc::new(NullArray::new(1));
    let batch = DictionaryArray::<UInt8Type>::try_new(keys, nulls).expect("valid");
    let batch = corpus::batch(vec![("d", std::sync::Arc::new(batch))]);
    let limits = DecodeLimits { dictionary_bytes_max: ByteSize::mib(40), ..DecodeLimits::default() };
    let (mut decoder, _) = open(&[batch], None, limits);
    let mut message = Forged::empty(16 << 20);
    message.nodes = vec![(16 << 20, 16 << 20)];
    message.dictionary = Some((0, false));
    decode(&mut decoder, &message.piece()).expect("the first");
    message.dictionary = Some((0, true));
    decode(&mut decoder, &message.piece()).expect("the second");
    assert_eq!(decode(&mut decoder, &message.piece()).expect_err("too many values").code(), LIMIT_EXCEEDED);
}

#[test]
fn a12_messages_out_of_place_are_refused() {
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    let schema = stream::split(&corpus::stream(&[column("dictionary", 17)], None)).remove(0);
    let error = decode(&mut decoder, &schema).expect_err("a second schema");
    assert_eq!(error.code(), MESSAGE_ORDER_INVALID);
    assert!(error.message().contains("second schema"), "{error:?}");

    for kind in [MessageHeader::Tensor, MessageHeader::SparseTensor, MessageHeader(42), MessageHeader::NONE] {
        let header = forge::message(kind);
        let error = decode(&mut decoder, &Piece { header, body: vec![] }).expect_err("no part of a table");
        assert_eq!(error.code(), MESSAGE_INVALID, "{kind:?}");
    }
    let header = forge::message(MessageHeader::DictionaryBatch);
    let error = decode(&mut decoder, &Piece { header, body: vec![] }).expect_err("a dictionary without a batch");
    assert_eq!(error.code(), MESSAGE_INVALID);

    let mut delta = Forged::of(&pieces[0]);
    delta.dictionary = Some((0, true));
    let error = decode(&mut decoder, &delta.piece()).expect_err("a delta of nothing");
    assert_eq!(error.code(), MESSAGE_ORDER_INVALID);
    delta.dictionary = Some((5, false));
    let error = decode(&mut decoder, &delta.piece()).expect_err("an unknown dictionary");
    assert_eq!((error.code(), error.place()), (MESSAGE_INVALID, Some("dictionary 5")));

    let error = decode(&mut decoder, &pieces[1]).expect_err("indices before their dictionary");
    assert_eq!(error.code(), DATA_INVALID, "{error:?}");
    assert_eq!(error.place(), Some("row 0, column \"dictionary\""));
    decode(&mut decoder, &pieces[0]).expect("the dictionary");
    decode(&mut decoder, &pieces[1]).expect("now there are values");
}

#[test]
fn a_dictionary_may_be_missing_when_all_is_null() {
    let (mut decoder, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    let mut message = Forged::of(&pieces[1]);
    message.nodes[0].1 = 17;
    message.set_buffer(0, &[0; 8]);
    let batch = decode(&mut decoder, &message.piece()).expect("valid").expect("a batch");
    assert_eq!(batch.column(0).null_count(), 17);
}

#[test]
fn fields_may_share_a_dictionary() {
    use arrow_array::types::Int8Type;
    use arrow_array::{Array, DictionaryArray, StringArray};
    let index = |name: &str| forge::ForgedField {
        name: name.to_owned(),
        dictionary: Some(Some((8, true))),
        ..forge::ForgedField::new(arrow_ipc::Type::Utf8, forge::empty)
    };
    let schema = forge::schema(&[index("a"), index("b")]);
    let mut decoder = StreamDecoder::new(&schema, DecodeLimits::default()).expect("both use dictionary 0");
    let (_, pieces) = open(&[column("dictionary", 17)], None, DecodeLimits::default());
    decode(&mut decoder, &pieces[0]).expect("one dictionary for both");
    let mut message = Forged::of(&pieces[1]);
    message.nodes.push(message.nodes[0]);
    message.buffers.extend_from_within(..);
    let batch = decode(&mut decoder, &message.piece()).expect("valid").expect("a batch");
    let values = |column: usize| {
        let column = batch.column(column).as_any().downcast_ref::<DictionaryArray<Int8Type>>().expect("a dictionary");
        column.downcast_dict::<StringArray>().expect("texts").into_iter().map(|it| it.map(str::to_owned)).collect()
    };
    let (a, b): (Vec<_>, Vec<_>) = (values(0), values(1));
    assert_eq!(a, b);
    assert!(a.contains(&Some("green".to_owned())));

    let mut other = index("c");
    other.kind = arrow_ipc::Type::Binary;
    let error = StreamDecoder::new(&forge::schema(&[index("a"), other]), DecodeLimits::default());
    assert_eq!(error.expect_err("two types").code(), airlane_model::error::codes::SCHEMA_INVALID);
}
