//! Counted reads over the wire: by stock clients, by one that goes away, and by a server that is killed.

use airlane_testkit::ServerProcess;
use arrow_flight::{Action, FlightDescriptor};
use futures::TryStreamExt;
use tonic::Status;

use super::catalog::act;
use super::harness::*;
use super::raw::*;
use super::tables::*;
use crate::cli::binary;

pub(super) async fn sign(client: &mut Client, body: &str) -> Result<String, Status> {
    let action = Action { r#type: "ticket".into(), body: body.as_bytes().to_vec().into() };
    let mut results = client.do_action(action).await?.into_inner();
    let result = results.message().await?.expect("a result");
    let signed: serde_json::Value = serde_json::from_slice(&result.body).expect("JSON");
    Ok(signed["ticket"].as_str().expect("a ticket").to_owned())
}

/// Eight times what a stream may hold that nobody reads.
fn large() -> Vec<arrow_array::RecordBatch> {
    (0..100).map(|index| numbers(index * 100_000, 100_000)).collect()
}

pub(super) async fn rows(client: &mut Client, ticket: &str) -> Result<usize, Status> {
    let (_, batches) = get(client, ticket).await?;
    Ok(batches.iter().map(arrow_array::RecordBatch::num_rows).sum())
}

async fn refusal(client: &mut Client, ticket: &str) -> String {
    code_name(&rows(client, ticket).await.expect_err("a refusal")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_readers_at_once_one_gets_it_and_one_that_goes_away_gives_it_back() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &large()).await.expect("a table");
    for encoding in ["identity", "gzip"] {
        for way in ["reset", "cut"] {
            let once = sign(&mut client, r#"{"ticket":"t","reads":1}"#).await.expect("a ticket");
            let line = Line::connect(&server).await;
            let mut call = line.call(DO_GET, &[("grpc-encoding", encoding)]).await;
            call.send(grpc_of(&arrow_flight::Ticket::new(once.clone())));
            call.end();
            let mut body = call.stall().await;
            let first = body.data().await.expect("data").expect("data");
            assert!(!first.is_empty());
            assert_eq!(refusal(&mut client, &once).await, "ticket_in_use");
            match way {
                "reset" => drop(body),
                _ => drop(line),
            }
            // The server hears of it a moment later.
            super::rights::eventually_async("another reads all of it", async || {
                let mut client = client.clone();
                match rows(&mut client, &once).await {
                    Ok(rows) => rows == 10_000_000,
                    Err(status) => {
                        assert_eq!(code_name(&status), "ticket_in_use");
                        false
                    }
                }
            })
            .await;
            assert_eq!(refusal(&mut client, &once).await, "ticket_used", "{encoding}, {way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_flights_are_one_read() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    put(&mut client, "t", &large()).await.expect("a table");
    let once = sign(&mut client, r#"{"ticket":"t","reads":1}"#).await.expect("a ticket");
    let descriptor = FlightDescriptor::new_cmd(once.clone().into_bytes());
    let info = client.get_flight_info(descriptor).await.expect("an info").into_inner();
    assert!(info.endpoint.len() > 1 && info.endpoint.iter().all(|endpoint| endpoint.expiration_time.is_some()));
    let flights = info.endpoint.into_iter().map(|endpoint| {
        let ticket = String::from_utf8(endpoint.ticket.expect("a ticket").ticket.to_vec()).expect("text");
        let mut client = client.clone();
        tokio::spawn(async move { rows(&mut client, &ticket).await.expect("a flight") })
    });
    let mut all = 0;
    for flight in flights.collect::<Vec<_>>() {
        all += flight.await.expect("a task");
    }
    assert_eq!(all, 10_000_000);
    assert_eq!(refusal(&mut client, &once).await, "ticket_used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_read_once_is_gone_when_its_reader_hears_of_the_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for (command, batches) in [
        (r#"{"path":"t","reads":1}"#, vec![numbers(0, 10)]),
        (r#"{"path":"t","reads":1,"durability":"ephemeral"}"#, large()),
        (r#"{"path":"t","reads":1}"#, vec![numbers(0, 0)]),
    ] {
        let descriptor = FlightDescriptor::new_cmd(command);
        let all: usize = batches.iter().map(arrow_array::RecordBatch::num_rows).sum();
        put_messages(&mut client, encode(descriptor, numbers_schema(), batches)).await.expect("a put");
        assert_eq!(server.tables(), ["t"]);
        assert_eq!(rows(&mut client, "t").await.expect("a read"), all);
        assert_eq!(server.tables(), [""; 0]);
        assert_eq!(refusal(&mut client, "t").await, "table_not_found");
    }
    let segments = server.folder.path().join("data/segments");
    eventually("no file is left", || std::fs::read_dir(&segments).is_ok_and(|files| files.count() == 0)).await;
    let (_, text) = super::http::fetch(&server, "/metrics").await;
    assert!(text.contains("airlane_expired_tables_total{reason=\"reads\"}"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_was_told_survives_kill_9_and_nothing_else_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let start = || ServerProcess::start(binary(), &data, [] as [&str; 0]);
    let address = |server: &ServerProcess| server.url().trim_start_matches("grpc://").to_owned();
    let mut server = start();
    let at = address(&server);
    let mut client = client_of(&at).await;
    put(&mut client, "kept", &large()).await.expect("a table");
    for table in ["small", "large"] {
        let command = format!(r#"{{"path":"{table}","reads":1}}"#).into_bytes();
        let batches = if table == "small" { vec![numbers(0, 10)] } else { large() };
        let messages = encode(FlightDescriptor::new_cmd(command), numbers_schema(), batches);
        put_messages(&mut client, messages).await.expect("a table");
    }
    let once = r#"{"ticket":"kept","reads":1}"#;
    let burning = r#"{"ticket":"kept","reads":1,"at_most_once":true}"#;
    let used = sign(&mut client, once).await.expect("a ticket");
    let dropped = sign(&mut client, once).await.expect("a ticket");
    let burnt = sign(&mut client, burning).await.expect("a ticket");
    let begin = async |ticket: &str| {
        // A connection of its own: who stalls takes the window of all on it.
        let mut stream =
            client_of(&at).await.do_get(arrow_flight::Ticket::new(ticket.to_owned())).await.expect("a read");
        for _ in 0..2 {
            stream.get_mut().message().await.expect("a message").expect("the schema, and rows");
        }
        stream
    };
    let streams = [begin(&dropped).await, begin(&burnt).await, begin("large").await];
    for (ticket, count) in [(&*used, 10_000_000), ("small", 10)] {
        assert_eq!(rows(&mut client.clone(), ticket).await.expect("a read"), count);
    }
    server.kill();
    drop(streams);

    let server = start();
    let mut client = client_of(&address(&server)).await;
    assert_eq!(refusal(&mut client, &used).await, "ticket_used");
    assert_eq!(refusal(&mut client, &burnt).await, "ticket_used");
    assert_eq!(refusal(&mut client, "small").await, "table_not_found");
    for ticket in [&*dropped, "large"] {
        assert_eq!(rows(&mut client, ticket).await.expect("given back"), 10_000_000);
    }
    assert_eq!(refusal(&mut client, &dropped).await, "ticket_used");
    assert_eq!(refusal(&mut client, "large").await, "table_not_found");
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
}

/// A read that its reader is to confirm: its rows, and the ticket to confirm it by.
async fn read_to_confirm(client: &mut Client, ticket: &str) -> Result<(usize, String), Status> {
    let mut request = tonic::Request::new(arrow_flight::Ticket::new(ticket.to_owned()));
    request.metadata_mut().insert("airlane-confirm", "explicit".parse().expect("a header"));
    let messages: Vec<arrow_flight::FlightData> = client.do_get(request).await?.into_inner().try_collect().await?;
    let metadata: serde_json::Value = serde_json::from_slice(&messages[0].app_metadata).expect("JSON");
    let by = metadata["ticket"].as_str().expect("a ticket").to_owned();
    let (_, batches) = decode(futures::stream::iter(messages.into_iter().map(Ok))).await?;
    Ok((batches.iter().map(arrow_array::RecordBatch::num_rows).sum(), by))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_used_when_its_reader_says_so() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[numbers(0, 10)]).await.expect("a table");
    for (encoding, mut client) in server.clients().await {
        let once = sign(&mut client, r#"{"ticket":"t","reads":1}"#).await.expect("a ticket");
        let (rows, by) = read_to_confirm(&mut client, &once).await.expect(encoding);
        assert_eq!(rows, 10, "{encoding}");
        assert_eq!(refusal(&mut client, &once).await, "ticket_in_use", "{encoding}: nothing is confirmed yet");
        for attempt in 0..2 {
            let confirmed = act(&mut client, "confirm", &by).await.expect("confirmed");
            assert_eq!(confirmed["table"], "t", "{encoding}, {attempt}");
        }
        assert_eq!(refusal(&mut client, &once).await, "ticket_used", "{encoding}");
        for (body, code) in [(once.as_str(), "ticket_used"), ("", "table_name_invalid"), ("u", "table_not_found")] {
            let status = act(&mut client, "confirm", body).await.expect_err(body);
            assert_eq!(code_name(&status), code, "{encoding}, `{body}`");
        }
    }
}
