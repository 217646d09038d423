//! Clients that ping often to keep their connection are served on.

use h2::{Ping, client::SendRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::raw::grpc_of;
use super::tables::*;

const PINGS: usize = 200;

async fn begin_get(sender: &mut SendRequest<bytes::Bytes>) -> h2::RecvStream {
    let request = http::Request::post("http://localhost/arrow.flight.protocol.FlightService/DoGet")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let (response, mut stream) = sender.send_request(request, false).expect("sent");
    stream.send_data(grpc_of(&arrow_flight::Ticket::new("t")), true).expect("sent");
    response.await.expect("an answer").into_body()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_pings_two_hundred_times_reads_on() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[numbers(0, 100_000)]).await.expect("a table");
    let tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let (mut sender, mut connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("the first to ask");
    let task = tokio::spawn(async move { drop(connection.await) });

    // Before the first call, and while a reader stands still.
    for _ in 0..PINGS {
        pings.ping(Ping::opaque()).await.expect("a pong");
    }
    let mut body = begin_get(&mut sender).await;
    for _ in 0..PINGS {
        pings.ping(Ping::opaque()).await.expect("a pong");
    }
    let mut bytes = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("data");
        bytes += chunk.len();
        body.flow_control().release_capacity(chunk.len()).expect("capacity");
    }
    assert!(bytes > 800_000, "{bytes}");
    let trailers = body.trailers().await.expect("an end").expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    task.abort();
}

/// Not even all at once are they too many: each is answered.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pings_at_once_get_two_hundred_answers() {
    const FRAME_HEAD_BYTES: usize = 9;
    const TYPE_SETTINGS: u8 = 4;
    const TYPE_PING: u8 = 6;
    const TYPE_GOAWAY: u8 = 7;
    let server = TestServer::start().await;
    let mut tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend_from_slice(&[0, 0, 0, TYPE_SETTINGS, 0, 0, 0, 0, 0]);
    for number in 0..PINGS as u64 {
        sent.extend_from_slice(&[0, 0, 8, TYPE_PING, 0, 0, 0, 0, 0]);
        sent.extend_from_slice(&number.to_be_bytes());
    }
    tcp.write_all(&sent).await.expect("sent");
    let mut answered = Vec::new();
    while answered.len() < PINGS {
        let mut head = [0; FRAME_HEAD_BYTES];
        tcp.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        tcp.read_exact(&mut payload).await.expect("its payload");
        assert_ne!(head[3], TYPE_GOAWAY, "too many pings: {payload:?}");
        if head[3] == TYPE_PING && head[4] & 1 == 1 {
            answered.push(u64::from_be_bytes(payload.try_into().expect("eight bytes")));
        }
    }
    assert_eq!(answered, (0..PINGS as u64).collect::<Vec<_>>());
}
