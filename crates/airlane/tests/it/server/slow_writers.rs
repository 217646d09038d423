//! G9: writers that send a byte now and then. The server's own times, made short, end them; no test measures time.

use std::time::Duration;

use airlane::server::Patience;
use bytes::Bytes;
use tonic::{Code, Status};

use super::harness::*;
use super::http::metric;
use super::raw::*;
use super::tables::*;
use super::vanish::held;

const LONG: Duration = Duration::from_secs(3_600);

async fn server(patience: Patience) -> TestServer {
    TestServer::start_with(|_, options| options.patience = patience).await
}

/// A stock message of a put that is broken off in its midst.
async fn broken_off() -> (Bytes, Bytes) {
    let messages = encoded("t", &[numbers(0, 1_000)]).await;
    let batch = grpc_of(&messages[1]);
    (grpc_of(&messages[0]), batch.slice(..batch.len() - 100))
}

/// A put that was given up, of which nothing is left.
async fn assert_given_up(server: &TestServer, status: &Status) {
    assert_eq!((status.code(), code_name(status)), (Code::DeadlineExceeded, "request_stalled"), "{status}");
    eventually("nothing is held", || held(server).is_empty()).await;
    assert_eq!(server.tables(), [""; 0]);
    let (_, text) = super::rights::fetch_at(&server.address(), "/metrics", "").await;
    assert!(text.contains("airlane_memory_bytes{use=\"puts\"} 0\n"), "{text}");
    put(&mut server.client().await, "after", &[numbers(0, 10)]).await.expect("others go on");
    let name = "after".parse().expect("a name");
    server.handle.exchange().drop_table(&airlane_model::Caller::local(), &name).await.expect("dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_a_message_that_stops_in_its_midst_is_given_up() {
    let patience = Patience { in_message: Duration::from_millis(50), between_messages: LONG, ..Patience::default() };
    let server = server(patience).await;
    let (schema, batch) = broken_off().await;
    // In the prefix, in the descriptor and in a batch.
    for sent in [schema.slice(..3), schema.slice(..20), [&schema[..], &batch].concat().into()] {
        let line = Line::connect(&server).await;
        let mut call = line.call(DO_PUT, &[("airlane-durability", "durable")]).await;
        call.send(sent);
        let (status, _) = call.answer().await;
        assert_given_up(&server, &status).await;
    }
    // A ticket that does not come.
    let line = Line::connect(&server).await;
    let mut call = line.call(DO_GET, &[]).await;
    call.send(Bytes::from_static(&[0, 0]));
    let (status, _) = call.answer().await;
    assert_given_up(&server, &status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_a_message_that_trickles_is_given_up() {
    let patience =
        Patience { in_message: LONG, between_messages: LONG, slow: Duration::ZERO, bytes_per_second_min: u32::MAX };
    let server = server(patience).await;
    let (schema, batch) = broken_off().await;
    let line = Line::connect(&server).await;
    let mut call = line.call(DO_PUT, &[]).await;
    call.send(schema);
    for byte in batch.into_iter().take(100) {
        call.send(vec![byte]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (status, _) = call.answer().await;
    assert_given_up(&server, &status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_a_put_without_another_message_is_given_up() {
    let patience = Patience { in_message: LONG, between_messages: Duration::from_millis(50), ..Patience::default() };
    let server = server(patience).await;
    let (schema, _) = broken_off().await;
    for encoding in ["identity", "gzip"] {
        let line = Line::connect(&server).await;
        let mut call = line.call(DO_PUT, &[("grpc-encoding", encoding)]).await;
        call.send(schema.clone());
        let (status, _) = call.answer().await;
        assert_given_up(&server, &status).await;
    }
    assert_eq!(metric(&server, "airlane_requests_open").await, 1.0, "the one that asks for this");
}
