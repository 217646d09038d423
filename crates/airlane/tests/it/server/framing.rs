//! Frames that no library sends.

use bytes::{Bytes, BytesMut};
use tonic::Code;

use super::harness::*;
use super::raw::*;
use super::tables::*;

/// A put of one batch, as the bytes that a client sends.
async fn put_bytes(name: &str) -> Bytes {
    let messages = encoded(name, &[numbers(0, 1_000)]).await;
    messages
        .iter()
        .map(grpc_of)
        .fold(BytesMut::new(), |mut bytes, message| {
            bytes.extend_from_slice(&message);
            bytes
        })
        .freeze()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_may_be_cut_anywhere() {
    let server = TestServer::start().await;
    let line = Line::connect(&server).await;
    let bytes = put_bytes("t").await;
    for chunk_bytes in [1, 4, 5, 6, 63, 4096] {
        let mut call = line.call(DO_PUT, &[]).await;
        // The first messages byte by byte would do; all of them cost little more.
        bytes.chunks(chunk_bytes).for_each(|chunk| call.send(bytes.slice_ref(chunk)));
        call.end();
        let (status, receipt) = call.answer().await;
        assert_eq!(status.code(), Code::Ok, "in chunks of {chunk_bytes}: {status}");
        assert!(receipt.len() > 5, "a receipt");
    }
    assert_eq!(get(&mut server.client().await, "t").await.expect("a table").1[0].num_rows(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_framing_ends_in_a_clear_error() {
    let server = TestServer::start().await;
    let line = Line::connect(&server).await;
    let put = put_bytes("t").await;
    let cut = |bytes: &Bytes, end: usize| bytes.slice(..end);
    let with_flag = |flag: u8| {
        let mut bytes = BytesMut::from(&put[..]);
        bytes[0] = flag;
        bytes.freeze()
    };
    let ticket = |text: &str| grpc_of(&arrow_flight::Ticket::new(text.to_owned()));
    for (name, method, bytes, code) in [
        ("nothing", DO_PUT, Bytes::new(), "message_order_invalid"),
        ("half a prefix", DO_PUT, cut(&put, 3), "message_invalid"),
        ("a prefix alone", DO_PUT, cut(&put, 5), "message_invalid"),
        ("half a schema", DO_PUT, cut(&put, 50), "message_invalid"),
        ("half a batch", DO_PUT, cut(&put, put.len() - 100), "message_invalid"),
        ("compressed without an encoding", DO_PUT, with_flag(1), "message_invalid"),
        ("a flag of 9", DO_PUT, with_flag(9), "message_invalid"),
        ("a group", DO_PUT, grpc(&[0x23, 0]), "message_invalid"),
        ("a field beyond its message", DO_PUT, grpc(&[0x12, 5, 1]), "message_invalid"),
        ("a descriptor that is none", DO_PUT, grpc(&[0x0A, 1, 0xFF, 0x12, 1, 0]), "descriptor_invalid"),
        ("a body of 2^62 bytes", DO_PUT, grpc(&[&[0xC2, 0x3E][..], &[0xFF; 8], &[0x3F]].concat()), "message_invalid"),
        ("nothing", DO_GET, Bytes::new(), "message_invalid"),
        ("half a prefix", DO_GET, ticket("t").slice(..2), "message_invalid"),
        ("half a ticket", DO_GET, ticket("t").slice(..6), "message_invalid"),
        ("a ticket that is none", DO_GET, grpc(&[0xFF]), "message_invalid"),
        ("a ticket of 4 GiB", DO_GET, Bytes::from_static(&[0, 0xFF, 0xFF, 0xFF, 0xFF]), "limit_exceeded"),
        ("a compressed ticket", DO_GET, Bytes::from_static(&[1, 0, 0, 0, 0]), "message_invalid"),
    ] {
        let mut call = line.call(method, &[]).await;
        call.send(bytes);
        call.end();
        let (status, data) = call.answer().await;
        assert_eq!(code_name(&status), code, "{method} of {name}: {status}");
        assert_eq!(data, "", "{method} of {name}");
    }
    assert_eq!(server.tables(), [""; 0]);
    let mut call = line.call(DO_PUT, &[]).await;
    call.send(put);
    call.end();
    assert_eq!(call.answer().await.0.code(), Code::Ok, "the line goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_encodings_and_timeouts_are_named() {
    let server = TestServer::start().await;
    let line = Line::connect(&server).await;
    for (method, headers, code, text) in [
        ("DoMagic", &[][..], Code::Unimplemented, "DoMagic"),
        (DO_PUT, &[("grpc-encoding", "snappy")], Code::Unimplemented, "snappy"),
        (DO_GET, &[("grpc-timeout", "soon")], Code::InvalidArgument, "grpc-timeout"),
    ] {
        let mut call = line.call(method, headers).await;
        call.end();
        let (status, _) = call.answer().await;
        assert_eq!(status.code(), code, "{method}: {status}");
        assert!(status.message().contains(text), "{method}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_begin_at_a_multiple_of_64_from_their_message() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[kinds(50_000)]).await.expect("a table");
    let line = Line::connect(&server).await;
    let mut call = line.call(DO_GET, &[]).await;
    call.send(grpc_of(&arrow_flight::Ticket::new("t")));
    call.end();
    let (status, data) = call.answer().await;
    assert_eq!(status.code(), Code::Ok, "{status}");
    let (mut rest, mut bodies) = (data, 0);
    while rest.len() >= 5 {
        let prefix = rest.split_to(5);
        let payload = rest.split_to(u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize);
        let message: arrow_flight::FlightData = prost::Message::decode(payload.clone()).expect("a message");
        if !message.data_body.is_empty() {
            bodies += 1;
            assert_eq!((message.data_body.as_ptr() as usize - payload.as_ptr() as usize) % 64, 0);
        }
    }
    assert!(rest.is_empty() && bodies > 3, "{bodies} bodies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_ten_rows_is_one_data_frame() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[kinds(10)]).await.expect("a table");
    let line = Line::connect(&server).await;
    let mut call = line.call(DO_GET, &[]).await;
    call.send(grpc_of(&arrow_flight::Ticket::new("t")));
    call.end();
    let mut body = call.stall().await;
    let first = body.data().await.expect("data").expect("data");
    body.flow_control().release_capacity(first.len()).expect("capacity");
    assert!(body.data().await.is_none(), "schema, dictionary and batch come together");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline() {
    let server = TestServer::start().await;
    let line = Line::connect(&server).await;
    let bytes = put_bytes("t").await;
    // Before and after the schema, and on tonic's way.
    for (sent, headers) in [
        (0, &[("grpc-timeout", "50m")][..]),
        (bytes.len() - 10, &[("grpc-timeout", "50m")]),
        (0, &[("grpc-timeout", "50m"), ("grpc-encoding", "gzip")]),
    ] {
        let mut call = line.call(DO_PUT, headers).await;
        call.send(bytes.slice(..sent));
        let (status, _) = call.answer().await;
        assert_eq!((status.code(), code_name(&status)), (Code::DeadlineExceeded, "deadline_exceeded"), "{sent}");
    }
    assert_eq!(server.tables(), [""; 0], "nothing is left");
}
