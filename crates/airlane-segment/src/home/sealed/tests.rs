use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;

use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::io::Errno;

use super::*;
use crate::home::HomeKind;

const BYTES: &[u8] = &[7; 10_000];

/// A memfd with some bytes and seals.
fn memfd(bytes: &[u8], seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    rustix::io::pwrite(&fd, bytes, 0).expect("written");
    rustix::fs::fcntl_add_seals(&fd, seals).expect("sealed");
    fd
}

fn adopt(fd: impl Into<OwnedFd>, len: u64) -> Result<Home> {
    Home::adopt(fd.into(), len, Sealing::Whole, &MemoryBudget::unlimited())
}

#[test]
fn what_is_sealed_is_taken_counted_and_lent_again() {
    let budget = MemoryBudget::unlimited();
    let fd = memfd(BYTES, SEALED_WHOLE);
    let home = Home::adopt(fd, 10_000, Sealing::Whole, &budget).expect("taken");
    assert_eq!(&home.bytes()[..], BYTES);
    assert_eq!((home.kind(), budget.used().as_u64()), (HomeKind::Memfd, 10_000));
    let lent = home.lend_memfd().expect("lent").expect("a memfd");
    assert_eq!(rustix::fs::fcntl_getfl(lent).expect("flags") & OFlags::RWMODE, OFlags::RDONLY);
    let again = Home::adopt(lent.try_clone_to_owned().expect("a copy"), 10_000, Sealing::Whole, &budget);
    assert_eq!(&again.expect("taken").bytes()[..], BYTES);
    drop(home);
    assert_eq!(budget.used().as_u64(), 0);
}

#[test]
fn h1_what_could_still_change_is_refused() {
    let all = [SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE, SealFlags::SEAL];
    for missing in all {
        let error = adopt(memfd(BYTES, SEALED_WHOLE.difference(missing)), 10_000).expect_err("a seal is missing");
        assert_eq!(error.code(), codes::SEGMENT_REFUSED, "{missing:?}: {error}");
        assert!(error.hint_text().is_some(), "{error}");
    }
    let future = SEALED_FUTURE.union(SealFlags::FUTURE_WRITE);
    assert!(adopt(memfd(BYTES, future), 10_000).is_err(), "its maker could still write");
    let trusted = |seals| Home::adopt(memfd(BYTES, seals), 10_000, Sealing::Future, &MemoryBudget::unlimited());
    assert!(trusted(future).is_ok() && trusted(SEALED_WHOLE).is_ok());
    assert!(trusted(SEALED_FUTURE).is_err(), "others could still write");
}

#[test]
fn h1_another_length_and_holes_are_refused() {
    for announced in [0, 1, 9_999, 10_001, u64::MAX] {
        let error = adopt(memfd(BYTES, SEALED_WHOLE), announced).expect_err("another length");
        assert_eq!(error.code(), codes::SEGMENT_REFUSED, "{announced}: {error}");
    }
    let empty = adopt(memfd(&[], SEALED_WHOLE), 0).expect_err("nothing");
    assert_eq!(empty.code(), codes::SEGMENT_REFUSED);
    let hole = memfd(BYTES, SealFlags::empty());
    rustix::fs::ftruncate(&hole, 1 << 30).expect("made longer");
    rustix::fs::fcntl_add_seals(&hole, SEALED_WHOLE).expect("sealed");
    let error = adopt(hole, 1 << 30).expect_err("a hole");
    assert!(error.message().contains("holes"), "{error}");
}

#[test]
fn h1_what_is_no_memfd_is_refused() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(BYTES).expect("written");
    let (socket, _other) = UnixStream::pair().expect("a pair");
    let folder = File::open("/").expect("a folder");
    let device = File::open("/dev/zero").expect("a device");
    for (what, fd) in
        [("file", file.into()), ("socket", OwnedFd::from(socket)), ("folder", folder.into()), ("device", device.into())]
    {
        let error = adopt(fd, 10_000).expect_err(what);
        assert_eq!(error.code(), codes::SEGMENT_REFUSED, "{what}: {error}");
    }
}

#[test]
fn what_finds_no_memory_is_refused() {
    let budget = MemoryBudget::new(airlane_model::ByteSize::bytes(9_999), || {});
    let error = Home::adopt(memfd(BYTES, SEALED_WHOLE), 10_000, Sealing::Whole, &budget).expect_err("no memory");
    assert_eq!((error.code(), budget.used().as_u64()), (codes::MEMORY_FULL, 0));
}

#[test]
fn a_maker_cannot_write_after_sealing() {
    let mut target = SealedMemfds::new(MemoryBudget::unlimited()).target().expect("a target");
    target.write_at(0, &[IoSlice::new(BYTES)]).expect("written");
    let maker = target.fd.try_clone().expect("a copy");
    let home = Box::new(target).seal(10_000).expect("sealed");
    let refused = [
        rustix::io::pwrite(&maker, b"x", 0).err(),
        rustix::fs::ftruncate(&maker, 0).err(),
        rustix::fs::ftruncate(&maker, 20_000).err(),
        rustix::fs::fallocate(&maker, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096).err(),
        rustix::fs::fcntl_add_seals(&maker, SealFlags::FUTURE_WRITE).err(),
    ];
    assert_eq!(refused, [Some(Errno::PERM); 5]);
    assert_eq!(&home.bytes()[..], BYTES);
}

#[test]
fn parts_of_one_memfd_lie_at_multiples_of_64() {
    let budget = MemoryBudget::unlimited();
    let (home, ranges) = SealedMemfds::new(budget.clone()).pack(&[b"one", &[1; 64], b"three"]).expect("packed");
    assert_eq!(ranges, [0..3, 64..128, 128..133]);
    let bytes = home.bytes();
    assert_eq!((&bytes[..3], &bytes[128..133]), (&b"one"[..], &b"three"[..]));
    assert!(bytes[3..64].iter().chain(&bytes[133..]).all(|byte| *byte == 0));
    assert_eq!(budget.used().as_u64(), 192);
}
