use arrow_flight::{FlightData, PutResult, Ticket};
use bytes::Bytes;
use prost::Message as _;

use super::*;

fn framed(header: &[u8], metadata: &[u8], body: &[u8]) -> (Bytes, usize) {
    let mut out = BytesMut::new();
    put_flight_data(&mut out, header, metadata, body.len()).expect("small");
    let body_begin = out.len() - PREFIX_BYTES;
    out.put_slice(body);
    (out.freeze(), body_begin)
}

#[test]
fn a_stock_decoder_reads_what_was_framed() {
    let metadata = br#"{"row_offset":0}"#;
    for (header, metadata, body) in [
        (&b"header"[..], &metadata[..], &b"body"[..]),
        (b"header", b"", b"body"),
        (b"header", metadata, b""),
        (b"header", b"", b""),
    ] {
        let (bytes, _) = framed(header, metadata, body);
        assert_eq!(bytes[0], 0);
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        assert_eq!(length, bytes.len() - PREFIX_BYTES);
        let data = FlightData::decode(bytes.slice(PREFIX_BYTES..)).expect("protobuf");
        assert!(data.data_header.starts_with(header));
        assert!(data.data_header[header.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(&data.app_metadata[..], metadata);
        assert_eq!(&data.data_body[..], body);
        assert_eq!(data.flight_descriptor, None);
    }
}

#[test]
fn every_body_begins_at_a_multiple_of_64() {
    // Around 128 and 16384 the length of the header takes another byte.
    for header_bytes in (0..400).chain(16_200..16_500) {
        for (metadata_bytes, body_bytes) in [(0, 1), (16, 1), (16, 200), (127, 1 << 20), (128, 1)] {
            let header = vec![1; header_bytes];
            let mut out = BytesMut::new();
            put_flight_data(&mut out, &header, &vec![2; metadata_bytes], body_bytes).expect("small");
            let begin = out.len() - PREFIX_BYTES;
            assert_eq!(begin % ALIGNMENT_BYTES, 0, "header of {header_bytes}, metadata of {metadata_bytes}");
            let unpadded = 1 + varint_bytes(header_bytes) + header_bytes + 4 + metadata_bytes;
            assert!(begin <= unpadded + ALIGNMENT_BYTES + 10, "header of {header_bytes} is padded by too much");
        }
    }
}

#[test]
fn a_put_result_and_a_ticket_are_read_by_a_stock_decoder() {
    for len in [0, 1, 127, 128, 300] {
        let metadata = vec![b'x'; len];
        let mut out = BytesMut::new();
        put_put_result(&mut out, &metadata).expect("small");
        let result = PutResult::decode(out.freeze().slice(PREFIX_BYTES..)).expect("protobuf");
        assert_eq!(result.app_metadata, metadata);
        let mut out = BytesMut::new();
        put_ticket(&mut out, &metadata).expect("small");
        let ticket = Ticket::decode(out.freeze().slice(PREFIX_BYTES..)).expect("protobuf");
        assert_eq!(ticket.ticket, metadata);
    }
}

#[test]
fn varints_are_those_of_protobuf() {
    for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), TAG_BODY, u64::MAX] {
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        assert_eq!(out.len(), prost::encoding::encoded_len_varint(value));
        assert_eq!(out.len(), varint_bytes(value as usize));
        assert_eq!(prost::encoding::decode_varint(&mut out), Ok(value));
    }
}

#[test]
fn a_message_of_4_gib_is_refused() {
    let error = put_flight_data(&mut BytesMut::new(), b"header", b"", 1 << 32).expect_err("too large");
    assert_eq!(error.code(), codes::LIMIT_EXCEEDED);
}
