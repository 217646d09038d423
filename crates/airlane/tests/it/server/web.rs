//! gRPC-web, over HTTP/1.1 and HTTP/2: the same answers as in gRPC, whatever the call is.

use arrow_flight::{Action, Criteria, Empty, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::harness::*;
use super::raw::{Line, data_of, grpc_of};
use super::tables::*;
use super::vanish::{held, unfinished_put};

/// What a call answers: its status, and the messages before it with their prefixes.
type Answer = (Status, Bytes);

#[derive(Clone, Copy, Debug)]
enum Version {
    Http1,
    Http2,
}

/// A call by gRPC-web, in a content type of its own.
async fn call(
    server: &TestServer,
    version: Version,
    content_type: &str,
    (method, body, headers): (&str, &[u8], &[(&str, &str)]),
) -> Answer {
    let is_text = content_type.contains("text");
    let body: Bytes = if is_text { BASE64.encode(body).into() } else { Bytes::copy_from_slice(body) };
    let headers = [headers, &[("content-type", content_type), ("accept", content_type)]].concat();
    let (head, data) = match version {
        Version::Http1 => call_by_http_1(server, method, &body, &headers).await,
        Version::Http2 => call_by_http_2(server, method, body, &headers).await,
    };
    let proto = if is_text { "application/grpc-web-text+proto" } else { "application/grpc-web+proto" };
    assert_eq!(head["content-type"], proto);
    assert!(!head.keys().any(|name| name.as_str().starts_with("access-control-")), "no CORS: {head:?}");
    answer_of(&head, if is_text { decode_text(&data) } else { data })
}

async fn call_by_http_1(
    server: &TestServer,
    method: &str,
    body: &[u8],
    headers: &[(&str, &str)],
) -> (HeaderMap, Bytes) {
    let mut tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let mut request = format!("POST /arrow.flight.protocol.FlightService/{method} HTTP/1.1\r\n");
    request += "host: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n";
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    let mut request = BytesMut::from(format!("{request}\r\n").as_bytes());
    // In two chunks, cut anywhere.
    let (first, second) = body.split_at(body.len() / 3);
    for chunk in [first, second].into_iter().filter(|chunk| !chunk.is_empty()) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    tcp.write_all(&request).await.expect("sent");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let mut data = Bytes::from(answer);
    let head = data.split_to(end + 4);
    let mut lines = std::str::from_utf8(&head).expect("text").lines();
    assert_eq!(lines.next(), Some("HTTP/1.1 200 OK"));
    let head: HeaderMap = lines.filter_map(|line| field(line, ": ")).collect();
    let is_chunked = head.get("transfer-encoding").is_some_and(|value| value == "chunked");
    (head, if is_chunked { without_chunks(data) } else { data })
}

async fn call_by_http_2(
    server: &TestServer,
    method: &str,
    body: Bytes,
    headers: &[(&str, &str)],
) -> (HeaderMap, Bytes) {
    let tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    let task = tokio::spawn(async move { drop(connection.await) });
    let mut request = http::Request::post(format!("http://localhost/arrow.flight.protocol.FlightService/{method}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut stream) = sender.send_request(request.body(()).expect("a request"), false).expect("sent");
    stream.send_data(body, true).expect("sent");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), 200);
    let (head, mut body) = response.into_parts();
    let data = data_of(&mut body).await;
    assert_eq!(body.trailers().await.expect("an end"), None, "the trailers are in the body");
    task.abort();
    (head.headers, data)
}

fn field(line: &str, separator: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(separator)?;
    Some((name.parse().expect("a name"), value.trim().parse().expect("a value")))
}

fn without_chunks(mut bytes: Bytes) -> Bytes {
    let mut data = BytesMut::new();
    loop {
        let end = bytes.windows(2).position(|bytes| bytes == b"\r\n").expect("the length of a chunk");
        let line = bytes.split_to(end + 2);
        let text = std::str::from_utf8(&line[..end]).expect("text");
        let length = usize::from_str_radix(text, 16).expect("a number");
        data.extend_from_slice(&bytes.split_to(length));
        bytes.advance(2);
        if length == 0 {
            return data.freeze();
        }
    }
}

/// Base64 in pieces, each with an end of its own.
fn decode_text(data: &[u8]) -> Bytes {
    data.chunks(4).flat_map(|four| BASE64.decode(four).expect("base64")).collect()
}

fn answer_of(head: &HeaderMap, data: Bytes) -> Answer {
    let (mut rest, mut messages) = (data, BytesMut::new());
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[1..5].try_into().expect("four bytes")) as usize;
        let flag = rest[0];
        let frame = rest.split_to(5 + length);
        match flag {
            0 => messages.extend_from_slice(&frame),
            0x80 => {
                assert!(rest.is_empty(), "the trailers come last");
                let lines = std::str::from_utf8(&frame[5..]).expect("text").lines();
                let trailers: HeaderMap = lines.filter_map(|line| field(line, ":")).collect();
                return (Status::from_header_map(&trailers).expect("a status"), messages.freeze());
            }
            flag => panic!("a frame with flag {flag}"),
        }
    }
    (Status::from_header_map(head).expect("an answer without a body has its status in its head"), messages.freeze())
}

const WAYS: [(Version, &str); 8] = [
    (Version::Http1, "application/grpc-web"),
    (Version::Http1, "application/grpc-web+proto"),
    (Version::Http1, "application/grpc-web-text"),
    (Version::Http1, "application/grpc-web-text+proto"),
    (Version::Http2, "application/grpc-web"),
    (Version::Http2, "application/grpc-web+proto"),
    (Version::Http2, "application/grpc-web-text"),
    (Version::Http2, "application/grpc-web-text+proto"),
];

fn action(name: &str, body: &str) -> Bytes {
    grpc_of(&Action { r#type: name.into(), body: body.as_bytes().to_vec().into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_answers_as_in_grpc() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "large", &[kinds(50_000)]).await.expect("a table");
    put(&mut client, "small", &[kinds(10)]).await.expect("a table");
    let line = Line::connect(&server).await;
    let ticket = |text: &str| grpc_of(&Ticket::new(text.to_owned()));
    let compressed: &[(&str, &str)] = &[("airlane-compression", "zstd")];
    for (method, request, headers, code) in [
        ("DoGet", ticket("large"), &[][..], Code::Ok),
        ("DoGet", ticket("large?rows=17-34567"), compressed, Code::Ok),
        ("DoGet", ticket("small"), &[], Code::Ok),
        ("DoGet", ticket("no_such_table"), &[], Code::NotFound),
        ("DoGet", ticket("../x"), &[], Code::InvalidArgument),
        ("DoGet", ticket("small"), &[("airlane-compression", "gzip")], Code::InvalidArgument),
        ("DoGet", ticket("small").slice(..7), &[], Code::InvalidArgument),
        ("DoGet", ticket("small"), &[("grpc-timeout", "soon")], Code::InvalidArgument),
        ("GetFlightInfo", grpc_of(&by_path("large")), &[], Code::Ok),
        ("GetFlightInfo", grpc_of(&by_path("no_such_table")), &[], Code::NotFound),
        ("PollFlightInfo", grpc_of(&by_path("small")), &[], Code::Ok),
        ("GetSchema", grpc_of(&by_path("small")), &[], Code::Ok),
        ("ListFlights", grpc_of(&Criteria::default()), &[], Code::Ok),
        ("ListActions", grpc_of(&Empty {}), &[], Code::Ok),
        ("DoAction", action("describe", "small"), &[], Code::Ok),
        ("DoAction", action("truncate", "small"), &[], Code::InvalidArgument),
        ("Handshake", Bytes::new(), &[], Code::Unimplemented),
        ("DoMagic", grpc_of(&Empty {}), &[], Code::Unimplemented),
    ] {
        let mut expected = line.call(method, headers).await;
        expected.send(request.clone());
        expected.end();
        let (expected, messages) = expected.answer().await;
        assert_eq!(expected.code(), code, "{method}: {expected}");
        for (version, content_type) in WAYS {
            let name = format!("{method} over {version:?} as {content_type}");
            let (status, data) = call(&server, version, content_type, (method, &request, headers)).await;
            assert_eq!((status.code(), status.message()), (code, expected.message()), "{name}");
            assert_eq!((status.details(), code_name(&status)), (expected.details(), code_name(&expected)), "{name}");
            assert!(data == messages, "{name}: {} bytes instead of {}", data.len(), messages.len());
        }
    }
}

/// There is no stream of requests, but one request may hold all messages of a put.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_in_one_request_is_taken_whole_or_not_at_all() {
    let server = TestServer::start().await;
    let batch = kinds(1_000);
    for (index, (version, content_type)) in WAYS.into_iter().enumerate() {
        let name = format!("t{index}");
        let messages = encoded(&name, std::slice::from_ref(&batch)).await;
        let body: Vec<u8> = messages.iter().flat_map(grpc_of).collect();
        let cut = &body[..body.len() - 7];
        let (status, _) = call(&server, version, content_type, ("DoPut", cut, &[])).await;
        assert_eq!(code_name(&status), "message_invalid", "{version:?} as {content_type}: {status}");
        assert_eq!(server.tables().len(), index, "nothing is left");
        let (status, receipt) = call(&server, version, content_type, ("DoPut", &body, &[])).await;
        assert_eq!(status.code(), Code::Ok, "{version:?} as {content_type}: {status}");
        let receipt = arrow_flight::PutResult::decode(&receipt[5..]).expect("a result");
        let receipt: serde_json::Value = serde_json::from_slice(&receipt.app_metadata).expect("a receipt");
        assert_eq!((&receipt["table"], &receipt["rows"]), (&name.clone().into(), &1_000.into()));
        let (schema, read) = get(&mut server.client().await, &name).await.expect("a table");
        assert_eq!(joined(&schema, &read), batch);
    }
}

/// A client that goes away has not ended its put, whatever the library below makes of it.
#[tokio::test(flavor = "multi_thread")]
async fn d1_a_put_whose_client_goes_away_leaves_nothing() {
    let server = TestServer::start().await;
    let body = unfinished_put("broken").await;
    let uri = "/arrow.flight.protocol.FlightService/DoPut";

    let mut tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let more = body.len() + 1;
    let head = format!(
        "POST {uri} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web\r\ncontent-length: {more}\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.expect("sent");
    tcp.write_all(&body).await.expect("sent");
    eventually("the put arrives", || !held(&server).is_empty()).await;
    drop(tcp);
    eventually("HTTP/1.1: nothing is held", || held(&server).is_empty()).await;
    assert_eq!(server.tables(), [""; 0]);

    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL] {
        let tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
        let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
        let task = tokio::spawn(async move { drop(connection.await) });
        let request = http::Request::post(format!("http://localhost{uri}"));
        let request = request.header("content-type", "application/grpc-web").body(()).expect("a request");
        let (response, mut stream) = sender.send_request(request, false).expect("sent");
        stream.send_data(body.clone(), false).expect("sent");
        eventually("the put arrives", || !held(&server).is_empty()).await;
        stream.send_reset(reason);
        eventually(&format!("{reason:?}: nothing is held"), || held(&server).is_empty()).await;
        assert_eq!(server.tables(), [""; 0], "{reason:?}");
        drop(response);
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_base64_is_refused_and_other_methods_are_not_allowed() {
    let server = TestServer::start().await;
    let text = "application/grpc-web-text";
    for (method, body) in [("DoGet", &b"*not base64*"[..]), ("DoPut", b"AAAA*AAA"), ("ListActions", b"AAAAAAA")] {
        let headers = [("content-type", text), ("accept", text)];
        for by_http_2 in [false, true] {
            let (head, data) = match by_http_2 {
                true => call_by_http_2(&server, method, Bytes::copy_from_slice(body), &headers).await,
                false => call_by_http_1(&server, method, body, &headers).await,
            };
            let (status, _) = answer_of(&head, decode_text(&data));
            assert_eq!(code_name(&status), "message_invalid", "{method}, {by_http_2}: {status}");
            assert_eq!(status.code(), Code::InvalidArgument, "{method}: {status}");
        }
    }
    let mut tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let request = "GET /arrow.flight.protocol.FlightService/DoGet HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/grpc-web\r\nconnection: close\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
