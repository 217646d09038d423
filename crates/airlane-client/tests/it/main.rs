//! The client against a stock arrow-flight server that keeps tables in memory.

mod server;

use std::sync::Arc;

use airlane_client::{Client, PutOptions};
use airlane_model::{Durability, Error, ErrorKind, PutMode, Result, TableName, codes};
use arrow_array::{Int64Array, RecordBatch};
use futures::{StreamExt, stream};

use server::{Server, Verdict};

fn batch(values: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(values)) as _)]).expect("batch")
}

fn name(text: &str) -> TableName {
    TableName::parse(text).expect(text)
}

async fn rows(client: &Client, ticket: &str) -> Result<usize> {
    let mut stream = client.get(ticket).await?;
    assert_eq!(stream.schema().fields().len(), 1);
    let mut rows = 0;
    while let Some(batch) = stream.next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

#[tokio::test]
async fn a_table_is_put_listed_described_read_and_dropped() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let options =
        PutOptions { mode: PutMode::Append, durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    let batches = [Ok(batch(0..1_000_000)), Ok(batch(0..0)), Ok(batch(5..6))];
    let schema = batch(0..0).schema();
    let receipt = client.put(&name("eu/n"), schema.clone(), stream::iter(batches), options).await.expect("put");
    assert_eq!(receipt.table, name("eu/n"));
    assert_eq!((receipt.rows, receipt.durability), (1_000_001, Durability::Ephemeral));
    assert_eq!(server.commands(), [r#"{"path":"eu/n","mode":"append","durability":"ephemeral"}"#]);

    assert_eq!(rows(&client, &receipt.ticket).await.expect("get"), 1_000_001);
    let listed = client.list("eu/").await.expect("list");
    assert_eq!(listed.iter().map(|info| info.table.as_str()).collect::<Vec<_>>(), ["eu/n"]);
    assert!(client.list("us/").await.expect("list").is_empty());
    let ticket = receipt.ticket.parse().expect("ticket");
    let (info, described) = client.describe(&ticket).await.expect("describe");
    assert_eq!((info.rows, described), (1_000_001, schema));
    assert_eq!(client.drop_table(&name("eu/n")).await.expect("drop").rows, 1_000_001);

    let error = client.get("eu/n").await.expect_err("dropped");
    assert_eq!((error.code(), error.hint_text()), (codes::TABLE_NOT_FOUND, Some("list the tables")));
    let error = client.drop_table(&name("eu/n")).await.expect_err("dropped");
    assert_eq!(error.code(), codes::TABLE_NOT_FOUND);
}

#[tokio::test]
async fn a_put_whose_input_fails_is_broken_off_and_never_ends() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let failing =
        stream::iter([Ok(batch(0..500_000))])
            .chain(stream::iter([Err(Error::new(codes::FILE_INVALID, "row 7").hint("mend it"))]));
    let error = client.put(&name("n"), batch(0..0).schema(), failing, PutOptions::default()).await.expect_err("fails");
    assert_eq!((error.code(), error.message(), error.hint_text()), (codes::FILE_INVALID, "row 7", Some("mend it")));
    assert_eq!(server.verdict().await, Verdict::Broken);
    assert!(client.list("").await.expect("the connection goes on").is_empty());
}

#[tokio::test]
async fn a_refused_put_gives_the_servers_error() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let endless = stream::iter((0..).map(|n| Ok(batch(n..n + 100_000))));
    let refused = client.put(&name("refused"), batch(0..0).schema(), endless, PutOptions::default()).await;
    let error = refused.expect_err("refused");
    assert_eq!((error.code(), error.message()), (codes::SCHEMA_MISMATCH, "column n differs"));
    assert_eq!((error.place(), error.hint_text()), (Some("column \"n\""), Some("cast it")));
}

#[tokio::test]
async fn a_unix_socket_serves_the_same() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("airlane.sock");
    let server = Server::start_unix(&path).await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let batches = stream::iter([Ok(batch(0..10))]);
    let receipt = client.put(&name("n"), batch(0..0).schema(), batches, PutOptions::default()).await.expect("put");
    assert_eq!(rows(&client, &receipt.ticket).await.expect("get"), 10);
}

#[tokio::test]
async fn no_server_is_unreachable_with_its_address() {
    for url in ["grpc://127.0.0.1:1", "grpc+unix:///nonexistent/airlane.sock", "grpc://no-such-host.invalid:1"] {
        let error = Client::connect(url).await.expect_err(url);
        assert_eq!((error.code(), error.kind()), (codes::SERVER_UNREACHABLE, ErrorKind::Unavailable));
        assert!(error.message().contains(url), "{error}");
        assert!(error.hint_text().expect("hint").contains("airlane serve"));
    }
}

#[tokio::test]
async fn batches_without_rows_are_passed_over() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let mut stream = client.get("quiet").await.expect("get");
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await.expect("a batch") {
        batches.push(batch.num_rows());
    }
    assert_eq!(batches, [1000, 1000]);
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_read_is_an_error() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let mut stream = client.get("endless").await.expect("get");
    assert!(stream.next().await.expect("first").is_some());
    server.stop();
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a broken read ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.kind()), (codes::CONNECTION_BROKEN, ErrorKind::Unavailable), "{error:?}");
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_may_have_been_kept_and_says_so() {
    let server = Server::start().await;
    let client = Client::connect(&server.url()).await.expect("connect");
    let (schema, batches) = (batch(0..0).schema(), stream::iter([Ok(batch(0..10))]));
    let put = tokio::spawn({
        let client = client.clone();
        async move { client.put(&name("unanswered"), schema, batches, PutOptions::default()).await }
    });
    assert_eq!(server.verdict().await, Verdict::Complete);
    assert!(server.has(&name("unanswered")));
    server.stop();
    let error = put.await.expect("a task").expect_err("no answer");
    assert_eq!(error.code(), codes::CONNECTION_BROKEN);
    assert!(!error.code().is_retryable());
    assert!(error.hint_text().expect("a hint").contains("look at the table's version"), "{error}");
}
