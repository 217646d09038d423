//! G6: readers that stop. The server's own times, made short, end them; no test measures time.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use airlane::server::ReaderPatience;
use airlane_model::Caller;
use airlane_testkit::ServerProcess;
use tonic::Code;

use super::counted::{rows, sign};
use super::harness::*;
use super::raw::*;
use super::rights::eventually_async;
use super::tables::*;
use super::vanish::held;
use crate::cli::binary;

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(60);

async fn server(calm: Duration, pressed: Duration, streams: u32) -> TestServer {
    let server = TestServer::start_with(|_, options| {
        options.readers = ReaderPatience { calm, pressed, ..ReaderPatience::default() };
        options.streams_max = NonZeroU32::new(streams).expect("not zero");
    })
    .await;
    let batches: Vec<_> = (0..100).map(|index| numbers(index * 100_000, 100_000)).collect();
    put(&mut server.client().await, "t", &batches).await.expect("a table");
    server
}

/// A connection whose streams do not wait for one another.
async fn wide(address: &str) -> Line {
    let mut settings = h2::client::Builder::new();
    settings.initial_connection_window_size(64 << 20);
    Line::with(settings, tokio::net::TcpStream::connect(address).await.expect("a connection")).await
}

/// A read of which nothing more is taken than the windows of its client hold.
async fn stalled(line: &Line, ticket: &str, headers: &[(&str, &str)]) -> h2::RecvStream {
    let mut call = line.call(DO_GET, headers).await;
    call.send(grpc_of(&arrow_flight::Ticket::new(ticket.to_owned())));
    call.end();
    let mut body = call.stall().await;
    let first = body.data().await.expect("data").expect("data");
    assert!(!first.is_empty());
    body
}

async fn counted_as(server: &TestServer, line: &str) -> bool {
    let (_, text) = super::rights::fetch_at(&server.address(), "/metrics", "").await;
    text.lines().any(|it| it.starts_with(line))
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_a_reader_that_stops_is_ended_and_gives_back_what_it_had() {
    let server = server(SHORT, LONG, 1_000).await;
    let mut client = server.client().await;
    for headers in [&[("grpc-encoding", "identity")][..], &[("grpc-encoding", "gzip")]] {
        let once = sign(&mut client, r#"{"ticket":"t","reads":1}"#).await.expect("a ticket");
        let line = Line::connect(&server).await;
        let mut body = stalled(&line, &once, headers).await;
        eventually_async("the counted read is given back", async || {
            rows(&mut client.clone(), &once).await.is_ok_and(|rows| rows == 10_000_000)
        })
        .await;
        // What is in the client's windows comes, and then the reset.
        let ended = loop {
            match body.data().await {
                Some(Ok(data)) => body.flow_control().release_capacity(data.len()).expect("capacity"),
                Some(Err(error)) => break error,
                None => panic!("the read was not cut"),
            }
        };
        assert_eq!(ended.reason(), Some(h2::Reason::CANCEL), "{ended}");
        // The line carries other calls.
        let mut other = line.call(DO_GET, &[]).await;
        other.send(grpc_of(&arrow_flight::Ticket::new("t?rows=0-10")));
        other.end();
        assert_eq!(other.answer().await.0.code(), Code::Ok);
    }
    let told = r#"airlane_requests_total{rpc="DoGet",kind="deadline_exceeded",code="reader_stalled"}"#;
    assert!(counted_as(&server, told).await);

    let line = Line::connect(&server).await;
    let _body = stalled(&line, "t", &[]).await;
    let name = "t".parse().expect("a name");
    server.handle.exchange().drop_table(&Caller::local(), &name).await.expect("dropped");
    eventually("the version is let go, the line is there", || held(&server).is_empty()).await;
}

/// With a copy made for each of them, as clients that compress their requests have it.
#[tokio::test(flavor = "multi_thread")]
async fn g11_what_readers_took_that_stopped_goes_back_to_the_machine() {
    const READERS: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let patience = [("AIRLANE_READ_STALL_MAX", "3s")];
    let server = ServerProcess::start_in(&patience, Path::new(binary()), &folder.path().join("data"), [""; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    let batches: Vec<_> = (0..20).map(|index| numbers(index * 100_000, 100_000)).collect();
    put(&mut client_of(&address).await, "t", &batches).await.expect("a table");
    let before = memory_of(server.id());
    let line = wide(&address).await;
    let mut highest = 0;
    let mut bodies = Vec::new();
    for _ in 0..READERS {
        bodies.push(stalled(&line, "t", &[("grpc-encoding", "gzip")]).await);
        highest = highest.max(memory_of(server.id()));
    }
    assert!(highest > before + (32 << 20), "they take something: {highest} after {before}");
    eventually("it is given back, and the line is there", || memory_of(server.id()) < before + (16 << 20)).await;
    assert!(line.is_open().await);
    drop(bodies);
    let (status, log) = server.stop();
    assert!(status.success() && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_over_http_1_a_reader_that_stops_loses_its_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = server(SHORT, LONG, 1_000).await;
    let mut tcp = tokio::net::TcpStream::connect(server.address()).await.expect("a connection");
    let body = grpc_of(&arrow_flight::Ticket::new("t"));
    let head = format!(
        "POST /arrow.flight.protocol.FlightService/DoGet HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    tcp.write_all(&[head.as_bytes(), &body].concat()).await.expect("sent");
    tcp.readable().await.expect("an answer");
    let name = "t".parse().expect("a name");
    server.handle.exchange().drop_table(&Caller::local(), &name).await.expect("dropped");
    eventually("the version is let go", || held(&server).is_empty()).await;
    let mut rest = Vec::new();
    // Its end, or a reset: what the socket held is not all of it.
    let _ = tcp.read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200") && rest.len() < 80_000_000, "{}", rest.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_the_last_of_an_answer_is_watched_too() {
    // The client has room for all but the end of the last message.
    let server = server(SHORT, LONG, 1_000).await;
    put(&mut server.client().await, "small", &[numbers(0, 100_000)]).await.expect("a table");
    let tcp = tokio::net::TcpStream::connect(server.address()).await.expect("a connection");
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(700_000).initial_connection_window_size(8 << 20);
    let line = Line::with(builder, tcp).await;
    let _body = stalled(&line, "small", &[]).await;
    let name = "small".parse().expect("a name");
    server.handle.exchange().drop_table(&Caller::local(), &name).await.expect("dropped");
    let own: Vec<String> = held(&server);
    assert!(!own.is_empty(), "the other table is there");
    eventually_async("it was ended", async || counted_as(&server, "airlane_readers_stalled_total ").await).await;
    let told = r#"airlane_requests_total{rpc="DoGet",kind="deadline_exceeded",code="reader_stalled"}"#;
    eventually_async("it was ended", async || counted_as(&server, told).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_when_streams_are_short_those_that_stopped_make_room() {
    let server = server(LONG, SHORT, 20).await;
    let line = wide(&server.address()).await;
    let mut bodies = Vec::new();
    for _ in 0..17 {
        bodies.push(stalled(&line, "t", &[]).await);
    }
    // Nine of ten.
    let _last = stalled(&line, "t", &[]).await;
    let told = r#"airlane_requests_open{rpc="DoGet"} 0"#;
    eventually_async("all that stopped were ended", async || counted_as(&server, told).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_one_stream_too_many_is_told_so_and_the_others_go_on() {
    let server = server(LONG, LONG, 16).await;
    let line = wide(&server.address()).await;
    let mut bodies = Vec::new();
    for _ in 0..16 {
        bodies.push(stalled(&line, "t", &[]).await);
    }
    let mut client = server.client().await;
    let status = get(&mut client, "t?rows=0-10").await.expect_err("too many");
    assert_eq!((status.code(), code_name(&status)), (Code::ResourceExhausted, "streams_full"), "{status}");
    let status = put(&mut client, "u", &[numbers(0, 10)]).await.expect_err("too many");
    assert_eq!(code_name(&status), "streams_full");
    client.get_flight_info(by_path("t")).await.expect("what is no stream of data is answered");
    assert!(counted_as(&server, r#"airlane_gate_refused_total{code="streams_full"}"#).await);
    drop(bodies.pop());
    eventually_async("one that ends makes room", async || get(&mut client.clone(), "t?rows=0-10").await.is_ok()).await;
}
