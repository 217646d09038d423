//! What is put comes back.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::FlightDescriptor;
use arrow_schema::Schema;
use tonic::Request;

use super::harness::*;
use super::tables::*;

async fn check(server: &TestServer, name: &str, batches: &[RecordBatch]) {
    let mut client = server.client().await;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let receipt = put(&mut client, name, batches).await.expect(name);
    assert_eq!((receipt.table.as_str(), receipt.rows, receipt.rows_put), (name, rows as u64, rows as u64));
    let (schema, read) = get(&mut client, &receipt.ticket).await.expect(name);
    assert_eq!(schema, batches[0].schema());
    assert_eq!(joined(&schema, &read), joined(&schema, batches), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_all_shapes() {
    let server = TestServer::start().await;
    check(&server, "t/ten_rows", &[kinds(10)]).await;
    check(&server, "t/many_rows", &[kinds(100_000)]).await;
    check(&server, "t/many_batches", &(0..300).map(|index| numbers(index * 7, 7)).collect::<Vec<_>>()).await;
    check(&server, "t/large", &(0..40).map(|index| numbers(index * 100_000, 100_000)).collect::<Vec<_>>()).await;
    check(&server, "t/sliced", &[kinds(1_000).slice(13, 400), kinds(1_000).slice(500, 7)]).await;
    check(&server, "t/without_rows", &[kinds(0)]).await;
    check(&server, "t/without_columns", &[no_columns(12)]).await;
    check(&server, "t/without_both", &[no_columns(0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_and_no_batch_is_a_table_without_rows() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let schema = kinds(0).schema();
    let receipt = put_messages(&mut client, encode(by_path("empty"), schema.clone(), vec![])).await.expect("a table");
    assert_eq!(receipt.rows, 0);
    let messages = get_messages(&mut client, "empty").await.expect("a table");
    assert!(!messages[0].data_header.is_empty(), "the schema comes first");
    assert_eq!(get(&mut client, "empty").await.expect("a table"), (schema, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_stay_dictionaries_and_may_change() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let batches = [labels(&["a", "b"], &[0, 1, 0]), labels(&["c"], &[0, 0]), labels(&["a", "b"], &[1])];
    put(&mut client, "labels", &batches).await.expect("a table");
    let (schema, read) = get(&mut client, "labels").await.expect("a table");
    assert_eq!(schema, batches[0].schema());
    assert_eq!(label_values(&read), ["a", "b", "a", "c", "c", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_carry_their_row_offsets_and_dictionaries_carry_nothing() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[kinds(200_000)]).await.expect("a table");
    for ticket in ["t", "t?rows=77777-150000"] {
        let messages = get_messages(&mut client, ticket).await.expect("a table");
        assert!(messages[0].app_metadata.is_empty(), "the schema has no metadata");
        let mut expected = if ticket == "t" { 0 } else { 77_777 };
        let mut dictionaries = 0;
        for message in &messages[1..] {
            let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
            let Some(batch) = header.header_as_record_batch() else {
                assert!(header.header_as_dictionary_batch().is_some());
                assert!(message.app_metadata.is_empty(), "metadata belongs to batches");
                dictionaries += 1;
                continue;
            };
            let metadata: serde_json::Value = serde_json::from_slice(&message.app_metadata).expect("JSON");
            assert_eq!(metadata, serde_json::json!({ "row_offset": expected }));
            expected += batch.length();
        }
        assert_eq!(expected, if ticket == "t" { 200_000 } else { 150_000 });
        assert_eq!(dictionaries, 1, "one dictionary, sent once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_and_durability_come_by_header_and_by_command() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let batch = numbers(0, 10);
    let command = |json: &str| FlightDescriptor::new_cmd(json.as_bytes().to_vec());
    let send = |descriptor: FlightDescriptor, headers: &[(&'static str, &'static str)]| {
        let mut request = Request::new(encode(descriptor, batch.schema(), vec![batch.clone()]));
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().expect("ascii"));
        }
        request
    };
    let by_header = send(by_path("t"), &[("airlane-durability", "ephemeral")]);
    let receipt = put_request(&mut client, by_header).await.expect("a table");
    assert_eq!((receipt.durability.to_string(), receipt.rows), ("ephemeral".into(), 10));
    let by_command = send(command(r#"{"path":"t","mode":"append"}"#), &[]);
    assert_eq!(put_request(&mut client, by_command).await.expect("an append").rows, 20);
    let by_both = send(command(r#"{"path":"t","mode":"append"}"#), &[("airlane-mode", "append")]);
    assert_eq!(put_request(&mut client, by_both).await.expect("an append").rows, 30);
    assert_eq!(put_request(&mut client, send(command("t"), &[])).await.expect("a replacement").rows, 10);

    for (descriptor, header, code) in [
        (command(r#"{"path":"t","mode":"append"}"#), ("airlane-mode", "replace"), "option_invalid"),
        (by_path("t"), ("airlane-mode", "upsert"), "option_invalid"),
        (by_path("t"), ("airlane-colour", "red"), "option_invalid"),
        (by_path("t"), ("airlane-durability", "replicated"), "not_implemented"),
        (command(r#"{"path":"t","mode":"append"}"#), ("airlane-durability", "durable"), "durability_conflict"),
    ] {
        let status = put_request(&mut client, send(descriptor, &[header])).await.expect_err(code);
        assert_eq!(code_name(&status), code, "{status}");
    }
    assert_eq!(get(&mut client, "t").await.expect("unharmed").1[0].num_rows(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_differs_is_refused_before_any_data() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &[numbers(0, 10)]).await.expect("a table");
    let other = Arc::new(Schema::new(fields(&["other"])));
    // A stream that never ends: the answer must not wait for it.
    let append = FlightDescriptor::new_cmd(r#"{"path":"t","mode":"append"}"#);
    let first = encode(append, other, vec![]);
    let endless = futures::StreamExt::chain(first, futures::stream::pending());
    let status = put_messages(&mut client, endless).await.expect_err("another schema");
    assert_eq!((status.code(), code_name(&status)), (tonic::Code::FailedPrecondition, "schema_mismatch"));
    assert!(status.message().contains("hint:"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_reads_its_files_again() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let batches: Vec<_> = (0..10).map(|index| numbers(index * 100_000, 100_000)).collect();
    put(&mut client, "kept", &batches).await.expect("a table");
    let TestServer { mut handle, folder } = server;
    drop(client);
    handle.stop();
    handle.wait().await.expect("a clean end");
    let data = folder.path().join("data");
    let server = TestServer::start_with(|store, _| store.folder = Some(data)).await;
    let (schema, read) = get(&mut server.client().await, "kept").await.expect("kept");
    assert_eq!(joined(&schema, &read), joined(&schema, &batches));
}
