//! A1, A2, A8: what a stranger's messages claim, at the door.

use arrow_flight::FlightData;
use arrow_ipc::{
    BodyCompressionBuilder, Buffer, CompressionType, DecimalBuilder, FieldBuilder, FieldNode, IntBuilder, Message,
    MessageBuilder, MessageHeader, MetadataVersion, NullBuilder, RecordBatchBuilder, SchemaBuilder, Type,
};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use futures::stream;
use tonic::Code;

use super::harness::*;
use super::tables::*;

fn finish(
    mut builder: FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body: Vec<u8>,
) -> FlightData {
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(header);
    message.add_bodyLength(body.len() as i64);
    let root: WIPOffset<Message<'_>> = message.finish();
    builder.finish(root, None);
    let data_header = builder.finished_data().to_vec().into();
    FlightData { data_header, data_body: body.into(), ..FlightData::default() }
}

/// A batch of one column of eight bytes a row, whose buffer is `compressed` and claims a length.
fn batch(codec: CompressionType, rows: i64, claim: i64, compressed: &[u8]) -> FlightData {
    let mut body = [&claim.to_le_bytes()[..], compressed].concat();
    let bytes = body.len() as i64;
    body.resize(body.len().next_multiple_of(64), 0);
    let mut builder = FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[FieldNode::new(rows, 0)]);
    let buffers = builder.create_vector(&[Buffer::new(0, 0), Buffer::new(0, bytes)]);
    let mut compression = BodyCompressionBuilder::new(&mut builder);
    compression.add_codec(codec);
    let compression = compression.finish();
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(rows);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    batch.add_compression(compression);
    let batch = batch.finish().as_union_value();
    finish(builder, MessageHeader::RecordBatch, batch, body)
}

/// A ZSTD frame of zeros: a block of four bytes for every 128 KiB
/// ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878), sections 3.1.1.1 and 3.1.1.2).
fn zstd_zeros(bytes: u64) -> Vec<u8> {
    const BLOCK_BYTES: u64 = 128 << 10;
    const RUN_LENGTH: u32 = 1;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0b1110_0000];
    frame.extend_from_slice(&bytes.to_le_bytes());
    let blocks = bytes.div_ceil(BLOCK_BYTES);
    for block in 0..blocks {
        let size = (bytes - block * BLOCK_BYTES).min(BLOCK_BYTES) as u32;
        let header = u32::from(block + 1 == blocks) | RUN_LENGTH << 1 | size << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A schema of one column `f`, whose type and parameters are as given.
fn schema(kind: Type, parameters: impl Fn(&mut FlatBufferBuilder<'_>) -> WIPOffset<UnionWIPOffset>) -> FlightData {
    let mut builder = FlatBufferBuilder::new();
    let name = builder.create_string("f");
    let parameters = parameters(&mut builder);
    let children = builder.create_vector(&[] as &[WIPOffset<arrow_ipc::Field<'_>>]);
    let mut field = FieldBuilder::new(&mut builder);
    field.add_name(name);
    field.add_nullable(true);
    field.add_type_type(kind);
    field.add_type_(parameters);
    field.add_children(children);
    let field = field.finish();
    let fields = builder.create_vector(&[field]);
    let mut schema = SchemaBuilder::new(&mut builder);
    schema.add_fields(fields);
    let schema = schema.finish().as_union_value();
    finish(builder, MessageHeader::Schema, schema, Vec::new())
}

/// Schemas that make the conversion of a stock library panic.
fn schemas() -> [(&'static str, FlightData); 3] {
    let int = |builder: &mut FlatBufferBuilder<'_>| {
        let mut int = IntBuilder::new(builder);
        int.add_bitWidth(7);
        int.finish().as_union_value()
    };
    let decimal = |builder: &mut FlatBufferBuilder<'_>| DecimalBuilder::new(builder).finish().as_union_value();
    let empty = |builder: &mut FlatBufferBuilder<'_>| NullBuilder::new(builder).finish().as_union_value();
    [
        ("an integer of 7 bits", schema(Type::Int, int)),
        ("a decimal without a precision", schema(Type::Decimal, decimal)),
        ("a list without a child", schema(Type::List, empty)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a2_a8_hostile_claims_bombs_and_schemas_are_refused_at_the_door() {
    let good = encoded("t", &[numbers(0, 5)]).await.remove(0);
    // What is sent after the descriptor, what it is answered, and at which message.
    let mut cases = Vec::new();
    for codec in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        for (claim, code) in [
            (1_i64 << 30, "limit_exceeded"),
            (1 << 40, "limit_exceeded"),
            (1 << 62, "limit_exceeded"),
            (i64::MAX - 7, "limit_exceeded"),
            // No whole number of values of eight bytes.
            (i64::MAX, "message_invalid"),
            (-2, "message_invalid"),
            (i64::MIN, "message_invalid"),
        ] {
            let message = batch(codec, 1, claim, &[0; 56]);
            assert!(message.data_header.len() + message.data_body.len() <= 328, "as small as the one that once killed");
            cases.push((format!("{codec:?} claims {claim}"), vec![good.clone(), message], code, 2));
        }
    }
    let rows = 100_000_000;
    let bomb = batch(CompressionType::ZSTD, rows, rows * 8, &zstd_zeros(rows as u64 * 8));
    assert!(bomb.data_body.len() < 25_000);
    cases.push(("a bomb".into(), vec![good.clone(), bomb], "limit_exceeded", 2));
    for (name, schema) in schemas() {
        let schema = schema.with_descriptor(by_path("t"));
        cases.push((name.into(), vec![schema], "schema_invalid", 1));
    }

    let server = TestServer::start().await;
    for (encoding, mut client) in server.clients().await {
        for (name, messages, code, place) in &cases {
            let put = put_messages(&mut client, stream::iter(messages.clone())).await;
            let status = put.expect_err(name);
            let grpc = if *code == "limit_exceeded" { Code::ResourceExhausted } else { Code::InvalidArgument };
            assert_eq!((status.code(), code_name(&status)), (grpc, *code), "{encoding}, {name}: {status}");
            let place = format!("\nat: message {place} of the put");
            assert!(status.message().contains(&place), "{encoding}, {name}: {status}");
            assert!(status.message().contains("\nhint: "), "{encoding}, {name}: {status}");
            assert_eq!(server.tables(), [""; 0], "{encoding}, {name}: nothing is left");
        }
        put(&mut client, "after", &[numbers(0, 5)]).await.expect("the server goes on");
        server
            .handle
            .exchange()
            .drop_table(&airlane_model::Caller::local(), &"after".parse().expect("a name"))
            .await
            .expect("dropped");
    }
}
