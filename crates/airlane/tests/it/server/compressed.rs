//! Clients that compress go through tonic's codec, and meet the same server. Readers may have the buffers of messages
//! compressed, on either way.

use arrow_flight::{FlightData, Ticket};
use futures::TryStreamExt;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Status};

use super::catalog::act;
use super::harness::*;
use super::http::metric;
use super::rights::eventually_async;
use super::tables::*;

impl TestServer {
    /// A client for each encoding of requests.
    pub(crate) async fn clients(&self) -> Vec<(&'static str, Client)> {
        vec![
            ("identity", self.client().await),
            ("gzip", self.client().await.send_compressed(CompressionEncoding::Gzip)),
            ("zstd", self.client().await.send_compressed(CompressionEncoding::Zstd)),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_put_and_get_the_same() {
    let server = TestServer::start().await;
    let mut plain = server.client().await;
    for (encoding, mut client) in server.clients().await {
        let batches = [kinds(1_000), kinds(30_000)];
        let receipt = put(&mut client, encoding, &batches).await.expect(encoding);
        assert_eq!(receipt.rows, 31_000);
        let by_plain = get_messages(&mut plain, encoding).await.expect(encoding);
        let by_client = get_messages(&mut client, encoding).await.expect(encoding);
        let contents = |messages: &[arrow_flight::FlightData]| -> Vec<_> {
            // What is low-copy may have zeros after its header.
            let trimmed = |header: &[u8]| header.len() - header.iter().rev().take_while(|byte| **byte == 0).count();
            let content = |message: &arrow_flight::FlightData| {
                let header = message.data_header.slice(..trimmed(&message.data_header));
                (header, message.app_metadata.clone(), message.data_body.clone())
            };
            messages.iter().map(content).collect()
        };
        assert_eq!(contents(&by_plain), contents(&by_client), "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a2_a_compression_bomb_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await.send_compressed(CompressionEncoding::Zstd);
    // 100 MiB of zeros, far below that on the wire.
    let rows = (100 << 20) / 8;
    let zeros = arrow_array::Int64Array::from(vec![0; rows]);
    let batch = arrow_array::RecordBatch::try_new(numbers_schema(), vec![std::sync::Arc::new(zeros)]).expect("a batch");
    let mut messages = encoded("t", &[numbers(0, 1)]).await;
    let options = arrow_ipc::writer::IpcWriteOptions::default();
    let mut tracker = arrow_ipc::writer::DictionaryTracker::new(false);
    let mut context = arrow_ipc::writer::IpcWriteContext::default();
    let generator = arrow_ipc::writer::IpcDataGenerator::default();
    let (_, message) = generator.encode(&batch, &mut tracker, &options, &mut context).expect("encoded");
    messages[1] = message.into();
    let status = put_messages(&mut client, futures::stream::iter(messages)).await.expect_err("a bomb");
    assert_eq!((status.code(), code_name(&status)), (tonic::Code::ResourceExhausted, "limit_exceeded"), "{status}");
}

/// The messages of a get that asks for a compression.
async fn get_compressed(client: &mut Client, ticket: &str, compression: &str) -> Result<Vec<FlightData>, Status> {
    let mut request = Request::new(Ticket::new(ticket.to_owned()));
    request.metadata_mut().insert("airlane-compression", compression.parse().expect("ascii"));
    client.do_get(request).await?.into_inner().try_collect().await
}

fn codec_of(message: &FlightData) -> Option<arrow_ipc::CompressionType> {
    let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
    let dictionary = header.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    dictionary.or_else(|| header.header_as_record_batch())?.compression().map(|compression| compression.codec())
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_ask_for_it_get_compressed_buffers() {
    let server = TestServer::start().await;
    let mut plain = server.client().await;
    put(&mut plain, "large", &[kinds(100_000)]).await.expect("a table");
    put(&mut plain, "small", &[kinds(1_000)]).await.expect("a table");
    put(&mut plain, "empty", &[kinds(0)]).await.expect("a table");
    let bytes_of = |messages: &[FlightData]| messages.iter().map(|message| message.data_body.len()).sum::<usize>();
    for (encoding, mut client) in server.clients().await {
        for ticket in ["large", "large?rows=12345-67890", "small", "empty"] {
            let expected = get(&mut plain, ticket).await.expect(ticket);
            let stored = get_messages(&mut plain, ticket).await.expect(ticket);
            for (compression, codec) in [
                ("lz4", Some(arrow_ipc::CompressionType::LZ4_FRAME)),
                ("zstd", Some(arrow_ipc::CompressionType::ZSTD)),
                ("none", None),
            ] {
                let name = format!("{ticket} by {encoding} as {compression}");
                let messages = get_compressed(&mut client, ticket, compression).await.expect(&name);
                let codecs: Vec<_> = messages.iter().map(codec_of).collect();
                let batch_has = codecs.last().copied().flatten();
                assert_eq!(batch_has, codec.filter(|_| ticket != "empty"), "{name}");
                assert!(codecs.iter().all(|found| found.is_none() || *found == codec), "{name}: {codecs:?}");
                let is_smaller = bytes_of(&messages) * 3 < bytes_of(&stored) * 2;
                assert_eq!(is_smaller, batch_has.is_some(), "{name}: {} bytes", bytes_of(&messages));
                let metadata = |messages: &[FlightData]| -> Vec<_> {
                    messages.iter().map(|message| message.app_metadata.clone()).collect()
                };
                assert_eq!(metadata(&messages), metadata(&stored), "{name}: row offsets");
                let (schema, batches) = decode(futures::stream::iter(messages.into_iter().map(Ok))).await.expect(&name);
                assert_eq!(schema, expected.0, "{name}");
                assert_eq!(joined(&schema, &batches), joined(&schema, &expected.1), "{name}");
            }
        }
        for compression in ["gzip", "", "LZ4", "lz4,zstd"] {
            let status = get_compressed(&mut client, "small", compression).await.expect_err("unknown");
            assert_eq!(code_name(&status), "option_invalid", "{encoding}, `{compression}`: {status}");
            assert!(status.message().contains("lz4, zstd, none"), "{status}");
        }
        let mut request = Request::new(Ticket::new("small"));
        request.metadata_mut().insert("airlane-compresion", "lz4".parse().expect("ascii"));
        let status = client.do_get(request).await.expect_err("unknown");
        assert_eq!(code_name(&status), "option_invalid", "{encoding}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compressed_for_one_client_is_sent_to_the_next() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[kinds(100_000)]).await.expect("a table");
    // Other servers of this process tell their figures in the same place.
    let frames = async || metric(&server, "airlane_memory_bytes{use=\"frames\"}").await;
    let first = get_compressed(&mut client, "t", "zstd").await.expect("a read");
    eventually_async("it is kept", async || frames().await > 0.0).await;
    for (encoding, mut client) in server.clients().await {
        let again = get_compressed(&mut client, "t", "zstd").await.expect(encoding);
        let is_same = |(first, again): (&FlightData, &FlightData)| {
            (&first.app_metadata, &first.data_body) == (&again.app_metadata, &again.data_body)
        };
        assert!(first.len() == again.len() && first.iter().zip(&again).all(is_same), "{encoding}");
    }
    eventually_async("it was found", async || metric(&server, "airlane_frames_total{outcome=\"kept\"}").await > 0.0)
        .await;
    act(&mut client, "drop", "t").await.expect("a drop");
    eventually_async("it is gone", async || frames().await < 0.5).await;
}
