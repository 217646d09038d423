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
    chunks.iter().for_each(|chunk| body.push(chunk.clone(), &mut Slabs::default()).expect("memory"));
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
    let (mut body, mut slabs) = (Gathered::begin(u32::MAX.into()).expect("nothing is reserved yet"), Slabs::default());
    let reserved = |body: &Gathered| match &body.memory {
        Memory::Own(memory, _) => memory.capacity(),
        _ => 0,
    };
    assert_eq!(reserved(&body), 0);
    let piece = chunk(12 << 20, 1);
    for count in 1..=8 {
        body.push(piece.clone(), &mut slabs).expect("memory");
        let most = (2 * count * piece.len()).max(BELIEVED_BYTES);
        assert!((1..most + 2 * ALIGNMENT_BYTES).contains(&reserved(&body)), "{} at {count}", reserved(&body));
    }
    let buffer = body.into_buffer();
    assert!(is_aligned(&buffer));
    assert!(buffer.chunks(piece.len()).all(|part| part == piece));
}

#[test]
fn bodies_of_a_large_answer_lie_in_slabs() {
    let mut slabs = Slabs::default();
    let mut buffers = Vec::new();
    for number in 0..40_usize {
        let pieces = [chunk(300_000, 1), chunk(200_000 + number, 7)];
        let mut body = Gathered::begin((500_000 + number) as u64).expect("small");
        pieces.iter().for_each(|piece| body.push(piece.clone(), &mut slabs).expect("memory"));
        let is_late = (number + 1) * 500_000 >= SLABS_FROM_BYTES as usize;
        assert_eq!(matches!(body.memory, Memory::InSlab(_)), is_late, "{number}");
        buffers.push((body.into_buffer(), pieces.concat()));
    }
    // One that is large has memory of its own.
    let large = chunk(IN_SLAB_BYTES_MAX + 1, 1);
    let mut body = Gathered::begin(large.len() as u64).expect("small");
    body.push(large, &mut slabs).expect("memory");
    assert!(matches!(body.memory, Memory::Own(..)));
    for (buffer, expected) in buffers {
        assert!(is_aligned(&buffer));
        assert_eq!(buffer.as_slice(), expected);
    }
}
