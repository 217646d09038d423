use std::io::Write;

use super::*;
use crate::budget::MemoryUse;

/// Calls of a file that takes a few bytes at a time and is interrupted now and then.
fn write_slowly(pieces: &[&[u8]], bytes_max: usize) -> Vec<u8> {
    let mut written = vec![0; 100];
    let mut calls = 0;
    let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    write_all_at(10, &slices, |pieces, offset| {
        calls += 1;
        if calls % 3 == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).take(bytes_max).collect();
        written[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    })
    .unwrap();
    written
}

#[test]
fn short_and_interrupted_writes_go_on() {
    for bytes_max in [1, 2, 3, 5, 100] {
        let written = write_slowly(&[b"", b"one", b"", b"twothree", b""], bytes_max);
        assert_eq!(&written[..10], [0; 10]);
        assert_eq!(&written[10..21], b"onetwothree");
        assert_eq!(&written[21..], [0; 79]);
    }
}

#[test]
fn more_pieces_than_one_call_takes_are_written_in_order() {
    let bytes: Vec<u8> = (0..3000).map(|index| index as u8).collect();
    let slices: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
    let mut written = Vec::new();
    write_all_at(0, &slices, |pieces, offset| {
        assert_eq!(offset as usize, written.len());
        assert!(pieces.len() <= 1024);
        pieces.iter().for_each(|piece| written.extend_from_slice(piece));
        Ok(pieces.len())
    })
    .unwrap();
    assert_eq!(written, bytes);
}

#[test]
fn a_write_that_takes_nothing_is_an_error() {
    let error = write_all_at(0, &[IoSlice::new(b"x")], |_, _| Ok(0)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    write_all_at(0, &[IoSlice::new(b"")], |_, _| Ok(0)).unwrap();
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    for (error, code) in [
        (io::Error::from_raw_os_error(libc::ENOSPC), codes::STORAGE_FULL),
        (io::Error::from_raw_os_error(libc::EDQUOT), codes::STORAGE_FULL),
        (io::Error::from_raw_os_error(libc::EIO), codes::STORAGE_FAILED),
        (io::ErrorKind::WriteZero.into(), codes::STORAGE_FAILED),
    ] {
        assert_eq!(storage_error("write a segment", error).code(), code);
    }
}

#[test]
fn heaps_are_aligned_and_grow_by_offset() {
    let budget = MemoryBudget::unlimited();
    let mut heap = HeapTarget::new();
    heap.write_at(0, &[IoSlice::new(b"ab"), IoSlice::new(b"cd")]).unwrap();
    heap.write_at(6, &[IoSlice::new(b"gh")]).unwrap();
    heap.write_at(4, &[IoSlice::new(b"ef")]).unwrap();
    let home = heap.seal(8, &budget).unwrap();
    assert_eq!(budget.used_for(MemoryUse::Tables).as_u64(), 8);
    assert_eq!(&home.bytes()[..], b"abcdefgh");
    let shifted = Buffer::from_vec((0..100).collect::<Vec<u8>>()).slice(3);
    let home = Home::heap(shifted.clone(), budget.begin(MemoryUse::Tables));
    assert_eq!(home.bytes(), shifted.as_slice());
    assert_eq!(home.bytes().as_ptr().align_offset(64), 0);
    assert_eq!(home.buffer().as_ptr(), home.bytes().as_ptr());
    assert!(home.lend_memfd().unwrap().is_none());
}

#[test]
fn mapped_files_outlive_their_descriptor_and_their_name() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[7; 5000]).unwrap();
    let home = Home::map_file(file.as_file(), 4097, 0xabc).unwrap();
    drop(file);
    assert_eq!((home.kind(), home.label(), home.bytes().len()), (HomeKind::File, Some(0xabc), 4097));
    let bytes = home.bytes();
    drop(home);
    assert!(bytes.iter().all(|byte| *byte == 7));
}

#[test]
fn files_that_are_too_short_are_not_mapped() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(100).unwrap();
    assert_eq!(Home::map_file(&file, 101, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(Home::map_file(&file, 0, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
