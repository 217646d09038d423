//! Clients that compress go through tonic's codec, and meet the same server.

use tonic::codec::CompressionEncoding;

use super::harness::*;
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
async fn a_compression_bomb_is_refused() {
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
