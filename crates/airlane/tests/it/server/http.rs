//! HTTP/1.1 on the same port.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::tables::*;

/// Status and body of a request.
pub(crate) async fn fetch(server: &TestServer, path: &str) -> (u16, String) {
    fetch_from(&server.address(), path).await
}

async fn fetch_from(address: &str, path: &str) -> (u16, String) {
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

/// The sum of a metric over its labels.
pub(crate) async fn metric(server: &TestServer, name: &str) -> f64 {
    metric_of(&server.address(), name).await
}

/// The same of any server, such as a process of its own.
pub(crate) async fn metric_of(address: &str, name: &str) -> f64 {
    let (_, text) = fetch_from(address, "/metrics").await;
    let values = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
    values.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics() {
    let server = TestServer::start().await;
    put(&mut server.client().await, "t", &[numbers(0, 1_000)]).await.expect("a table");
    assert_eq!(fetch(&server, "/healthz").await.0, 200);
    let (status, body) = fetch(&server, "/readyz").await;
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &body["ready"], &body["reasons"]), (200, &true.into(), &serde_json::json!([])));
    let checks: Vec<_> = body["checks"].as_object().expect("checks").keys().collect();
    assert_eq!(checks, ["store", "disk", "tables", "start", "drain"]);
    let (status, index) = fetch(&server, "/").await;
    assert!(status == 200 && index.contains("Airlane"), "{index}");
    assert_eq!(fetch(&server, "/no/such/page").await.0, 404);

    let (_, text) = fetch(&server, "/metrics").await;
    assert!(text.contains("airlane_requests_total{rpc=\"DoPut\",kind=\"ok\",code=\"ok\"}"), "{text}");
    // A4: the check before decoding exists to keep it there.
    assert!(text.contains("airlane_decode_panics_total 0\n"), "{text}");
    assert!(text.contains("airlane_tables_damaged 0\n"), "{text}");
    assert!(text.contains("airlane_idempotency_keys 0\n"), "{text}");
    assert!(metric(&server, "airlane_flight_rows_total").await >= 1_000.0);
    assert!(metric(&server, "airlane_flight_bytes_total").await >= 8_000.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_serves_pages_too() {
    let server = TestServer::start().await;
    let tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    let task = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/healthz").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("sent");
    assert_eq!(response.await.expect("an answer").status(), 200);
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_its_own_connection_only() {
    let server = TestServer::start().await;
    for bytes in [
        &[0_u8; 64][..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut tcp = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
        tcp.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        // The server closes; whether it says something before is its own business.
        let _ = tcp.read_to_end(&mut answer).await;
    }
    put(&mut server.client().await, "t", &[numbers(0, 10)]).await.expect("the server goes on");
}
