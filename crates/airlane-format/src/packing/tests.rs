use std::io::{Cursor, Read, Write};

use airlane_model::{Result, codes};
use arrow_array::RecordBatch;

use super::*;
use crate::SharedBytes;
use crate::tests::read;
use crate::{Format, ReadOptions, read_stream};

const CSV: &[u8] = b"a,b\n1,x\n2,y\n3,\"z\n\"\n";

fn pack(bytes: &[u8], packing: Packing) -> Vec<u8> {
    match packing {
        Packing::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).expect("packed");
            encoder.finish().expect("packed")
        }
        Packing::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
            encoder.include_checksum(true).expect("a checksum");
            encoder.write_all(bytes).expect("packed");
            encoder.finish().expect("packed")
        }
    }
}

fn both() -> [Packing; 2] {
    Packing::TABLE.map(|row| row.0)
}

fn rows(bytes: Vec<u8>, options: &ReadOptions) -> Result<usize> {
    let batches = read_stream("input", Box::new(Cursor::new(bytes)), options)?.collect::<Result<Vec<_>>>()?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

#[test]
fn a_packed_file_is_read_as_what_is_in_it() {
    let (schema, plain) = read(CSV, None).expect("read");
    for packing in both() {
        let (packed_schema, packed) = read(&pack(CSV, packing), None).expect("read");
        assert_eq!((packed_schema, packed), (schema.clone(), plain.clone()), "{packing}");
    }
    // Every format, also those that are read from their end.
    for (format, ..) in Format::TABLE {
        let bytes = crate::tests::write(format, &schema, &plain).expect("write");
        for packing in both() {
            let (_, back) = read(&pack(&bytes, packing), None).expect("read");
            assert_eq!(back.iter().map(RecordBatch::num_rows).sum::<usize>(), 3, "{format}, {packing}");
        }
    }
}

#[test]
fn members_and_frames_that_follow_one_another_are_one_content() {
    for packing in both() {
        let (first, second) = CSV.split_at(10);
        let parts = [pack(first, packing), pack(second, packing), pack(b"", packing), pack(b"4,w\n", packing)];
        assert_eq!(rows(parts.concat(), &ReadOptions::default()).expect("read"), 4, "{packing}");
    }
}

#[test]
fn what_is_cut_off_or_damaged_is_an_error() {
    let csv = format!("a\n{}", (0..3_000).map(|row| format!("{row}\n")).collect::<String>());
    for packing in both() {
        let packed = pack(csv.as_bytes(), packing);
        assert_eq!(rows(packed.clone(), &ReadOptions::default()).expect("whole"), 3_000);
        for end in (4..packed.len()).step_by(97).chain([packed.len() - 1]) {
            let error = rows(packed[..end].to_vec(), &ReadOptions::default()).expect_err("cut off");
            assert_eq!(error.code(), codes::FILE_INVALID, "{packing}, {end}: {error}");
        }
        let mut damaged = packed.clone();
        let middle = packed.len() / 2;
        damaged[middle..middle + 8].fill(0xff);
        let error = rows(damaged, &ReadOptions::default()).expect_err("damaged");
        assert_eq!(error.code(), codes::FILE_INVALID, "{packing}: {error}");
        let error = rows([packed, b"more".to_vec()].concat(), &ReadOptions::default()).expect_err("more");
        assert_eq!(error.code(), codes::FILE_INVALID, "{packing}: {error}");
    }
}

#[test]
fn a18_a_bomb_goes_off_within_bounds() {
    let mib = b"0\n".repeat(1 << 19);
    for packing in both() {
        let header = pack(b"a\n", packing);
        let bomb = [header, pack(&mib, packing).repeat(10_000)].concat();
        let input = Unpacked::new(Box::new(Cursor::new(bomb)), packing, ExpansionLimits::default(), "input");
        let mut input = input.expect("a decoder");
        let mut sink = Counting(0);
        let error = std::io::copy(&mut input, &mut sink).expect_err("a bomb");
        let error = crate::error::failed(error, "nowhere");
        assert_eq!(error.code(), codes::LIMIT_EXCEEDED, "{error}");
        let most = EXPANSION_FREE.as_u64() + (1 << 20);
        assert!(sink.0 <= most, "{packing}: {} bytes came out", sink.0);

        let expansion = ExpansionLimits { bytes_max: ByteSize::mib(1), ..ExpansionLimits::default() };
        let options = ReadOptions { expansion, ..ReadOptions::default() };
        let error = rows([pack(b"a\n", packing), pack(&mib, packing)].concat(), &options).expect_err("too large");
        assert_eq!(error.code(), codes::LIMIT_EXCEEDED, "{packing}: {error}");
        assert!(error.message().contains("1 MiB"), "{error}");
    }
}

struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a18_a_window_is_bounded_and_nothing_is_packed_twice() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(27).expect("a window");
    encoder.write_all(CSV).expect("packed");
    let error = rows(encoder.finish().expect("packed"), &ReadOptions::default()).expect_err("a large window");
    assert!(error.message().contains("8 MiB"), "{error}");

    for (inner, outer) in [(Packing::Gzip, Packing::Gzip), (Packing::Gzip, Packing::Zstd)] {
        let error = rows(pack(&pack(CSV, inner), outer), &ReadOptions::default()).expect_err("twice");
        assert!(error.message().contains("twice"), "{error}");
    }
}

#[test]
fn what_is_said_to_be_packed_must_be() {
    for said in both() {
        let options = ReadOptions { packing: Some(said), ..ReadOptions::default() };
        for packed in both() {
            assert_eq!(rows(pack(CSV, packed), &options).is_ok(), packed == said);
        }
        let error = rows(CSV.to_vec(), &options).expect_err("not packed");
        assert!(error.message().contains(said.name()), "{error}");
    }
}

#[test]
fn what_is_written_packed_is_the_same_unpacked() {
    let (schema, batches) = read(CSV, None).expect("read");
    for (format, ..) in Format::TABLE.into_iter().filter(|row| row.0.is_text()) {
        let plain = crate::tests::write(format, &schema, &batches).expect("write");
        for packing in both() {
            let sink = SharedBytes::default();
            let mut writer =
                crate::packed_writer(Box::new(sink.clone()), schema.clone(), format, Some(packing)).expect("a writer");
            batches.iter().for_each(|batch| writer.write(batch).expect("written"));
            writer.finish().expect("finished");
            let packed = sink.take();
            assert_eq!(Packing::of_head(&packed), Some(packing));
            let input = Box::new(Cursor::new(packed));
            let mut unpacked = Vec::new();
            let mut input = Unpacked::new(input, packing, ExpansionLimits::default(), "input").expect("a decoder");
            input.read_to_end(&mut unpacked).expect("unpacked");
            assert_eq!(unpacked, plain, "{format}, {packing}");
        }
    }
}

#[test]
fn packings_are_known_by_extension_and_coding() {
    for (packing, extension) in Packing::TABLE {
        let (stem, found) = Packing::split(Path::new(&format!("eu.d/prices.csv.{extension}")));
        assert_eq!((stem.as_path(), found), (Path::new("eu.d/prices.csv"), Some(packing)));
        assert_eq!(Packing::of_coding(&packing.name().to_uppercase()), Some(packing));
    }
    assert_eq!(Packing::of_coding("X-GZIP"), Some(Packing::Gzip));
    assert_eq!((Packing::of_coding("br"), Packing::split(Path::new("a.csv")).1), (None, None));
}
