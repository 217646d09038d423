//! Quotas of the rights file, as clients meet them.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Caller, Timestamp};
use airlane_store::testing::ManualClock;
use arrow_flight::Ticket;
use futures::StreamExt;
use tonic::{Code, Status};

use super::harness::*;
use super::rights::*;
use super::tables::*;

const NAMES: &[&str] = &["owner", "writer", "reader", "stranger"];
const RIGHTS: &str = "[rights.owner]\n\"*\" = [\"read\", \"write\"]\n[rights.writer]\neu = [\"write\"]\n\
                      [rights.reader]\neu = [\"read\"]\n";

fn rights(quotas: &str) -> String {
    format!("{RIGHTS}{quotas}")
}

async fn put_as(server: &TestServer, caller: &str, table: &str) -> Result<(), Status> {
    let messages = encoded(table, &[numbers(0, 10)]).await;
    let request = with(Some(&token_of(caller)), futures::stream::iter(messages));
    put_request(&mut server.client().await, request).await.map(|_| ())
}

/// The messages of a read, of which none was taken yet.
async fn get_as(
    server: &TestServer,
    caller: &str,
    table: &str,
) -> Result<tonic::Streaming<arrow_flight::FlightData>, Status> {
    let mut client = server.client().await;
    Ok(client.do_get(with(Some(&token_of(caller)), Ticket::new(table.to_owned()))).await?.into_inner())
}

/// A read that was let in, with its first message.
async fn begin_get(
    server: &TestServer,
    caller: &str,
    table: &str,
) -> Result<tonic::Streaming<arrow_flight::FlightData>, Status> {
    let mut messages = get_as(server, caller, table).await?;
    messages.next().await.expect("a message")?;
    Ok(messages)
}

fn assert_refused<T>(outcome: Result<T, Status>, code: &str, parts: &[&str]) -> Status {
    let status = outcome.err().expect("refused");
    assert_eq!((code_name(&status), status.code()), (code, Code::ResourceExhausted), "{status:?}");
    parts.iter().for_each(|part| assert!(status.message().contains(part), "{part} is not in {status:?}"));
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_bytes_are_bounded_and_another_file_bounds_them_otherwise() {
    let server = guarded(NAMES, &rights("[quotas.namespaces.eu]\ntables = 2\n")).await;
    for table in ["eu/a", "eu/b"] {
        put_as(&server, "writer", table).await.expect("a put");
    }
    assert_refused(
        put_as(&server, "writer", "eu/c").await,
        "quota_exceeded",
        &["namespace `eu` has 2 tables, its quota is 2", "[quotas.namespaces]"],
    );
    put_as(&server, "owner", "us/c").await.expect("another namespace");
    server.write_rights(NAMES, &rights("[quotas.namespaces.\"*\"]\nbytes = 1\n"));
    server.handle.reload().now();
    eventually_async("the new quotas are in force", async || {
        put_as(&server, "writer", "eu/c").await.is_err_and(|status| status.message().contains("bytes"))
    })
    .await;
    assert_eq!(server.handle.exchange().list(&Caller::local(), "eu/").len(), 2, "what is there stays");
    put_as(&server, "writer", "eu/a").await.expect("a replace of the same size");
    server.write_rights(NAMES, RIGHTS);
    server.handle.reload().now();
    eventually_async("no quotas are in force", async || put_as(&server, "writer", "eu/c").await.is_ok()).await;
}

const WRITERS: &str = "[rights.owner]\n\"*\" = [\"read\", \"write\"]\n[rights.writer]\neu = [\"read\", \"write\"]\n\
                       [rights.reader]\n\"*\" = [\"read\", \"admin\"]\n";

async fn append_as(server: &TestServer, caller: &str, table: &str) -> Result<(), Status> {
    let mut messages = encoded(table, &[numbers(0, 10)]).await;
    let command = format!("{{\"path\": \"{table}\", \"mode\": \"append\"}}");
    messages[0].flight_descriptor = Some(arrow_flight::FlightDescriptor::new_cmd(command));
    let request = with(Some(&token_of(caller)), futures::stream::iter(messages));
    put_request(&mut server.client().await, request).await.map(|_| ())
}

/// The server started anew over the same folder.
async fn restarted(server: TestServer) -> TestServer {
    let TestServer { mut handle, folder } = server;
    handle.stop();
    handle.wait().await.expect("a clean end");
    let path = folder.path().to_owned();
    let TestServer { handle, .. } = TestServer::start_with(|store, options| {
        store.folder = Some(path.join("data"));
        options.rights_file = Some(path.join("rights.toml"));
    })
    .await;
    TestServer { handle, folder }
}

/// The owner that the action `describe` tells a caller.
async fn owner_as(server: &TestServer, caller: &str, table: &str) -> Option<String> {
    let action = arrow_flight::Action::new("describe", table.to_owned());
    let answer = server.client().await.do_action(with(Some(&token_of(caller)), action)).await.expect("a table");
    let body = answer.into_inner().next().await.expect("an answer").expect("a description").body;
    let described: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(described["table"], table);
    described["owner"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_table_counts_for_the_caller_who_put_its_content_also_after_a_restart() {
    let rights = |quotas: &str| format!("{WRITERS}{quotas}");
    let mut server =
        guarded(NAMES, &rights("[quotas.callers.owner]\ntables = 2\n[quotas.callers.\"*\"]\ntables = 1\n")).await;
    for table in ["eu/a", "us/b"] {
        put_as(&server, "owner", table).await.expect("a put");
    }
    let full = ["caller `owner` has 2 tables, its quota is 2", "[quotas.callers]"];
    assert_refused(put_as(&server, "owner", "eu/c").await, "quota_exceeded", &full);
    append_as(&server, "writer", "eu/a").await.expect("no new table");
    put_as(&server, "writer", "eu/c").await.expect("the one that the writer may have");
    assert_refused(put_as(&server, "writer", "eu/a").await, "quota_exceeded", &["caller `writer` has 1 tables"]);

    // A lower quota is in force from the next put on, and stays so over a restart.
    server.write_rights(NAMES, &rights("[quotas.callers.owner]\nbytes = \"100B\"\n"));
    server.handle.reload().now();
    eventually_async("the new quotas are in force", async || append_as(&server, "owner", "eu/a").await.is_err()).await;
    for is_new in [false, true] {
        if is_new {
            server = restarted(server).await;
        }
        let owners = [("owner", Some("owner")), ("reader", Some("owner")), ("writer", None)];
        for (caller, told) in owners {
            assert_eq!(owner_as(&server, caller, "eu/a").await.as_deref(), told, "{caller}");
        }
        let told = ["the owner of table `eu/a` has no room for it", "ask the owner"];
        let status = assert_refused(append_as(&server, "writer", "eu/a").await, "quota_exceeded", &told);
        assert!(!status.message().contains("`owner`") && !status.message().contains("100"), "{status:?}");
        assert_refused(append_as(&server, "owner", "eu/a").await, "quota_exceeded", &["caller `owner` has", "is 100"]);
    }
    // It becomes the writer's, who has no quota any more.
    put_as(&server, "writer", "eu/a").await.expect("a replace");
    append_as(&server, "owner", "eu/a").await.expect("the writer has room");
    assert_eq!(owner_as(&server, "reader", "eu/a").await.as_deref(), Some("writer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_access_control_nobody_owns_anything() {
    let server = TestServer::start().await;
    server.put_here("eu/a", &[numbers(0, 10)]).await;
    let messages = encoded("eu/b", &[numbers(0, 10)]).await;
    put_request(&mut server.client().await, tonic::Request::new(futures::stream::iter(messages))).await.expect("a put");
    for table in ["eu/a", "eu/b"] {
        let answer =
            server.client().await.do_action(arrow_flight::Action::new("describe", table)).await.expect("a table");
        let body = answer.into_inner().next().await.expect("an answer").expect("a description").body;
        assert!(!String::from_utf8_lossy(&body).contains("owner"), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_whoever_has_no_right_learns_nothing_of_a_quota() {
    let quotas = "[quotas.namespaces.eu]\ntables = 1\nstreams = 1\nputs_per_second = 1\n";
    let server = guarded(NAMES, &rights(quotas)).await;
    let wide: Vec<_> = (0..40).map(|index| numbers(index * 100_000, 100_000)).collect();
    server.put_here("eu/a", &wide).await;
    let _open = begin_get(&server, "owner", "eu/a").await.expect("the one stream");
    for caller in ["stranger", "reader"] {
        let status = put_as(&server, caller, "eu/b").await.expect_err("no right");
        assert_eq!(code_name(&status), "permission_denied", "{caller}");
    }
    for (caller, table) in [("stranger", "eu/a"), ("writer", "eu/a"), ("reader", "eu/absent"), ("owner", "eu/absent")] {
        let status = get_as(&server, caller, table).await.err();
        let status = status.expect("not there");
        assert_eq!(code_name(&status), "table_not_found", "{caller} {table}");
    }
    assert_refused(get_as(&server, "reader", "eu/a").await, "rate_limited", &["namespace `eu` has 1 streams open"]);
    assert_refused(put_as(&server, "writer", "eu/b").await, "rate_limited", &["namespace `eu`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_a_stream_is_given_back_when_its_reader_dies() {
    let server = guarded(NAMES, &rights("[quotas.callers.reader]\nstreams = 2\n")).await;
    let wide: Vec<_> = (0..40).map(|index| numbers(index * 100_000, 100_000)).collect();
    server.put_here("eu/a", &wide).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(begin_get(&server, "reader", "eu/a").await.expect("let in"));
    }
    let status = assert_refused(
        get_as(&server, "reader", "eu/a").await,
        "rate_limited",
        &["caller `reader` has 2 streams open, its quota is 2", "[quotas.callers]"],
    );
    assert!(!status.details().is_empty(), "it says when to come again: {status:?}");
    let owner = begin_get(&server, "owner", "eu/a").await.expect("another caller");
    drop(open.pop());
    eventually_async("the stream is given back", async || match begin_get(&server, "reader", "eu/a").await {
        Ok(messages) => {
            open.push(messages);
            true
        }
        Err(_) => false,
    })
    .await;
    assert_refused(get_as(&server, "reader", "eu/a").await, "rate_limited", &["`reader`"]);
    drop((open, owner));
    // One that ends in order is given back too, each time.
    for _ in 0..5 {
        eventually_async("a whole read", async || match get_as(&server, "reader", "eu/a").await {
            Ok(messages) => {
                decode(messages).await.expect("rows").1.iter().map(|batch| batch.num_rows()).sum::<usize>() == 4_000_000
            }
            Err(_) => false,
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_beyond_the_rate_are_told_when_to_come_again() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let text = rights_file(NAMES, &rights("[quotas.callers.writer]\nputs_per_second = 2\n"));
    let server = TestServer::start_with(|store, options| {
        store.clock = clock.clone();
        let path = store.folder.as_ref().expect("a folder").with_file_name("rights.toml");
        std::fs::write(&path, text).expect("written");
        options.rights_file = Some(path);
    })
    .await;
    for table in ["eu/a", "eu/b"] {
        put_as(&server, "writer", table).await.expect("a second's worth at once");
    }
    let status = assert_refused(
        put_as(&server, "writer", "eu/c").await,
        "rate_limited",
        &["caller `writer` has begun 2 puts within a second"],
    );
    assert!(!status.details().is_empty(), "it says when to come again: {status:?}");
    put_as(&server, "owner", "eu/c").await.expect("another caller");
    clock.advance(Duration::from_millis(500));
    put_as(&server, "writer", "eu/d").await.expect("a token has come");
    assert_refused(put_as(&server, "writer", "eu/e").await, "rate_limited", &["`writer`"]);
}
