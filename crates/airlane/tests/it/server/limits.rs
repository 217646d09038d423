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

    for (bytes, is_taken) in [(15 << 10, true), (17 << 10, false)] {
        let mut request = tonic::Request::new(arrow_flight::Ticket::new("t"));
        request.metadata_mut().insert("x-long", "x".repeat(bytes).parse().expect("ascii"));
        let messages = client.do_get(request).await.expect("a response").into_inner();
        assert_eq!(decode(messages).await.is_ok(), is_taken, "a header of {bytes} bytes");
    }
    get(&mut server.client().await, "t").await.expect("the server goes on");
}
