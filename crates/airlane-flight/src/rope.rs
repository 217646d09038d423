//! One Arrow message as bytes for the socket, without its body being copied.
//!
//! ```text
//! head   copied: gRPC prefixes, protobuf tags, flatbuffers, small bodies
//! body   shared: the buffers as they lie in the segment
//! ```
//!
//! HTTP/2 cuts one [`Rope`] into DATA frames at the peer's frame size, whatever its pieces are. A piece costs an iovec
//! and a frame is written by one `writev`, so anything small is copied into the head instead ([`INLINE_BYTES_MAX`]).

use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Bodies below this are copied into the head of a rope: that costs less than an iovec of their own.
pub(crate) const INLINE_BYTES_MAX: usize = 16 << 10;

/// Two pieces of bytes, read one after the other.
#[derive(Clone, Debug, Default)]
pub struct Rope {
    head: Bytes,
    body: Bytes,
}

impl Rope {
    /// A head and then a body.
    pub fn new(head: Bytes, body: Bytes) -> Self {
        Self { head, body }
    }
}

impl From<Bytes> for Rope {
    fn from(head: Bytes) -> Self {
        Self { head, body: Bytes::new() }
    }
}

impl Buf for Rope {
    fn remaining(&self) -> usize {
        self.head.len() + self.body.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.head.is_empty() { &self.body } else { &self.head }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = [&self.head, &self.body].into_iter().filter(|piece| !piece.is_empty());
        slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len());
        self.head.advance(of_head);
        if count > of_head {
            self.body.advance(count - of_head);
        }
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        if self.head.is_empty() {
            self.body.split_to(len)
        } else if len <= self.head.len() {
            self.head.split_to(len)
        } else {
            let mut joined = bytes::BytesMut::with_capacity(len);
            joined.extend_from_slice(&std::mem::take(&mut self.head));
            let rest = self.body.split_to(len - joined.len());
            joined.extend_from_slice(&rest);
            joined.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope() -> Rope {
        Rope::new(Bytes::from_static(b"head"), Bytes::from_static(b"body!"))
    }

    #[test]
    fn reads_the_same_by_any_way() {
        for step in 1..=9 {
            let mut rope = rope();
            let mut read = Vec::new();
            while rope.has_remaining() {
                let taken = step.min(rope.remaining());
                read.extend_from_slice(&rope.copy_to_bytes(taken));
            }
            assert_eq!(read, b"headbody!", "in steps of {step}");
        }
        for cut in 0..=9 {
            let mut rope = rope();
            rope.advance(cut);
            assert_eq!(rope.remaining(), 9 - cut);
            let mut slices = [IoSlice::new(&[]); 4];
            let count = rope.chunks_vectored(&mut slices);
            let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(joined, b"headbody!"[cut..], "after {cut}");
            assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
        }
    }

    #[test]
    fn fills_no_more_slices_than_there_are() {
        let rope = rope();
        let mut one = [IoSlice::new(&[])];
        assert_eq!(rope.chunks_vectored(&mut one), 1);
        assert_eq!(&*one[0], b"head");
        assert_eq!(rope.chunks_vectored(&mut []), 0);
    }

    #[test]
    fn the_body_is_shared() {
        let body = Bytes::from(vec![7; 100]);
        let mut rope = Rope::new(Bytes::new(), body.clone());
        assert_eq!(rope.copy_to_bytes(100).as_ptr(), body.as_ptr());
    }
}
