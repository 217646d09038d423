//! A12: the order of a put's messages.

use arrow_flight::FlightData;
use futures::stream;
use tonic::Code;

use super::harness::*;
use super::tables::*;

/// One message of each kind that a client may send.
struct Kinds(Vec<(&'static str, FlightData)>);

impl Kinds {
    async fn new() -> Self {
        let messages = encoded("t", &[labels(&["a", "b"], &[0, 1])]).await;
        let [schema, dictionary, batch] = <[FlightData; 3]>::try_from(messages).expect("three messages");
        // A tensor is a message of Arrow, but of no stream of batches.
        let tensor = arrow_ipc::MessageHeader::Tensor;
        let garbage = FlightData { data_header: vec![0x55; 64].into(), ..FlightData::default() };
        let metadata = FlightData { app_metadata: "mine".into(), ..FlightData::default() };
        Self(vec![
            ("schema", FlightData { flight_descriptor: None, ..schema }),
            ("dictionary", dictionary),
            ("batch", batch),
            ("tensor", FlightData { data_header: header_of(tensor), ..FlightData::default() }),
            ("garbage", garbage),
            ("empty", FlightData::default()),
            ("metadata", metadata),
        ])
    }
}

fn header_of(kind: arrow_ipc::MessageHeader) -> bytes::Bytes {
    let mut builder = flatbuffers::FlatBufferBuilder::new();
    // An empty table stands for the header: its kind is looked at first.
    let table = builder.start_table();
    let table = builder.end_table(table);
    let mut message = arrow_ipc::MessageBuilder::new(&mut builder);
    message.add_version(arrow_ipc::MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_header(table.value().into_union());
    let message = message.finish();
    builder.finish(message, None);
    builder.finished_data().to_vec().into()
}

trait IntoUnion {
    fn into_union(self) -> flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>;
}

impl IntoUnion for flatbuffers::UOffsetT {
    fn into_union(self) -> flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset> {
        flatbuffers::WIPOffset::new(self)
    }
}

/// What a put of two messages after the descriptor ends in.
fn expected(first: &str, second: &str) -> Result<u64, ()> {
    match (first, second) {
        ("schema", "dictionary" | "metadata") => Ok(0),
        // Indices without a dictionary.
        ("schema", "batch") => Err(()),
        // The descriptor stands in the first message: it may come before the schema.
        ("metadata" | "empty", "schema") => Ok(0),
        _ => Err(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_every_pair_of_messages() {
    let server = TestServer::start().await;
    let kinds = Kinds::new().await;
    for (encoding, mut client) in server.clients().await {
        for ((first, one), (second, other)) in
            kinds.0.iter().flat_map(|one| kinds.0.iter().map(move |other| (one, other)))
        {
            let described = FlightData { flight_descriptor: Some(by_path("t")), ..one.clone() };
            let put = put_messages(&mut client, stream::iter([described, other.clone()])).await;
            match (expected(first, second), put) {
                (Ok(rows), Ok(receipt)) => assert_eq!(receipt.rows, rows, "{encoding}: {first}, {second}"),
                (Err(()), Err(status)) => {
                    assert_eq!(status.code(), Code::InvalidArgument, "{encoding}: {first}, {second}: {status}");
                    assert!(status.message().contains("\nat: "), "{encoding}: {first}, {second}: {status}");
                }
                (expected, put) => panic!("{encoding}: {first}, {second}: expected {expected:?}, got {put:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_descriptors() {
    let server = TestServer::start().await;
    let messages = encoded("t", &[numbers(0, 5)]).await;
    let [schema, batch] = <[FlightData; 2]>::try_from(messages).expect("two messages");
    let undescribed = |message: &FlightData| FlightData { flight_descriptor: None, ..message.clone() };
    let described = |message: &FlightData| FlightData { flight_descriptor: Some(by_path("t")), ..message.clone() };
    let alone = described(&FlightData::default());

    for (encoding, mut client) in server.clients().await {
        for (name, messages) in [
            ("apart from the schema", vec![alone.clone(), undescribed(&schema), batch.clone()]),
            ("with the schema", vec![schema.clone(), batch.clone()]),
        ] {
            assert_eq!(put_messages(&mut client, stream::iter(messages)).await.expect(name).rows, 5);
        }
        for (name, messages, code) in [
            ("no messages", vec![], "message_order_invalid"),
            ("no descriptor", vec![undescribed(&schema), batch.clone()], "descriptor_invalid"),
            ("no schema", vec![alone.clone()], "message_order_invalid"),
            ("twice before the schema", vec![alone.clone(), schema.clone()], "message_order_invalid"),
            ("again with a batch", vec![schema.clone(), described(&batch)], "message_order_invalid"),
            ("again alone", vec![schema.clone(), alone.clone()], "message_order_invalid"),
            ("a batch first", vec![described(&batch), schema.clone()], "message_order_invalid"),
        ] {
            let status = put_messages(&mut client, stream::iter(messages)).await.expect_err(name);
            assert_eq!(
                (status.code(), code_name(&status)),
                (Code::InvalidArgument, code),
                "{encoding}: {name}: {status}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_another_schema_in_the_midst() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut messages = encoded("t", &[numbers(0, 5)]).await;
    let mut others = encoded("t", &[kinds(5)]).await;
    others[0].flight_descriptor = None;
    messages.append(&mut others);
    let status = put_messages(&mut client, stream::iter(messages)).await.expect_err("another schema");
    assert_eq!((status.code(), code_name(&status)), (Code::InvalidArgument, "message_order_invalid"), "{status}");
    assert_eq!(server.tables(), [""; 0], "nothing is left");
}
