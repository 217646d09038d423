use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::home::Lender;

fn written(pool: &MemfdPool, byte: u8, len: usize) -> Home {
    let mut target = pool.clone().create().unwrap();
    let bytes = vec![byte; len];
    let (front, back) = bytes.split_at(len / 2);
    target.write_at(front.len() as u64, &[IoSlice::new(back)]).unwrap();
    target.write_at(0, &[IoSlice::new(front)]).unwrap();
    target.seal(len as u64).unwrap()
}

#[test]
fn memory_is_written_again_when_the_last_reference_is_gone() {
    let pool = MemfdPool::default();
    let first = written(&pool, 1, 1 << 20);
    let held = first.bytes();
    drop(first);
    assert_eq!(pool.spare_bytes().as_u64(), 0, "a reader still holds the bytes");
    let second = written(&pool, 2, 1 << 20);
    assert!(held.iter().all(|byte| *byte == 1), "what a reader holds never changes");
    drop(held);
    assert_eq!(pool.spare_bytes().as_u64(), 1 << 20);
    let third = written(&pool, 3, (1 << 20) - 5);
    assert_eq!(pool.spare_bytes().as_u64(), 0, "the spare block was taken");
    assert_eq!(third.bytes().len(), (1 << 20) - 5);
    assert!(third.bytes().iter().all(|byte| *byte == 3));
    assert!(second.bytes().iter().all(|byte| *byte == 2));
}

#[test]
fn a13_a_target_with_gaps_is_refused_since_old_bytes_could_show() {
    let pool = MemfdPool::default();
    drop(written(&pool, 7, 4096));
    let mut target = pool.clone().create().unwrap();
    target.write_at(64, &[IoSlice::new(&[1; 64])]).unwrap();
    assert_eq!(target.seal(128).unwrap_err().code(), codes::INTERNAL);
}

#[test]
fn a13_bytes_that_are_written_twice_do_not_make_up_for_a_gap() {
    let pool = MemfdPool::default();
    drop(written(&pool, 7, 4096));
    let mut target = pool.clone().create().unwrap();
    let mut write = |offset| target.write_at(offset, &[IoSlice::new(&[1; 64])]);
    write(0).unwrap();
    assert_eq!(write(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    write(128).unwrap();
    assert_eq!(target.seal(192).unwrap_err().code(), codes::INTERNAL);
}

#[test]
fn h1_a_lent_memfd_is_sealed_exact_and_never_written_again() {
    let pool = MemfdPool::default();
    drop(written(&pool, 9, 8192));
    let home = written(&pool, 4, 5000);
    let fd = home.lend_memfd().unwrap().unwrap().try_clone_to_owned().unwrap();
    let seals = rustix::fs::fcntl_get_seals(&fd).unwrap();
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL));
    assert!(WarmMapping::new(fd.as_fd(), 5000).is_err(), "a mapping that could write");
    let file = File::from(fd);
    assert_eq!(file.metadata().unwrap().len(), 5000, "nothing of the earlier segment is in it");
    assert!(file.write_at(b"x", 0).is_err() && file.set_len(0).is_err());
    let metadata = file.metadata().unwrap();
    assert!(metadata.blocks() * 512 >= metadata.len(), "no holes");
    assert!(home.bytes().iter().all(|byte| *byte == 4));
    drop(home);
    assert_eq!(pool.spare_bytes().as_u64(), 0);
}

#[test]
fn spare_memory_is_bounded_and_ages() {
    let pool = MemfdPool::new(ByteSize::kib(100), MemoryBudget::unlimited());
    let homes: Vec<Home> = (0..4).map(|byte| written(&pool, byte, 40 << 10)).collect();
    drop(homes);
    assert_eq!(pool.spare_bytes(), ByteSize::kib(80));
    pool.age();
    assert_eq!(pool.spare_bytes(), ByteSize::kib(80));
    pool.age();
    assert_eq!(pool.spare_bytes(), ByteSize::bytes(0));
}

#[test]
fn spare_memory_is_given_back_at_once_when_that_is_asked_for() {
    let pool = MemfdPool::default();
    let held = written(&pool, 1, 40 << 10);
    drop(written(&pool, 2, 40 << 10));
    pool.clear();
    assert_eq!(pool.spare_bytes(), ByteSize::bytes(0));
    assert!(held.bytes().iter().all(|byte| *byte == 1), "what is read stays");
    drop(held);
    assert_eq!(pool.spare_bytes(), ByteSize::kib(40), "later blocks are kept as before");
}

#[test]
fn a_much_larger_block_gives_its_pages_back() {
    let pool = MemfdPool::default();
    drop(written(&pool, 1, 8 << 20));
    let small = written(&pool, 2, 1 << 20);
    assert_eq!(small.bytes().len(), 1 << 20);
    drop(small);
    assert_eq!(pool.spare_bytes(), ByteSize::mib(1));
}

#[test]
fn an_aborted_target_gives_its_block_back() {
    let pool = MemfdPool::default();
    let mut target = pool.clone().create().unwrap();
    target.write_at(0, &[IoSlice::new(&[1; 4096])]).unwrap();
    drop(target);
    assert_eq!(pool.spare_bytes().as_u64(), 4096);
}

/// What a written home holds, in pieces that begin and end where they like.
fn patterned(pool: &MemfdPool, seed: usize, len: usize, step: usize) -> (Home, Vec<u8>) {
    let bytes: Vec<u8> = (0..len).map(|at| (at.wrapping_mul(31) ^ at >> 8 ^ seed) as u8).collect();
    let mut target = pool.clone().create().unwrap();
    let mut offsets: Vec<usize> = (0..len).step_by(step).collect();
    offsets.reverse();
    for offset in offsets {
        let (front, back) = bytes[offset..len.min(offset + step)].split_at(step.min(len - offset) / 3);
        target.write_at(offset as u64, &[IoSlice::new(front), IoSlice::new(&[]), IoSlice::new(back)]).unwrap();
    }
    (target.seal(len as u64).unwrap(), bytes)
}

#[test]
fn warm_and_new_pages_are_written_alike() {
    let pool = MemfdPool::default();
    let lens = [100_000, 100_000, 250_001, 90_000, 3_000_000, 3_000_001, 5_300_000, 12, 5_000_000];
    for (seed, len) in lens.into_iter().enumerate() {
        let (home, bytes) = patterned(&pool, seed, len, 40_961);
        assert_eq!(home.bytes(), bytes, "{len}");
        let Some(Lender::Pool(memfd)) = &home.lender else { panic!("no memfd of the pool") };
        let fd = &memfd.block.as_ref().unwrap().fd;
        let mut file = vec![0; len];
        File::from(fd.try_clone().unwrap()).read_exact_at(&mut file, 0).unwrap();
        assert!(file == bytes, "the descriptor shows what the mapping shows");
    }
}

#[test]
fn an_aborted_target_leaves_no_gap_behind() {
    let pool = MemfdPool::default();
    drop(written(&pool, 1, 10_000));
    let mut target = pool.clone().create().unwrap();
    target.write_at(9_000, &[IoSlice::new(&[2; 3_000])]).unwrap();
    target.write_at(50_000, &[IoSlice::new(&[2; 1_000])]).unwrap();
    drop(target);
    assert_eq!(pool.spare_bytes(), ByteSize::bytes(12_000), "what is behind the gap is given back");
    let (home, bytes) = patterned(&pool, 3, 60_000, 7_000);
    assert_eq!(home.bytes(), bytes);
    drop(home);
    assert_eq!(pool.spare_bytes(), ByteSize::bytes(60_000));
}
