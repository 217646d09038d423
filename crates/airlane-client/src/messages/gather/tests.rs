use super::*;

/// A chunk that begins so many bytes after a multiple of 64.
fn chunk(bytes: usize, after: usize) -> Bytes {
    let memory = Bytes::from((0..bytes + 128).map(|n| n as u8).collect::<Vec<_>>());
    let start = memory.as_ptr().addr().next_multiple_of(64) - memory.as_ptr().addr() + after;
    memory.slice(start..start + bytes)
}

fn gathered(chunks: &[Bytes]) -> Buffer {
    let all = chunks.iter().map(Bytes::len).sum::<usize>();
    let mut body = Gathered::begin(all as u64).expect("small");
    chunks.iter().for_each(|chunk| body.push(chunk.clone()).expect("memory"));
    let buffer = body.into_buffer();
    assert_eq!(buffer.as_slice(), chunks.concat());
    assert!(is_aligned(&buffer) || buffer.is_empty());
    buffer
}

#[test]
fn a_body_in_one_aligned_piece_is_not_copied() {
    let aligned = chunk(KEPT_BYTES_MIN, 0);
    assert_eq!(gathered(std::slice::from_ref(&aligned)).as_ptr(), aligned.as_ptr());
    for (bytes, after) in [(KEPT_BYTES_MIN, 8), (KEPT_BYTES_MIN - 1, 0), (10, 3), (0, 0)] {
        let piece = chunk(bytes, after);
        assert_ne!(gathered(std::slice::from_ref(&piece)).as_ptr(), piece.as_ptr());
    }
}

#[test]
fn pieces_are_joined_in_aligned_memory_of_their_size() {
    let pieces = [chunk(KEPT_BYTES_MIN, 0), chunk(1, 5), chunk(0, 0), chunk(100_000, 30)];
    let buffer = gathered(&pieces);
    assert!(buffer.capacity() < buffer.len() + 2 * ALIGNMENT_BYTES, "{} for {}", buffer.capacity(), buffer.len());
}

#[test]
fn g1_memory_grows_with_what_comes_and_not_with_what_is_announced() {
    let mut body = Gathered::begin(u32::MAX.into()).expect("nothing is reserved yet");
    assert_eq!(body.memory.capacity(), 0);
    let piece = chunk(12 << 20, 1);
    for count in 1..=8 {
        body.push(piece.clone()).expect("memory");
        let most = (2 * count * piece.len()).max(BELIEVED_BYTES);
        assert!(body.memory.capacity() < most + 2 * ALIGNMENT_BYTES, "{} at {count}", body.memory.capacity());
    }
    let buffer = body.into_buffer();
    assert!(is_aligned(&buffer));
    assert!(buffer.chunks(piece.len()).all(|part| part == piece));
}
