//! Memory grows with what arrived, never with what was claimed: an allocator that keeps count for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use airlane_model::error::codes::LIMIT_EXCEEDED;
use airlane_segment::check::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use arrow_buffer::Buffer;

use crate::compressed::{bomb, claim};
use crate::{corpus, stream};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TOTAL: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    NOW.set(NOW.get() + bytes);
    PEAK.set(PEAK.get().max(NOW.get()));
    TOTAL.set(TOTAL.get() + bytes.max(0));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; the counters allocate nothing.
#[expect(unsafe_code, reason = "there is no other way to stand between a program and its allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The bytes that a step allocates in all, freed or not.
pub(crate) fn allocated(step: impl FnOnce()) -> isize {
    let before = TOTAL.get();
    step();
    TOTAL.get() - before
}

/// The bytes that a step holds at its height, above what was held before.
pub(crate) fn peak(step: impl FnOnce()) -> isize {
    let before = NOW.get();
    PEAK.set(before);
    step();
    PEAK.get() - before
}

fn decoder() -> StreamDecoder {
    let mut columns = corpus::columns(1);
    columns.retain(|(name, _)| *name == "int64");
    let schema = stream::split(&corpus::stream(&[corpus::batch(columns)], None)).remove(0);
    StreamDecoder::new(&schema.header, DecodeLimits::default()).expect("a schema")
}

#[test]
fn the_allocator_counts() {
    assert!(peak(|| drop(vec![1_u8; 1 << 20])) >= 1 << 20);
    assert!(peak(|| drop(vec![0_u8; 1 << 20])) >= 1 << 20, "zeroed memory, too");
    assert!(peak(|| ()) < 1 << 10);
}

#[test]
fn a2_a_bomb_is_refused_without_memory() {
    let mut decoder = decoder();
    let message = bomb(100_000_000);
    let body = Buffer::from(message.body);
    let bytes = peak(|| {
        let error = decoder.decode(&message.header, body.clone()).expect_err("800 MB of 24.6 KB");
        assert_eq!(error.code(), LIMIT_EXCEEDED);
    });
    assert!(bytes < 64 << 10, "{bytes}");
}

#[test]
fn a1_claims_are_refused_without_memory() {
    for length in [1_i64 << 30, 1 << 40, 1 << 62, -2, i64::MIN] {
        let mut decoder = decoder();
        let message = claim(length);
        let body = Buffer::from(message.body);
        let bytes = peak(|| drop(decoder.decode(&message.header, body.clone()).expect_err("refused")));
        assert!(bytes < 64 << 10, "{length}: {bytes}");
    }
}

#[test]
fn a_body_of_numbers_is_never_gathered() {
    let rows = 1 << 19;
    let column: arrow_array::ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from_iter_values(0..rows));
    let pieces = stream::split(&corpus::stream(&[corpus::batch(vec![("n", column)])], None));
    let homes = Box::new(airlane_segment::MemfdPool::default());
    let intake = airlane_segment::Intake::from_message(
        &pieces[0].header,
        DecodeLimits::default(),
        airlane_segment::WriterOptions::default(),
        homes,
    );
    let mut intake = intake.expect("a schema");
    let bytes = peak(|| {
        intake.begin(&pieces[1].header, pieces[1].body.len() as u64).expect("valid");
        pieces[1].body.chunks(16_384).for_each(|chunk| intake.body(chunk).expect("valid"));
        intake.end().expect("valid");
    });
    assert!(bytes < 64 << 10, "{bytes} bytes for a body of {}", pieces[1].body.len());
    assert_eq!(intake.rows(), rows as u64);
}

#[test]
fn a2_what_is_accepted_takes_what_it_decompresses_to_and_no_more() {
    let mut decoder = decoder();
    let message = bomb(1 << 20);
    let body = Buffer::from(message.body);
    let bytes = peak(|| {
        let batch = decoder.decode(&message.header, body.clone()).expect("accepted").expect("a batch");
        assert_eq!(batch.num_rows(), 1 << 20);
    });
    assert!((8 << 20..(8 << 20) + (64 << 10)).contains(&bytes), "{bytes}");
}
