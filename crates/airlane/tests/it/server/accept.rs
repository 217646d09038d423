//! Many connections and calls at once.

use std::net::TcpStream;
use std::path::Path;

use airlane_testkit::ServerProcess;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

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

#[tokio::test(flavor = "multi_thread")]
async fn g8_a_server_without_descriptors_accepts_again_when_it_has_some() {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = Path::new(env!("CARGO_BIN_EXE_airlane"));
    let server = ServerProcess::start(binary, &folder.path().join("data"), [] as [&str; 0]);
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).expect("a process id");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("descriptors").count();
    let limit = descriptors() + 10;
    let few = Rlimit { current: Some(limit as u64), maximum: Some(1 << 10) };
    prlimit(Some(pid), Resource::Nofile, few).expect("limited");

    let connect = || TcpStream::connect(("127.0.0.1", server.port())).expect("the kernel takes it");
    let silent: Vec<TcpStream> = (0..50).map(|_| connect()).collect();
    eventually("the descriptors are used up", || descriptors() >= limit).await;
    drop(silent);

    let client = airlane_client::Client::connect(&server.url()).await.expect("accepted");
    assert_eq!(client.list("").await.expect("answered"), []);
}
