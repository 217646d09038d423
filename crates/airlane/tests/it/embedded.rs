//! Airlane inside a program: its own tables, its workers, and its doors in another server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use airlane::embedded::{Embedded, EmbeddedOptions, PutSpec, TicketSpec};
use airlane_client::{Client, ConnectOptions, Credentials, PutOptions, Transport};
use airlane_model::{Error, Result, Right, Secret, TableName, codes};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use axum::Router;
use axum::routing::get;
use futures::stream;
use tokio::net::TcpListener;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn numbers(count: i64) -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(0..count))]).expect("a batch")
}

fn name(text: &str) -> TableName {
    text.parse().expect("a name")
}

async fn put(airlane: &Embedded, table: &str, count: i64) -> String {
    let rows = stream::iter([Ok(numbers(count))]);
    airlane.put(PutSpec::new(name(table)), schema(), rows).await.expect("put").ticket
}

async fn all(airlane: &Embedded, ticket: &str) -> Vec<RecordBatch> {
    let mut rows = airlane.get(ticket).expect("opened");
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.expect("read") {
        batches.push(batch);
    }
    assert!(rows.next().await.expect("the end stays").is_none());
    batches
}

fn sum(batches: &[RecordBatch]) -> i64 {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().iter()).sum()
}

/// As a worker connects that was given this environment.
async fn connect(environment: &[(&'static str, std::ffi::OsString)]) -> Result<Client> {
    let value = |name| environment.iter().find(|(it, _)| *it == name).and_then(|(_, value)| value.to_str());
    let credentials = value("AIRLANE_TOKEN").map_or(Credentials::None, |token| Credentials::Token(Secret::new(token)));
    let local_socket = value("AIRLANE_LOCAL_SOCKET").map(Into::into);
    let options = ConnectOptions { credentials, local_socket, ..ConnectOptions::default() };
    Client::connect_with(value("AIRLANE_URL").expect("an address"), &options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_puts_and_reads_in_its_own_memory() {
    let airlane = Embedded::start(EmbeddedOptions::default()).await.expect("started");
    let ticket = put(&airlane, "own/numbers", 1_000_000).await;
    let (one, other) = (all(&airlane, &ticket).await, all(&airlane, "own/numbers").await);
    assert_eq!(sum(&one), 499_999_500_000);
    let address = |batches: &[RecordBatch]| batches[0].column(0).as_primitive::<Int64Type>().values().as_ptr();
    assert_eq!(address(&one), address(&other), "both are the table itself");
    assert_eq!(airlane.list("own/").len(), 1);
    let failing = stream::iter([Ok(numbers(1)), Err(Error::new(codes::DATA_INVALID, "no more"))]);
    let failed = airlane.put(PutSpec::new(name("own/half")), schema(), failing).await.expect_err("broken off");
    assert_eq!(failed.code(), codes::DATA_INVALID);
    assert_eq!(airlane.get("own/half").expect_err("nothing is kept").code(), codes::TABLE_NOT_FOUND);
    airlane.drop_table(&name("own/numbers")).await.expect("dropped");
    assert_eq!(airlane.get(&ticket).expect_err("gone").code(), codes::TABLE_NOT_FOUND);
    assert_eq!(sum(&one), 499_999_500_000, "readers keep what they have");
    airlane.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_tables_are_there_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || Embedded::start(EmbeddedOptions { data_dir: Some(folder.path().into()), ..Default::default() });
    let airlane = start().await.expect("started");
    put(&airlane, "kept", 10).await;
    airlane.stop().await.expect("stopped");
    let airlane = start().await.expect("started again");
    assert_eq!(sum(&all(&airlane, "kept").await), 45);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_only_workers_get_in_and_do_no_more_than_they_may() {
    let airlane = Embedded::start(EmbeddedOptions::default()).await.expect("started");
    put(&airlane, "desk/orders", 100).await;
    put(&airlane, "secret/plans", 1).await;
    let pass = airlane.worker("totals", &[("desk", &[Right::Read]), ("out", &[Right::Write])]).expect("a pass");
    let environment = pass.environment();
    let stranger: Vec<_> = environment.iter().filter(|(name, _)| *name != "AIRLANE_TOKEN").cloned().collect();
    let refused = connect(&stranger).await.expect("no call yet").get("desk/orders").await.expect_err("a stranger");
    assert_eq!(refused.code(), codes::CREDENTIALS_MISSING);

    let worker = connect(&environment).await.expect("connected");
    assert!(worker.shares_memory());
    let orders = worker.get("desk/orders").await.expect("read");
    assert_eq!(orders.transport(), Transport::SharedMemory);
    let rows = stream::iter([Ok(numbers(7))]);
    worker.put(&name("out/totals"), schema(), rows, PutOptions::default()).await.expect("put");
    assert_eq!(sum(&all(&airlane, "out/totals").await), 21);
    assert_eq!(worker.get("secret/plans").await.expect_err("not its own").code(), codes::TABLE_NOT_FOUND);
    let rows = stream::iter([Ok(numbers(7))]);
    let refused = worker.put(&name("desk/orders"), schema(), rows, PutOptions::default()).await.expect_err("to read");
    assert_eq!(refused.code(), codes::PERMISSION_DENIED);

    drop(pass);
    assert_eq!(worker.list("").await.expect_err("no pass").code(), codes::CREDENTIALS_REFUSED);
    assert_eq!(
        airlane.worker("a b", &[]).expect_err("no name").code(),
        codes::OPTION_INVALID,
        "names are those of callers"
    );
    assert_eq!(airlane.worker("w", &[("a/b", &[])]).expect_err("no namespace").code(), codes::OPTION_INVALID);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doors_stand_in_a_server_of_the_program() {
    let airlane = Embedded::start(EmbeddedOptions { listen: None, ..Default::default() }).await.expect("started");
    assert_eq!(airlane.address(), None);
    // Messages with bodies that are not copied, and many of them.
    let ticket = put(&airlane, "big", 2_000_000).await;
    let signed = airlane.sign(&ticket, TicketSpec::default()).expect("signed");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/own", get(|| async { "the program" })).fallback_service(airlane.doors());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().accept_http1(true).add_routes(router.into());
    let server = tokio::spawn(server.serve_with_incoming(incoming));

    let pass = airlane.worker("client", &[]).expect("a pass");
    let token = pass.environment().remove(0).1.into_string().expect("text");
    let connect = |credentials| {
        let options = ConnectOptions { credentials, shares_memory: false, ..ConnectOptions::default() };
        async move { Client::connect_with(&format!("grpc://{address}"), &options).await.expect("connected") }
    };
    let client = connect(Credentials::Token(Secret::new(token))).await;
    let mut table = client.get(signed.ticket.expose()).await.expect("by Flight");
    let mut batches = Vec::new();
    while let Some(batch) = table.next().await.expect("read") {
        batches.push(batch);
    }
    assert_eq!(sum(&batches), 1_999_999_000_000);
    assert_eq!(client.get("big").await.expect_err("only by the ticket").code(), codes::TABLE_NOT_FOUND);
    // Nobody can say whether the network reads what this connection carries.
    let user = Credentials::Password { user: "ada".into(), password: Secret::new("word") };
    let refused = connect(user).await.list("").await.expect_err("a password in clear");
    assert_eq!(refused.code(), codes::CREDENTIALS_REFUSED);
    assert!(refused.message().contains("over TLS"), "{refused}");
    for (path, expected) in [("/own", "the program"), ("/healthz", "200 OK")] {
        let (head, body) = super::server::rights::fetch_at(&address.to_string(), path, "").await;
        assert!(head.contains(expected) || body.contains(expected), "{path}: {head}\n{body}");
    }
    server.abort();
}

#[test]
fn the_example_of_a_service_runs() {
    // Cargo builds the examples beside the binary.
    let example = Path::new(env!("CARGO_BIN_EXE_airlane")).with_file_name("examples").join("embedded_service");
    let output = Command::new(&example).env("AIRLANE_LOCAL_SOCKET", "off").output();
    let output = output.expect("the example is built: `cargo build --examples`");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Flight answered 1000 rows on the same port"), "{said}");
}
