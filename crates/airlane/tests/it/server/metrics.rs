//! What `/metrics` tells.

use std::collections::{BTreeMap, BTreeSet};

use airlane::server::{METRICS, MetricKind};
use arrow_flight::{Empty, FlightData, HandshakeRequest, Ticket};
use futures::TryStreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::harness::*;
use super::http::fetch;
use super::rights::{eventually_async, fetch_at, guarded, with};
use super::tables::*;

/// The sum of the samples that begin so.
fn sum(text: &str, sample: &str) -> f64 {
    let values = text.lines().filter_map(|line| line.strip_prefix(sample));
    values.map(|rest| rest.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number")).sum()
}

async fn ask_for_everything(server: &TestServer) {
    let mut client = server.client().await;
    put(&mut client, "t", &[numbers(0, 10)]).await.expect("put");
    get(&mut client, "t").await.expect("read");
    get(&mut client, "absent").await.expect_err("absent");
    client.do_exchange(futures::stream::empty()).await.expect_err("not implemented");
    client.handshake(futures::stream::empty::<HandshakeRequest>()).await.expect_err("nobody has to log in here");
    client.list_actions(Empty {}).await.expect("a list").into_inner().try_collect::<Vec<_>>().await.expect("a list");
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.address())).expect("an address");
    let mut health = HealthClient::new(channel.connect().await.expect("a connection"));
    health.check(HealthCheckRequest::default()).await.expect("an answer");
    assert_eq!(fetch(server, "/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_metrics_is_what_a_server_exports() {
    // With a gate that refuses somebody: what is counted only then is there too.
    let guarded = guarded(&["reader"], "").await;
    guarded.client().await.list_actions(with(Some("wrong"), Empty {})).await.expect_err("refused");
    // And one that lends its memory.
    let lending = crate::local::start(|_| {}).await;
    let batches = airlane_testkit::tables::sample("airlines").1;
    let client = lending.connect().await;
    crate::local::put(&client, "lent", batches, airlane_client::PutOptions::default()).await.expect("put");
    crate::local::read(&client, "lent").await.expect("read");
    let server = TestServer::start().await;
    ask_for_everything(&server).await;
    let (_, text) = fetch(&server, "/metrics").await;

    let mut exported: BTreeMap<&str, (&str, BTreeSet<&str>)> = BTreeMap::new();
    for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
        exported.insert(name, (kind, BTreeSet::new()));
        assert!(text.contains(&format!("# HELP {name} ")), "{name} says what it is");
    }
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a sample"));
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        let (_, labels) = exported.get_mut(family).unwrap_or_else(|| panic!("{line} has a type"));
        let listed = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let keys = listed.split("\",").filter_map(|label| label.split_once('=')).map(|(key, _)| key);
        labels.extend(keys.filter(|key| *key != "le"));
    }
    let listed: BTreeMap<&str, (&str, BTreeSet<&str>)> = METRICS
        .iter()
        .map(|metric| {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            (metric.name, (kind, metric.labels.iter().copied().collect()))
        })
        .collect();
    assert_eq!(exported, listed, "what is exported is not what the list, and so the reference, has");
    let page =
        std::fs::read_to_string(airlane_testkit::workspace().join("docs/reference/metrics.md")).expect("the page");
    let shown: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert_eq!(shown, listed.keys().copied().collect(), "`cargo xtask generate` writes the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_of_every_door_is_counted_by_its_end() {
    let server = TestServer::start().await;
    let before = fetch(&server, "/metrics").await.1;
    ask_for_everything(&server).await;
    // The server counts when it has let go of an answer, which the client does not wait for.
    for (sample, least) in [
        ("airlane_requests_total{rpc=\"DoPut\",kind=\"ok\",code=\"ok\"}", 1.0),
        ("airlane_requests_total{rpc=\"DoGet\",kind=\"ok\",code=\"ok\"}", 1.0),
        ("airlane_requests_total{rpc=\"DoGet\",kind=\"not_found\",code=\"table_not_found\"}", 1.0),
        ("airlane_requests_total{rpc=\"DoExchange\",kind=\"not_implemented\",code=\"not_implemented\"}", 1.0),
        ("airlane_requests_total{rpc=\"Handshake\"", 1.0),
        ("airlane_requests_total{rpc=\"Health\",kind=\"ok\"", 1.0),
        ("airlane_requests_total{rpc=\"GET /healthz\",kind=\"ok\"", 1.0),
        ("airlane_request_duration_seconds_count{rpc=\"DoPut\"}", 1.0),
        ("airlane_request_duration_seconds_bucket{rpc=\"DoGet\",le=\"+Inf\"}", 2.0),
        ("airlane_request_first_message_seconds_count{rpc=\"DoGet\"}", 1.0),
        ("airlane_flight_rows_total{direction=\"out\"}", 10.0),
        ("airlane_flight_rows_total{direction=\"in\"}", 10.0),
    ] {
        let had = sum(&before, sample);
        eventually_async(sample, async || sum(&fetch(&server, "/metrics").await.1, sample) >= had + least).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_open_until_its_client_has_it_or_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        airlane_testkit::ServerProcess::start(crate::cli::binary(), &folder.path().join("data"), [] as [&str; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    put(&mut client_of(&address).await, "large", &[numbers(0, 4_000_000)]).await.expect("put");
    let shown = async || fetch_at(&address, "/metrics", "").await.1;
    let text = shown().await;
    assert!(text.contains("airlane_tables{durability=\"durable\"} 1\n"), "{text}");
    assert!(text.contains("airlane_table_bytes{durability=\"durable\"} 32000000\n"), "{text}");
    assert!(text.contains("airlane_segments{durability=\"ephemeral\"} 0\n"), "{text}");
    assert!(sum(&text, "process_resident_memory_bytes ") > 1e6, "{text}");
    let read = client_of(&address).await.do_get(Ticket::new("large")).await.expect("a read");
    let open = "airlane_requests_open{rpc=\"DoGet\"}";
    eventually_async("it is open", async || sum(&shown().await, open) == 1.0).await;
    drop(read);
    eventually_async("it is not", async || sum(&shown().await, open) == 0.0).await;
    let cut_off = "airlane_requests_total{rpc=\"DoGet\",kind=\"cancelled\",code=\"cut_off\"}";
    assert_eq!(sum(&shown().await, cut_off), 1.0);
}

/// Its trailers are bytes to everybody behind the Flight door.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_grpc_web_is_counted_by_its_own_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        airlane_testkit::ServerProcess::start(crate::cli::binary(), &folder.path().join("data"), [] as [&str; 0]);
    let address = format!("127.0.0.1:{}", server.port());
    let mut messages = encoded("t", &[numbers(0, 10)]).await;
    messages[1].data_header = b"no header of a message".to_vec().into();
    let chunk = |message: &FlightData| {
        let message = super::raw::grpc_of(message);
        [format!("{:x}\r\n", message.len()).as_bytes(), &message[..], b"\r\n"].concat()
    };
    let mut tcp = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    let head = "POST /arrow.flight.protocol.FlightService/DoPut HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/grpc-web+proto\r\ntransfer-encoding: chunked\r\n\r\n";
    tcp.write_all(&[head.as_bytes(), &chunk(&messages[0])].concat()).await.expect("sent");
    let mut answer = vec![0; 12];
    tcp.read_exact(&mut answer).await.expect("the answer has begun");
    assert_eq!(answer, b"HTTP/1.1 200");
    tcp.write_all(&[&chunk(&messages[1])[..], b"0\r\n\r\n"].concat()).await.expect("sent");
    tcp.read_to_end(&mut answer).await.expect("the rest");
    assert!(String::from_utf8_lossy(&answer).contains("message_invalid"), "{answer:?}");
    let counted = "airlane_requests_total{rpc=\"DoPut\",kind=\"invalid_argument\",code=\"message_invalid\"} 1\n";
    eventually_async("it is counted", async || fetch_at(&address, "/metrics", "").await.1.contains(counted)).await;
}
