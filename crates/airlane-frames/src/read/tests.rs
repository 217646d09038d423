use arrow_flight::{FlightData, FlightDescriptor};
use bytes::{BufMut, BytesMut};
use prost::Message as _;

use super::*;
use crate::write::put_varint;

/// A message as the sink saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    descriptor: Option<Bytes>,
    metadata: Option<Bytes>,
    header: Bytes,
    body: Vec<u8>,
    chunks: usize,
    announced: u64,
}

#[derive(Debug, Default)]
struct Recorder {
    open: Option<Seen>,
    messages: Vec<Seen>,
}

impl Sink for Recorder {
    fn begin(&mut self, fields: &Fields, body_bytes: u64) -> Result<()> {
        assert!(self.open.is_none(), "begin twice");
        self.open = Some(Seen { header: fields.header.clone(), announced: body_bytes, ..Seen::default() });
        Ok(())
    }

    fn body(&mut self, chunk: Bytes) -> Result<()> {
        let seen = self.open.as_mut().expect("begin first");
        seen.body.extend_from_slice(&chunk);
        seen.chunks += 1;
        Ok(())
    }

    fn end(&mut self, fields: &Fields) -> Result<()> {
        let seen = self.open.take().expect("begin first");
        assert_eq!(seen.announced, seen.body.len() as u64);
        self.messages.push(Seen { descriptor: fields.descriptor.clone(), metadata: fields.metadata.clone(), ..seen });
        Ok(())
    }
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: ByteSize::mib(1),
        header_bytes_max: ByteSize::kib(4),
        metadata_bytes_max: limits::COMMAND_BYTES_MAX,
        body_bytes_max: ByteSize::mib(1),
        hint: "send less",
    }
}

fn grpc(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(payload.len() as u32);
    out.put_slice(payload);
    out.freeze()
}

fn field(tag: u64, value: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, tag);
    put_varint(&mut out, value.len() as u64);
    out.put_slice(value);
    out.to_vec()
}

/// Feeds the bytes in chunks of each of several sizes, which must make no difference but in the chunks of bodies.
fn read(bytes: &Bytes) -> Result<Vec<Seen>> {
    let read_in = |size: usize| -> Result<Vec<Seen>> {
        let (mut parser, mut sink) = (Parser::new(limits()), Recorder::default());
        for chunk in bytes.chunks(size) {
            parser.feed(bytes.slice_ref(chunk), &mut sink)?;
        }
        parser.finish()?;
        sink.messages.iter_mut().for_each(|seen| seen.chunks = 0);
        Ok(sink.messages)
    };
    let whole = read_in(usize::MAX);
    for size in [1, 2, 3, 7, 64] {
        match (&whole, read_in(size)) {
            (Ok(whole), Ok(parts)) => assert_eq!(whole, &parts, "in chunks of {size}"),
            (Err(whole), Err(parts)) => assert_eq!(whole.to_string(), parts.to_string(), "in chunks of {size}"),
            (whole, parts) => panic!("whole {whole:?}, in chunks of {size} {parts:?}"),
        }
    }
    whole
}

#[test]
fn reads_what_a_stock_encoder_writes() {
    let descriptor = FlightDescriptor::new_path(vec!["prices".into()]);
    let schema = FlightData::new().with_descriptor(descriptor.clone()).with_data_header(&b"schema"[..]);
    let batch = FlightData::new().with_data_header(&b"batch"[..]).with_app_metadata(&b"{}"[..]);
    let batch = batch.with_data_body(vec![7; 1000]);
    let empty = FlightData::new();
    let bytes: Vec<u8> = [&schema, &batch, &empty].iter().flat_map(|data| grpc(&data.encode_to_vec())).collect();

    let seen = read(&bytes.into()).expect("valid");
    let [first, second, third] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(first.descriptor.as_deref(), Some(&descriptor.encode_to_vec()[..]));
    assert_eq!((&first.header[..], first.announced), (&b"schema"[..], 0));
    assert_eq!((&second.header[..], second.announced, &second.descriptor), (&b"batch"[..], 1000, &None));
    assert_eq!((&second.body[..], second.metadata.as_deref()), (&[7; 1000][..], Some(&b"{}"[..])));
    assert_eq!(third, &Seen::default());
}

#[test]
fn a_body_is_handed_on_as_it_comes() {
    let payload = [field(TAG_HEADER, b"h"), field(TAG_BODY, &[7; 300])].concat();
    let bytes = grpc(&payload);
    let (mut parser, mut sink) = (Parser::new(limits()), Recorder::default());
    parser.feed(bytes.slice(..100), &mut sink).expect("valid");
    let open = sink.open.as_ref().expect("handed on before the message ends");
    assert_eq!((open.announced, open.chunks), (300, 1));
    parser.feed(bytes.slice(100..), &mut sink).expect("valid");
    assert_eq!(sink.messages[0].chunks, 2);
}

#[test]
fn fields_come_in_any_order_and_the_last_one_counts() {
    let header = field(TAG_HEADER, b"header");
    let body = field(TAG_BODY, b"body");
    let expected = [Seen { header: "header".into(), body: b"body".into(), announced: 4, ..Seen::default() }];
    for payload in [
        [header.clone(), body.clone()].concat(),
        [body.clone(), header.clone()].concat(),
        [body.clone(), field(TAG_HEADER, b"old"), header.clone()].concat(),
        [field(TAG_HEADER, b"old"), header.clone(), body.clone()].concat(),
        [field(TAG_BODY, b"old"), body.clone(), header.clone()].concat(),
    ] {
        assert_eq!(read(&grpc(&payload)).expect("legal"), expected, "{payload:?}");
    }
    let late = [header.clone(), body.clone(), field(TAG_DESCRIPTOR, b"d"), field(TAG_METADATA, b"m")].concat();
    let late = read(&grpc(&late)).expect("legal").remove(0);
    assert_eq!((late.descriptor.as_deref(), late.metadata.as_deref()), (Some(&b"d"[..]), Some(&b"m"[..])));
    for payload in [[&header[..], &body, &body].concat(), [&header[..], &body, &header].concat()] {
        assert_eq!(read(&grpc(&payload)).expect_err("handed on").code(), codes::MESSAGE_INVALID);
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let unknown = [
        vec![0x20, 0xFF, 0x01],                       // field 4, varint
        vec![0x29, 1, 2, 3, 4, 5, 6, 7, 8],           // field 5, 8 bytes
        vec![0x35, 1, 2, 3, 4],                       // field 6, 4 bytes
        field(7 << 3 | 2, &[0; 200]),                 // field 7, bytes
        field((1 << 28) << 3 | 2, b"a large number"), // the largest field number but one bit
    ];
    for position in 0..3 {
        let mut parts = vec![field(TAG_HEADER, b"h"), field(TAG_BODY, b"b")];
        parts.insert(position, unknown.concat());
        let seen = read(&grpc(&parts.concat())).expect("legal");
        assert_eq!((&seen[0].header[..], &seen[0].body[..]), (&b"h"[..], &b"b"[..]), "at {position}");
    }
}

#[test]
fn malformed_messages_are_refused() {
    let long_varint = [&[0xFF; 9][..], &[0x02]].concat();
    for (name, bytes) in [
        ("a flag of 2", Bytes::from_static(&[2, 0, 0, 0, 0])),
        ("compressed without an encoding", Bytes::from_static(&[1, 0, 0, 0, 0])),
        ("field 0", grpc(&[0x02, 0])),
        ("a group", grpc(&[0x23, 0])),
        ("the end of a group", grpc(&[0x24, 0])),
        ("wire type 7", grpc(&[0x27, 0])),
        ("data_header as a varint", grpc(&[0x10, 1])),
        ("data_body as fixed", grpc(&[0xC5, 0x3E, 0, 0, 0, 0])),
        ("a tag of 33 bits", grpc(&[0x82, 0x80, 0x80, 0x80, 0x10, 0])),
        ("a varint of 65 bits", grpc(&[&[0x20][..], &long_varint].concat())),
        ("a length of 65 bits", grpc(&[&[0x12][..], &long_varint].concat())),
        ("a field beyond the message", grpc(&[0x12, 5, 1])),
        ("a field of 2^63 bytes", grpc(&[&[0x12][..], &[0xFF; 8], &[0x7F]].concat())),
        ("8 bytes beyond the message", grpc(&[0x29, 1])),
        ("an end inside a tag", grpc(&[0x82])),
        ("an end inside a length", grpc(&[0x12])),
        ("an end inside a length of two bytes", grpc(&[0x12, 0x80])),
        ("an end inside a varint", grpc(&[0x20])),
        ("an end inside a prefix", Bytes::from_static(&[0, 0])),
        ("an end inside a message", Bytes::from_static(&[0, 0, 0, 0, 9, 0x12, 7])),
        ("an end before a message", Bytes::from_static(&[0, 0, 0, 0, 9])),
    ] {
        let error = read(&bytes).expect_err(name);
        assert_eq!(error.code(), codes::MESSAGE_INVALID, "{name}: {error}");
    }
}

#[test]
fn g1_a_message_over_the_limit_is_refused_by_its_prefix_alone() {
    let max = limits().message_bytes_max.as_u64() as u32;
    let (mut parser, mut sink) = (Parser::new(limits()), Recorder::default());
    let mut prefix = BytesMut::new();
    prefix.put_u8(0);
    prefix.put_u32(max);
    parser.feed(prefix.freeze(), &mut sink).expect("at the limit");
    for length in [max + 1, u32::MAX] {
        let mut prefix = BytesMut::new();
        prefix.put_u8(0);
        prefix.put_u32(length);
        let error = read(&prefix.freeze()).expect_err("over the limit");
        assert_eq!(error.code(), codes::LIMIT_EXCEEDED);
        assert!(error.message().contains(&length.to_string()), "{error}");
        assert!(error.message().contains(&max.to_string()), "{error}");
        assert_eq!(error.hint_text(), Some("send less"));
    }
}

#[test]
fn g12_small_fields_have_small_limits() {
    for (tag, max) in [
        (TAG_HEADER, limits().header_bytes_max.as_usize()),
        (TAG_METADATA, limits::COMMAND_BYTES_MAX.as_usize()),
        (TAG_DESCRIPTOR, limits::COMMAND_BYTES_MAX.as_usize() + 1024),
    ] {
        let header = field(TAG_HEADER, b"h");
        read(&grpc(&[&field(tag, &vec![0; max])[..], &header].concat())).expect("at the limit");
        let error = read(&grpc(&field(tag, &vec![0; max + 1]))).expect_err("over the limit");
        assert_eq!(error.code(), codes::LIMIT_EXCEEDED);
    }
}

#[test]
fn memory_grows_with_what_arrived() {
    // A body before its header, announced with a megabyte of which ten bytes come.
    let mut payload = BytesMut::new();
    put_varint(&mut payload, TAG_BODY);
    put_varint(&mut payload, 1_000_000);
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(1_000_000 + payload.len() as u32);
    bytes.extend_from_slice(&payload);
    bytes.put_bytes(1, 10);
    let (mut parser, mut sink) = (Parser::new(limits()), Recorder::default());
    parser.feed(bytes.freeze(), &mut sink).expect("valid so far");
    let State::Value { partial, .. } = &parser.state else { panic!("inside the body") };
    assert!(partial.capacity() < 1024, "{}", partial.capacity());
}
