//! Bounds of requests.

use airlane_model::ByteSize;
use bytes::Bytes;
use tonic::Code;

use super::harness::*;
use super::raw::*;
use super::tables::*;

const BODY_BYTES_MAX: u64 = 4 << 20;
const TENTH_OF_MIB: u64 = (1 << 20) / 10;

async fn limited() -> TestServer {
    TestServer::start_with(|store, _| store.limits.body_bytes_max = ByteSize::bytes(BODY_BYTES_MAX)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_a_message_below_the_limit_passes_and_one_above_is_refused() {
    let server = limited().await;
    for (encoding, mut client) in server.clients().await {
        // A single batch is one message of a stock encoder only up to its own target; larger ones are put by hand.
        let put_of = async |client: &mut Client, body_bytes: u64| {
            put_messages(client, futures::stream::iter(one_message("t", body_bytes))).await
        };
        let below = put_of(&mut client, BODY_BYTES_MAX - TENTH_OF_MIB).await.expect("below the limit");
        assert_eq!(below.bytes, ((BODY_BYTES_MAX - TENTH_OF_MIB) / 8 * 8).next_multiple_of(64), "{encoding}");
        let size = BODY_BYTES_MAX + TENTH_OF_MIB;
        let status = put_of(&mut client, size).await.expect_err("above the limit");
        assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "limit_exceeded"), "{encoding}");
        let named = if encoding == "identity" { ["4 MiB", "4.1 MiB"] } else { ["4194304 bytes", "message"] };
        assert!(named.iter().all(|text| status.message().contains(text)), "{encoding}: {status}");
    }
}

/// A put of one batch of bytes whose body is one message.
fn one_message(name: &str, body_bytes: u64) -> Vec<arrow_flight::FlightData> {
    let rows = body_bytes as usize / 8;
    let batch = numbers(0, rows);
    let options = arrow_ipc::writer::IpcWriteOptions::default();
    let mut tracker = arrow_ipc::writer::DictionaryTracker::new(false);
    let generator = arrow_ipc::writer::IpcDataGenerator::default();
    let schema: arrow_flight::FlightData = arrow_flight::SchemaAsIpc::new(&batch.schema(), &options).into();
    let mut context = arrow_ipc::writer::IpcWriteContext::default();
    let (_, message) = generator.encode(&batch, &mut tracker, &options, &mut context).expect("encoded");
    let batch = arrow_flight::FlightData::from(message);
    assert_eq!(batch.data_body.len(), (rows * 8).next_multiple_of(64));
    vec![schema.with_descriptor(by_path(name)), batch]
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_a_claim_of_4_gib_costs_nothing() {
    let server = TestServer::start().await;
    let line = Line::connect(&server).await;
    let schema = grpc_of(&encoded("t", &[numbers(0, 5)]).await[0]);
    for before in [Bytes::new(), schema] {
        let mut call = line.call(DO_PUT, &[]).await;
        call.send(before);
        call.send(Bytes::from_static(&[0, 0xFF, 0xFF, 0xFF, 0xFF]));
        // Nothing more comes, and the answer does not wait for it.
        let (status, _) = call.answer().await;
        assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "limit_exceeded"), "{status}");
        assert!(status.message().contains("4294967295"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_long_headers_paths_commands_and_metadata_are_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let batch = numbers(0, 5);
    let put_with = async |client: &mut Client, descriptor: arrow_flight::FlightDescriptor| {
        put_messages(client, encode(descriptor, batch.schema(), vec![batch.clone()])).await
    };
    put_with(&mut client, by_path(&"x".repeat(255))).await.expect("255 bytes");
    let parts = |count: usize| arrow_flight::FlightDescriptor::new_path(vec!["p".into(); count]);
    put_with(&mut client, parts(8)).await.expect("8 parts");
    let padded = |bytes: usize| {
        let json = "{\"path\":\"t\"}";
        arrow_flight::FlightDescriptor::new_cmd(format!("{json}{}", " ".repeat(bytes - json.len())))
    };
    put_with(&mut client, padded(64 << 10)).await.expect("64 KiB");
    for (descriptor, code) in [
        (by_path(&"x".repeat(256)), "table_name_invalid"),
        (parts(9), "table_name_invalid"),
        (padded((64 << 10) + 1), "limit_exceeded"),
        (padded(1 << 20), "limit_exceeded"),
    ] {
        let status = put_with(&mut client, descriptor).await.expect_err(code);
        assert_eq!(code_name(&status), code, "{status}");
    }

    let mut messages = encoded("t", std::slice::from_ref(&batch)).await;
    messages[1].app_metadata = vec![0; 64 << 10].into();
    put_messages(&mut client, futures::stream::iter(messages.clone())).await.expect("64 KiB of metadata");
    messages[1].app_metadata = vec![0; (64 << 10) + 1].into();
    let status = put_messages(&mut client, futures::stream::iter(messages)).await.expect_err("more metadata");
    assert_eq!(code_name(&status), "limit_exceeded", "{status}");
    get(&mut server.client().await, "t").await.expect("the server goes on");
}

/// What a read of `t` is answered, as a call of one of the ways through the door.
async fn read_with(line: &Line, method: &str, encoding: &str, headers: &[(&str, &str)]) -> Call {
    let headers = [&[("grpc-encoding", encoding)][..], headers].concat();
    let mut call = line.call(method, &headers).await;
    match method {
        "GetFlightInfo" => call.send(grpc_of(&by_path("t"))),
        _ => call.send(grpc_of(&arrow_flight::Ticket::new("t"))),
    }
    call.end();
    call
}

async fn g12_one_header(address: &str, bytes_max: usize) {
    put(&mut client_of(address).await, "t", &[numbers(0, 5)]).await.expect("a table");
    const NAME: &str = "x-long";
    let line = Line::to(address).await;
    for (method, encoding) in [("DoGet", "identity"), ("DoGet", "gzip"), ("GetFlightInfo", "identity")] {
        let read = async |bytes: usize| {
            let value = "x".repeat(bytes - NAME.len());
            read_with(&line, method, encoding, &[(NAME, &value)]).await.answer().await
        };
        for bytes in [bytes_max - 1, bytes_max] {
            let (status, data) = read(bytes).await;
            assert_eq!(status.code(), Code::Ok, "{method}, {bytes} of {bytes_max} bytes: {status}");
            assert!(!data.is_empty());
        }
        let (status, _) = read(bytes_max + 1).await;
        assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "limit_exceeded"), "{status}");
        let sizes = [format!("{} bytes", bytes_max + 1), format!("the most is {bytes_max} ")];
        for text in [NAME, &sizes[0], &sizes[1], "hint:", "`header_bytes_max`"] {
            assert!(status.message().contains(text), "{method}: {text} in {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_a_header_above_the_limit_is_refused_by_name() {
    let server = TestServer::start().await;
    g12_one_header(&server.address(), 8 << 10).await;
    let server = TestServer::start_with(|_, options| options.header_bytes_max = ByteSize::bytes(1000)).await;
    g12_one_header(&server.address(), 1000).await;
}

/// The filling that gives the headers of [`read_with`] a size, as HTTP/2 counts it: in two headers, so that neither is
/// too large.
fn filling(list_bytes: usize) -> [String; 2] {
    let sent = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/arrow.flight.protocol.FlightService/DoGet"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-encoding", "identity"),
        ("x-a", ""),
        ("x-b", ""),
    ];
    let overhead: usize = sent.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    let left = list_bytes - overhead;
    ["x".repeat(left / 2), "x".repeat(left - left / 2)]
}

async fn g12_all_headers(address: &str, bytes_max: usize) {
    put(&mut client_of(address).await, "t", &[numbers(0, 5)]).await.expect("a table");
    let line = Line::to(address).await;
    let read = async |bytes: usize| {
        let [a, b] = filling(bytes);
        read_with(&line, "DoGet", "identity", &[("x-a", &a), ("x-b", &b)]).await.http_status().await
    };
    assert_eq!(read(bytes_max - 1).await.expect("an answer"), 200);
    // The library refuses what reaches its limit, before any of our code sees it.
    for bytes in [bytes_max, bytes_max + 1, 3 * bytes_max] {
        assert_eq!(read(bytes).await.expect("an answer"), 431, "{bytes} of {bytes_max} bytes");
    }
    assert_eq!(read(bytes_max - 1).await.expect("the connection goes on"), 200);
    // Nor does it go on with a client that sends many times as much.
    let error = read(5 * bytes_max).await.expect_err("the connection ends");
    assert!(error.is_go_away() || error.is_io(), "{error}");
    get(&mut client_of(address).await, "t").await.expect("the server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_a_list_of_headers_at_the_limit_is_refused_by_http_2() {
    let server = TestServer::start().await;
    g12_all_headers(&server.address(), 16 << 10).await;
    let server = TestServer::start_with(|_, options| options.header_list_bytes_max = ByteSize::kib(4)).await;
    g12_all_headers(&server.address(), 4 << 10).await;
}

/// The settings reach the doors by the way that users set them.
#[tokio::test(flavor = "multi_thread")]
async fn g1_g12_the_limits_are_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_airlane"));
    let flags = ["--body-bytes-max", "4MiB", "--header-bytes-max", "2KiB", "--header-list-bytes-max", "5KiB"];
    let server = airlane_testkit::ServerProcess::start(binary, &folder.path().join("data"), flags);
    let address = format!("127.0.0.1:{}", server.port());
    g12_one_header(&address, 2 << 10).await;
    g12_all_headers(&address, 5 << 10).await;

    let mut client = client_of(&address).await;
    let put_of = async |client: &mut Client, body_bytes: u64| {
        put_messages(client, futures::stream::iter(one_message("t", body_bytes))).await
    };
    put_of(&mut client, BODY_BYTES_MAX).await.expect("at the limit");
    let status = put_of(&mut client, BODY_BYTES_MAX + 64).await.expect_err("above the limit");
    assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "limit_exceeded"), "{status}");
    for text in ["4194368 bytes", "the limit of 4 MiB", "`body_bytes_max`"] {
        assert!(status.message().contains(text), "{text} in {status}");
    }
}
