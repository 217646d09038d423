use super::*;

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&[high, middle, low, kind, flags, 0, 0, 0, 1][..], payload].concat()
}

/// Mends a stream read in chunks of every small size; the chunks must make no difference.
fn mended(frames: &[Vec<u8>]) -> Vec<u8> {
    let stream = [&PREFACE[..], &frames.concat()].concat();
    let mended_in = |size: usize| {
        let (mut scanner, mut bytes) = (Scanner::default(), stream.clone());
        bytes.chunks_mut(size).for_each(|chunk| scanner.mend(chunk));
        bytes
    };
    let whole = mended_in(usize::MAX);
    assert!(whole.starts_with(PREFACE) && whole.len() == stream.len());
    for size in 1..40 {
        assert_eq!(mended_in(size), whole, "in chunks of {size}");
    }
    whole[PREFACE.len()..].to_vec()
}

fn literal(first: u8, text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    [&[first, length][..], text].concat()
}

const AUTHORITY: &[u8] = b"run%2Fa%2Fx.sock";
const MENDED: &[u8] = b"run-2Fa-2Fx.sock";

/// The fields that gRPC's core sends, around an authority in one of the three literal forms.
fn block(form: u8, authority: &[u8]) -> Vec<u8> {
    [
        &[0x83, 0x86][..],
        &literal(0x44, b"/arrow.flight.protocol.FlightService/Do%47et"),
        &literal(form | 1, authority),
        &literal(0x40, b"x-note"),
        &literal(4, b"100%")[1..],
        &[0x3F, 0xE1, 0x1F, 0xBE],
    ]
    .concat()
}

#[test]
fn percent_signs_of_the_authority_become_hyphens_and_nothing_else_changes() {
    for form in [0x40, 0x00, 0x10] {
        let before = [frame(4, 0, &[0; 6]), frame(1, 4, &block(form, AUTHORITY)), frame(0, 0, b"100% data %2F")];
        let after = [frame(4, 0, &[0; 6]), frame(1, 4, &block(form, MENDED)), frame(0, 0, b"100% data %2F")];
        assert_eq!(mended(&before), after.concat(), "form {form:#x}");
    }
    let spelled = |authority: &[u8]| {
        let name = literal(0x40, b":authority");
        let almost = [literal(0x40, b":authorita"), literal(0x40, b":authority2")];
        let others = almost.map(|name| [&name[..], &literal(4, b"100%")[1..]].concat()).concat();
        vec![frame(1, 4, &[&others[..], &name, &literal(0, authority)[1..], &others].concat())]
    };
    assert_eq!(mended(&spelled(AUTHORITY)), spelled(MENDED).concat(), "the name spelled out, as gRPC's core does");
    let valid = [frame(1, 4, &block(0x40, b"localhost:8815")), frame(1, 4, &block(0x40, AUTHORITY))];
    let expected = [frame(1, 4, &block(0x40, b"localhost:8815")), frame(1, 4, &block(0x40, MENDED))];
    assert_eq!(mended(&valid), expected.concat(), "each request is mended");
}

#[test]
fn padding_priority_and_continuation_are_understood() {
    let dressed = |authority: &[u8]| {
        let fields = block(0x40, authority);
        let padded = [&[3][..], &[0; PRIORITY_BYTES], &fields[..20], b"%%%"].concat();
        let rest = &fields[20..];
        // The cut goes through the authority.
        let cut = rest.windows(3).position(|window| window == b"run").expect("the authority") + 5;
        vec![
            frame(1, FLAG_PADDED | FLAG_PRIORITY, &padded),
            frame(9, 0, &rest[..cut]),
            frame(9, 0, &[]),
            frame(9, 4, &rest[cut..]),
            frame(0, 0, b"%"),
        ]
    };
    assert_eq!(mended(&dressed(AUTHORITY)), dressed(MENDED).concat());
}

#[test]
fn a_long_authority_is_mended_to_its_end() {
    let of = |percent: &str| {
        let text = format!("{percent}2F").repeat(60).into_bytes();
        // 180 bytes: the length takes a second byte.
        [&[0x41, 0x7F, 53][..], &text].concat()
    };
    assert_eq!(mended(&[frame(1, 4, &of("%"))]), frame(1, 4, &of("-")));
}

#[test]
fn what_is_not_http_2_or_malformed_is_left_alone() {
    let mut http_1 = *b"GET /a%20b HTTP/1.1\r\nhost: a%2Fb\r\n\r\n";
    let before = http_1;
    Scanner::default().mend(&mut http_1);
    assert_eq!(http_1, before);

    for malformed in [
        frame(1, FLAG_PADDED, &[200, 0x41, 1, b'%']),
        frame(1, FLAG_PRIORITY, &[1, 2]),
        frame(1, 4, &[0x41, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, b'%']),
        frame(1, 4, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x41, 1, b'%']),
        frame(1, 4, &[0x41, 0x81, b'%']),
    ] {
        assert_eq!(mended(std::slice::from_ref(&malformed)), malformed);
    }
}
