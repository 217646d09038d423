//! G7: how many connections there are, and how old they get.

use std::num::NonZeroU32;
use std::time::Duration;

use airlane::server::ConnectionLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::raw::*;
use super::rights::eventually_async;
use super::tables::*;

fn limits(all: u32, per_address: u32) -> ConnectionLimits {
    let of = |count| NonZeroU32::new(count).expect("not zero");
    ConnectionLimits { all: of(all), per_address: of(per_address) }
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_connection_above_the_cap_is_closed_and_the_others_go_on() {
    // Loopback has no cap of its own: all of these may come from a proxy.
    let server = TestServer::start_with(|_, options| options.connections = limits(16, 1)).await;
    let mut client = server.client().await;
    put(&mut client, "t", &[numbers(0, 10)]).await.expect("a table");
    let mut lines = Vec::new();
    for _ in 1..16 {
        lines.push(Line::connect(&server).await);
    }
    for _ in 0..5 {
        let mut above = TcpStream::connect(server.address()).await.expect("the kernel takes it");
        let read = above.read(&mut [0; 16]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "closed: {read:?}");
    }
    get(&mut client, "t").await.expect("who is there goes on");
    for line in &lines {
        assert!(line.is_open().await);
    }
    drop(lines.pop());
    eventually_async("one that ends makes room", async || {
        let mut next = TcpStream::connect(server.address()).await.expect("the kernel takes it");
        let read = tokio::time::timeout(Duration::from_millis(50), next.read(&mut [0; 16])).await;
        read.is_err()
    })
    .await;
    drop(lines);
    eventually_async("they are counted", async || {
        // One may be closed too, until the server has noticed that the others are gone.
        let mut tcp = TcpStream::connect(server.address()).await.expect("the kernel takes it");
        let mut text = String::new();
        let asked = tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        if asked.is_err() || tcp.read_to_string(&mut text).await.is_err() {
            return false;
        }
        let line = text.lines().find_map(|line| line.strip_prefix("airlane_connections_refused_total{cap=\"all\"} "));
        line.is_some_and(|count| count.parse::<u64>().expect("a count") >= 5)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_connection_that_is_old_ends_with_what_runs_on_it() {
    let server = TestServer::start_with(|_, options| options.connection_age = Some(Duration::from_millis(200))).await;
    let messages = encoded("t", &[numbers(0, 10)]).await;
    let (mut line, mut call) = loop {
        // On a machine that is slow it may be old before the call.
        let line = Line::connect(&server).await;
        let begun = tokio::spawn(async move {
            let call = line.call(DO_PUT, &[]).await;
            (line, call)
        });
        if let Ok(begun) = begun.await {
            break begun;
        }
    };
    call.send(grpc_of(&messages[0]));
    eventually_async("it takes no more calls", async || !line.is_open().await).await;
    // The put that was begun before goes on as if nothing was.
    messages[1..].iter().for_each(|message| call.send(grpc_of(message)));
    call.end();
    assert_eq!(call.answer().await.0.code(), tonic::Code::Ok);
    assert_eq!(server.tables(), ["t"]);
    line.ended().await;

    // A stock client goes on, however often its connection becomes old. One thing it cannot know: that the connection ends
    // in the moment in which it gives a call to it. That call was never sent, and the client says so, in one of two ways.
    let mut client = server.client().await;
    let mut unsent = 0;
    for _ in 0..20 {
        match get(&mut client, "t").await {
            Ok((_, batches)) => assert_eq!(batches[0].num_rows(), 10),
            Err(status) if is_unsent(&status) => unsent += 1,
            Err(status) => panic!("a read that was cut off: {status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(unsent <= 5, "{unsent} of 20 calls met the end of a connection");
}

fn is_unsent(status: &tonic::Status) -> bool {
    let text = format!("{status:?}");
    text.contains("operation was canceled") || text.contains("GoAway(b\"\", NO_ERROR, Remote)")
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_over_http_1_a_connection_that_is_old_ends_after_its_answer() {
    let server = TestServer::start_with(|_, options| options.connection_age = Some(Duration::from_millis(100))).await;
    let mut tcp = TcpStream::connect(server.address()).await.expect("a connection");
    let mut answers = Vec::new();
    // Sent until the server has closed: one that is old answers and closes, or closes when it is idle.
    while tcp.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() {
        let mut chunk = [0; 4096];
        match tcp.read(&mut chunk).await {
            Ok(count @ 1..) => answers.extend_from_slice(&chunk[..count]),
            _ => break,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answers.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answers));
}
