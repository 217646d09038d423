//! Free memory goes back to the machine.
//!
//! The allocator of the program, mimalloc, keeps freed pages for a tenth of a second, since most are taken again at once.
//! Later it gives them back, but only while it takes or frees a page, which a server that has become quiet does not: what
//! the last large put has used would stay with it.

use std::hint::black_box;

/// More than the allocator takes from a page that it shares, so that a page of its own is taken and freed. Nothing is
/// written to it, so that it costs no memory.
const PAGE_OF_ITS_OWN_BYTES: usize = 1 << 20;

/// Has the allocator give back what was free for long enough.
pub(super) fn give_back() {
    drop(black_box(Vec::<u8>::with_capacity(PAGE_OF_ITS_OWN_BYTES)));
}
