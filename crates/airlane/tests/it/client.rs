//! The Rust client against the server, in one process.

use std::num::NonZeroU64;
use std::time::Duration;

use airlane_client::{Client, ConnectOptions, PutOptions, TicketOptions};
use airlane_model::{Durability, Error, PutMode, Result, TableName, Ticket, codes};
use airlane_testkit::{TestServer, tables};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::{StreamExt, stream};

fn name(text: &str) -> TableName {
    TableName::parse(text).expect(text)
}

async fn read(client: &Client, ticket: &str) -> Result<(SchemaRef, RecordBatch)> {
    let mut stream = client.get(ticket).await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await? {
        batches.push(batch);
    }
    let all = arrow_select::concat::concat_batches(stream.schema(), &batches).expect("one batch");
    Ok((stream.schema().clone(), all))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_put_described_and_read() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let batch = tables::every_type();
    for durability in [Durability::Ephemeral, Durability::Durable] {
        let table = name(&durability.to_string());
        let options = PutOptions { durability: Some(durability), ..PutOptions::default() };
        // Slices at odd offsets, and one without rows.
        let batches = [batch.slice(0, 1), batch.slice(1, 0), batch.slice(1, 2)].map(Ok);
        let receipt = client.put(&table, batch.schema(), stream::iter(batches), options).await.expect("put");
        assert_eq!((receipt.rows, receipt.durability), (3, durability));
        let (schema, rows) = read(&client, &receipt.ticket).await.expect("get");
        assert_eq!(schema.fields(), batch.schema().fields());
        for ((field, got), expected) in schema.fields().iter().zip(rows.columns()).zip(batch.columns()) {
            assert_eq!(got.to_data(), expected.to_data(), "{} as {durability}", field.name());
        }
        let (info, described) = client.describe(&Ticket::current(table)).await.expect("describe");
        assert_eq!((info.rows, described.fields()), (3, batch.schema().fields()));
    }
    let listed = client.list("").await.expect("list");
    assert_eq!(listed.iter().map(|info| info.table.as_str()).collect::<Vec<_>>(), ["durable", "ephemeral"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_can_have_a_signed_ticket() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let (schema, batches) = tables::sample("airlines");
    let put = async |table: &str, ticket: TicketOptions| {
        let options = PutOptions { ticket: Some(ticket), ..PutOptions::default() };
        let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
        client.put(&name(table), schema.clone(), stream::iter(batches), options).await
    };
    let once =
        TicketOptions { reads: NonZeroU64::new(1), ttl: Some(Duration::from_secs(60)), ..TicketOptions::default() };
    let receipt = put("t", once.clone()).await.expect("put");
    assert!(receipt.ticket.starts_with('~'), "{receipt:?}");
    let (_, rows) = read(&client, &receipt.ticket).await.expect("the one read");
    assert_eq!(rows.num_rows() as u64, receipt.rows);
    assert_eq!(client.get(&receipt.ticket).await.expect_err("it was read").code(), codes::TICKET_USED);

    // What no ticket can be is refused before anything is kept.
    for (ticket, what) in [
        (TicketOptions { ttl: Some(Duration::ZERO), ..TicketOptions::default() }, "no time"),
        (TicketOptions { ttl: Some(Duration::from_secs(8 * 86_400)), ..once }, "7d at most"),
        (TicketOptions { at_most_once: true, ..TicketOptions::default() }, "`at_most_once`"),
        (TicketOptions { columns: Some(vec!["iata".into()]), ..TicketOptions::default() }, "columns"),
    ] {
        let error = put("refused", ticket).await.expect_err("no ticket");
        assert!(error.message().contains(what), "{error}");
    }
    assert_eq!(client.list("").await.expect("list").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_put_with_a_key_is_done_once() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let (schema, batches) = tables::sample("airlines");
    let put = async |key: &str, batches: &[RecordBatch]| {
        let key = Some(key.parse().expect("a key"));
        let options = PutOptions { mode: PutMode::Append, key, ..PutOptions::default() };
        let batches: Vec<_> = batches.iter().cloned().map(Ok).collect();
        client.put(&name("t"), schema.clone(), stream::iter(batches), options).await
    };
    let first = put("one", &batches).await.expect("put");
    let parts = [batches[0].slice(0, 3), batches[0].slice(3, batches[0].num_rows() - 3)];
    assert_eq!(put("one", &parts).await.expect("the same rows"), first);
    assert_eq!(put("two", &batches).await.expect("another put").rows, 2 * first.rows);
    let error = put("one", &parts[..1]).await.expect_err("other rows");
    assert_eq!(error.code(), codes::IDEMPOTENCY_CONFLICT);
    assert!(error.place().is_some() && error.hint_text().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_described_with_its_own_schema() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let (airlines, batches) = tables::sample("airlines");
    let (planes, more) = tables::sample("planes");
    let put = async |schema: SchemaRef, batches: Vec<RecordBatch>, mode| {
        let options = PutOptions { mode, ..PutOptions::default() };
        client.put(&name("t"), schema, stream::iter(batches.into_iter().map(Ok)), options).await
    };
    put(airlines.clone(), batches.clone(), PutMode::Replace).await.expect("put");
    put(airlines.clone(), batches, PutMode::Append).await.expect("append");
    let first: Ticket = "t@1".parse().expect("ticket");
    let (info, schema) = client.describe(&first).await.expect("describe");
    assert_eq!((info.rows, schema.fields()), (16, airlines.fields()));
    let error = put(planes, more, PutMode::Append).await.expect_err("another schema");
    assert_eq!(error.code(), codes::SCHEMA_MISMATCH);
    assert!(error.place().is_some() && error.hint_text().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_fails_or_is_dropped_on_the_clients_side_leaves_nothing() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let (schema, batches) = tables::sample("flights");
    let batches: Vec<_> = batches.into_iter().map(Ok).collect();
    let failure = || stream::iter([Err(Error::new(codes::FILE_INVALID, "the file ends too early"))]);

    let failing = stream::iter(batches).chain(failure());
    let error = client.put(&name("half"), schema.clone(), failing, PutOptions::default()).await.expect_err("fails");
    assert_eq!(error.message(), "the file ends too early");
    assert_eq!(client.list("").await.expect("list"), []);

    let (begun, mut seen) = tokio::sync::mpsc::channel(1);
    let (_, batches) = tables::sample("airlines");
    let endless = stream::iter(batches.into_iter().map(Ok)).chain(stream::once(async move {
        begun.send(()).await.expect("the test listens");
        std::future::pending().await
    }));
    let half = name("half");
    tokio::select! {
        ended = client.put(&half, tables::sample("airlines").0, endless, PutOptions::default()) => panic!("{ended:?}"),
        _ = seen.recv() => {}
    }
    // A call on the same connection is answered after the server has seen the first one go.
    let error = client.get("half").await.expect_err("nothing was kept");
    assert_eq!(error.code(), codes::TABLE_NOT_FOUND);
    server.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_flights_give_the_same_rows_in_order() {
    let server = TestServer::start().await;
    let client = server.connect().await.expect("connect");
    let (schema, batches) = tables::sample("flights");
    let many: Vec<_> = std::iter::repeat_n(&batches, 4).flatten().cloned().map(Ok).collect();
    let options = PutOptions { durability: Some(Durability::Ephemeral), ..PutOptions::default() };
    let receipt = client.put(&name("t"), schema, stream::iter(many), options).await.expect("put");
    let whole = read(&client, &receipt.ticket).await.expect("read").1;
    let mut rows = client.get_parallel(&receipt.ticket, 4).await.expect("flights");
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.expect("a batch") {
        batches.push(batch);
    }
    assert_eq!(arrow_select::concat::concat_batches(rows.schema(), &batches).expect("one batch"), whole);
    // One that is given up in the middle ends all of its flights.
    drop(client.get_parallel(&receipt.ticket, 4).await.expect("flights"));
    let error = client.get_parallel("absent", 4).await.expect_err("absent");
    assert_eq!(error.code(), codes::TABLE_NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_repeated_until_the_server_is_back_and_is_done_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut handle = airlane::server::run(TestServer::options(folder.path())).await.expect("a server");
    let address = handle.address().expect("a port");
    let client = Client::connect(&format!("grpc://{address}")).await.expect("connect");
    let (schema, batches) = tables::sample("airlines");
    let append = || PutOptions { mode: PutMode::Append, ..PutOptions::default() };
    client.put_batches(&name("t"), schema.clone(), &batches, append()).await.expect("put");
    handle.stop();
    handle.wait().await.expect("stopped");
    let table = name("t");
    let (putting, starting) = tokio::join!(client.put_batches(&table, schema, &batches, append()), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let options = airlane::server::ServerOptions { listen: Some(address), ..TestServer::options(folder.path()) };
        airlane::server::run(options).await.expect("a server")
    });
    let receipt = putting.expect("put at last");
    assert_eq!((receipt.version.get(), receipt.rows), (2, 2 * receipt.rows_put));
    drop(starting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_its_deadline() {
    let server = TestServer::start().await;
    let options = ConnectOptions { deadline: Some(Duration::from_millis(200)), ..ConnectOptions::default() };
    let client = Client::connect_with(&server.url(), &options).await.expect("connect");
    client.list("").await.expect("in time");
    let (schema, batches) = tables::sample("airlines");
    let endless = stream::iter(batches.into_iter().map(Ok)).chain(stream::pending());
    let error = client.put(&name("t"), schema, endless, PutOptions::default()).await.expect_err("too late");
    assert_eq!(error.code(), codes::DEADLINE_EXCEEDED, "{error}");
    assert!(client.list("").await.expect("a list").is_empty());
}
