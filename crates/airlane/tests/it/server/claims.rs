//! G1: what a message claims costs nothing, in a process of its own.

use std::path::Path;

use airlane_testkit::ServerProcess;
use arrow_flight::FlightData;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::Code;

use super::harness::*;
use super::http::metric_of;
use super::raw::*;
use super::tables::*;

/// What a few connections and calls take; a claim that was believed takes far more.
const NOISE_BYTES: u64 = 32 << 20;
const CLAIMS: usize = 4;
/// Below the limit of 1 GiB.
const BODY_BYTES: usize = (1 << 30) - 4096;

/// The beginning of a message whose body of [`BODY_BYTES`] does not follow, as the low-copy way reads it.
fn claim() -> Bytes {
    let rows = BODY_BYTES as i64 / 8;
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[arrow_ipc::FieldNode::new(rows, 0)]);
    let buffers = builder.create_vector(&[arrow_ipc::Buffer::new(0, 0), arrow_ipc::Buffer::new(0, BODY_BYTES as i64)]);
    let mut batch = arrow_ipc::RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish().as_union_value();
    let mut message = arrow_ipc::MessageBuilder::new(&mut builder);
    message.add_version(arrow_ipc::MetadataVersion::V5);
    message.add_header_type(arrow_ipc::MessageHeader::RecordBatch);
    message.add_header(batch);
    message.add_bodyLength(BODY_BYTES as i64);
    let message = message.finish();
    builder.finish(message, None);

    let data_header = builder.finished_data().to_vec().into();
    let mut payload = FlightData { data_header, ..FlightData::default() }.encode_to_vec();
    // Field 1000, `data_body`, and its length.
    payload.extend_from_slice(&[0xC2, 0x3E]);
    prost::encoding::encode_varint(BODY_BYTES as u64, &mut payload);
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32((payload.len() + BODY_BYTES) as u32);
    bytes.put_slice(&payload);
    bytes.freeze()
}

fn start(folder: &tempfile::TempDir) -> (ServerProcess, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_airlane"));
    let server = ServerProcess::start(binary, &folder.path().join("data"), [] as [&str; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    (server, address)
}

/// Blocks of the files in a folder.
fn disk_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let blocks = entries.map(|entry| std::os::unix::fs::MetadataExt::blocks(&entry.metadata().expect("a file")) * 512);
    blocks.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_a_claim_of_a_gib_below_the_limit_takes_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(&folder);
    let mut client = client_of(&address).await;
    put(&mut client, "before", &[numbers(0, 100_000)]).await.expect("a table");
    let segments = folder.path().join("data").join("segments");
    for durability in ["ephemeral", "durable"] {
        let schema = grpc_of(&encoded(durability, &[numbers(0, 1)]).await[0]);
        let (memory, disk) = (memory_of(server.id()), disk_bytes(&segments));
        let taken = metric_of(&address, "airlane_flight_bytes_total").await;
        let line = Line::to(&address).await;
        let mut calls = Vec::new();
        for _ in 0..CLAIMS {
            let mut call = line.call(DO_PUT, &[("airlane-durability", durability)]).await;
            call.send(schema.clone());
            call.send(claim());
            calls.push(call);
        }
        let sent = (CLAIMS * (schema.len() + claim().len())) as f64;
        while metric_of(&address, "airlane_flight_bytes_total").await < taken + sent {
            tokio::task::yield_now().await;
        }
        let grown = memory_of(server.id()).saturating_sub(memory);
        assert!(
            grown < NOISE_BYTES,
            "{durability}: {CLAIMS} claims of {BODY_BYTES} bytes took {grown} bytes of memory"
        );
        let grown = disk_bytes(&segments).saturating_sub(disk);
        assert!(grown < NOISE_BYTES, "{durability}: {CLAIMS} claims of {BODY_BYTES} bytes took {grown} bytes of disk");
        for mut call in calls {
            call.end();
            let (status, _) = call.answer().await;
            assert_eq!(code_name(&status), "message_invalid", "the claims were believed until the end: {status}");
        }
    }
    put(&mut client, "after", &[numbers(0, 10)]).await.expect("the server goes on");
}

/// tonic reserves what a compressed message claims, so the claim is bounded, and what is reserved is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn g1_a_compressed_message_claims_64_mib_at_most() {
    const BYTES_MAX: u32 = 64 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(&folder);
    let mut client = client_of(&address).await;
    put(&mut client, "before", &[numbers(0, 100_000)]).await.expect("a table");
    let claim = |bytes: u32| [&[1][..], &bytes.to_be_bytes()].concat();
    for encoding in ["gzip", "zstd"] {
        let memory = memory_of(server.id());
        let line = Line::to(&address).await;
        let mut calls = Vec::new();
        for _ in 0..CLAIMS {
            let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
            call.send(claim(BYTES_MAX));
            calls.push(call);
        }
        let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
        call.send(claim(BYTES_MAX + 1));
        // Nothing more comes. That it is answered tells too that the claims before it were read.
        let (status, _) = call.answer().await;
        assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "limit_exceeded"), "{status}");
        assert!(status.message().contains("67108864 bytes"), "{encoding}: {status}");
        let grown = memory_of(server.id()).saturating_sub(memory);
        assert!(grown < NOISE_BYTES, "{encoding}: {CLAIMS} claims of {BYTES_MAX} bytes took {grown} bytes");
        for mut call in calls {
            call.end();
            let (status, _) = call.answer().await;
            assert_ne!(code_name(&status), "limit_exceeded", "{encoding}: {status}");
            assert_ne!(status.code(), Code::Ok, "{encoding}");
        }
    }
    put(&mut client, "after", &[numbers(0, 10)]).await.expect("the server goes on");
}
