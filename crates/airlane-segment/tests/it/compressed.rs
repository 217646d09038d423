//! Compressed bodies of strangers: what they claim and what they hold (A1, A2).

use airlane_model::error::codes::{LIMIT_EXCEEDED, MESSAGE_INVALID};
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::decode_panics;
use arrow_array::Array;
use arrow_ipc::CompressionType;

use crate::forge::Forged;
use crate::messages::{column, decode, forged, open};
use crate::stream::Piece;

const COMPRESSED: [CompressionType; 2] = [CompressionType::LZ4_FRAME, CompressionType::ZSTD];

#[test]
fn a1_claimed_lengths_are_judged_before_anything_is_reserved() {
    for codec in COMPRESSED {
        for (claim, code) in [
            (1_i64 << 30, LIMIT_EXCEEDED),
            (1 << 40, LIMIT_EXCEEDED),
            (1 << 62, LIMIT_EXCEEDED),
            (i64::MAX - 7, LIMIT_EXCEEDED),
            (i64::MAX, MESSAGE_INVALID),
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
