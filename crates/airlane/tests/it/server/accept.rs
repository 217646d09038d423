//! Many connections and calls at once.

use super::harness::*;
use super::raw::*;
use super::tables::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_many_calls_at_once() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[numbers(0, 10)]).await.expect("a table");
    let line = Line::connect(&server).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        let mut call = line.call(DO_GET, &[]).await;
        call.send(grpc_of(&arrow_flight::Ticket::new("t")));
        calls.push(call);
    }
    calls.iter_mut().for_each(Call::end);
    for call in calls {
        let (status, data) = call.answer().await;
        assert_eq!(status.code(), tonic::Code::Ok);
        assert!(!data.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_a_running_read_finish() {
    let server = TestServer::start().await;
    let batches: Vec<_> = (0..30).map(|index| numbers(index * 100_000, 100_000)).collect();
    let mut client = server.client().await;
    put(&mut client, "t", &batches).await.expect("a table");
    let mut read = client.do_get(arrow_flight::Ticket::new("t")).await.expect("a table").into_inner();
    read.message().await.expect("a schema").expect("a schema");
    server.handle.stop();
    let mut bytes = 0;
    while let Some(message) = read.message().await.expect("the read goes on") {
        bytes += message.data_body.len();
    }
    assert_eq!(bytes, 3_000_000 * 8);
    let TestServer { mut handle, folder: _folder } = server;
    handle.wait().await.expect("a clean end");
    assert!(put(&mut client, "t", &[numbers(0, 1)]).await.is_err(), "no more calls");
}
