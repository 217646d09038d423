//! The end of a server, as the processes around it see it.

use airlane_testkit::ServerProcess;
use arrow_array::RecordBatch;
use arrow_flight::{FlightData, Ticket};
use futures::TryStreamExt;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::harness::*;
use super::rights::{eventually_async, fetch_at};
use super::tables::*;
use crate::cli::binary;

/// More than sockets and windows hold, so that a read of it runs until it is read out.
const ROWS: usize = 4_000_000;

fn start(folder: &std::path::Path, drain_timeout: &str) -> (ServerProcess, String) {
    let server = ServerProcess::start(binary(), &folder.join("data"), ["--drain-timeout", drain_timeout]);
    let address = format!("127.0.0.1:{}", server.port());
    (server, address)
}

async fn is_refusing(address: &str) -> bool {
    fetch_at(address, "/readyz", "").await.0.starts_with("HTTP/1.1 503")
}

/// A put that has begun, its schema and a batch taken, and waits for more.
struct Putting {
    messages: UnboundedSender<FlightData>,
    receipt: JoinHandle<Result<airlane_model::Receipt, Status>>,
}

async fn begin_put(address: &str, name: &str) -> Putting {
    let taken = super::http::metric_of(address, "airlane_flight_bytes_total").await;
    let (messages, sent) = unbounded();
    for message in encoded(name, &[numbers(0, 1_000)]).await {
        messages.unbounded_send(message).expect("sent");
    }
    let mut client = client_of(address).await;
    let receipt = tokio::spawn(async move { put_request(&mut client, Request::new(sent)).await });
    eventually_async("the put is under way", async || {
        super::http::metric_of(address, "airlane_flight_bytes_total").await >= taken + 8_000.0
    })
    .await;
    Putting { messages, receipt }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_ends_well_and_what_comes_is_told_that_the_server_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), "1h");
    put(&mut client_of(&address).await, "large", &[numbers(0, ROWS)]).await.expect("put");
    // What runs: a read that nobody takes yet, and a put that is not at its end. What waits: a connection that asks
    // nothing, and one that would hear of changes.
    let mut idle = client_of(&address).await;
    get(&mut idle, "large?rows=0-1").await.expect("the connection is there");
    let read = client_of(&address).await.do_get(Ticket::new("large")).await.expect("a read").into_inner();
    let putting = begin_put(&address, "begun").await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).expect("an address");
    let mut health = HealthClient::new(channel.connect().await.expect("a connection"));
    let mut changes = health.watch(HealthCheckRequest::default()).await.expect("a watch").into_inner();
    assert_eq!(changes.message().await.expect("a state").expect("one").status(), ServingStatus::Serving);

    server.ask_to_stop();
    eventually_async("it says that it is not ready", async || is_refusing(&address).await).await;
    let (_, body) = fetch_at(&address, "/readyz", "").await;
    assert!(body.contains("the server is stopping"), "{body}");
    assert_eq!(changes.message().await.expect("a state").expect("one").status(), ServingStatus::NotServing);
    assert!(fetch_at(&address, "/healthz", "").await.0.starts_with("HTTP/1.1 200"), "it lives");
    assert!(fetch_at(&address, "/metrics", "").await.0.starts_with("HTTP/1.1 200"), "it can be watched");

    // New requests, over new connections and old ones.
    let (head, body) = fetch_at(&address, "/", "").await;
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1"), "{head}");
    assert!(body.contains("shutting_down"), "{body}");
    for client in [&mut client_of(&address).await, &mut idle] {
        let status = get(client, "large").await.expect_err("refused");
        assert_eq!((status.code(), code_name(&status)), (Code::Unavailable, "shutting_down"));
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(details.contains("google.rpc.RetryInfo"), "{details}");
        let status = put(client, "new", &[numbers(0, 10)]).await.expect_err("refused");
        assert_eq!(code_name(&status), "shutting_down");
    }

    // What ran goes on to its end.
    for message in encoded("begun", &[numbers(0, 1_000), numbers(1_000, 1_000)]).await.into_iter().skip(2) {
        putting.messages.unbounded_send(message).expect("sent");
    }
    drop(putting.messages);
    let receipt = putting.receipt.await.expect("no panic").expect("committed");
    assert_eq!(receipt.rows, 2_000);
    let (_, batches) = decode(read).await.expect("all of it");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), ROWS);
    let (status, stderr) = tokio::task::spawn_blocking(|| server.wait()).await.expect("no panic");
    assert!(status.success() && !stderr.contains("cut off"), "{stderr}");
    assert!(changes.message().await.is_ok_and(|change| change.is_none()), "the stream of changes has an end");

    let (server, address) = start(folder.path(), "10s");
    let (_, batches) = get(&mut client_of(&address).await, "begun").await.expect("kept");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2_000);
    let status = get(&mut client_of(&address).await, "new").await.expect_err("never taken");
    assert_eq!(status.code(), Code::NotFound);
    assert!(server.stop().0.success());
}

/// Ends a server in the midst of a put; the put was told so, and nothing of it is there afterwards.
async fn cut_off(drain_timeout: &str, signals: usize) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), drain_timeout);
    put(&mut client_of(&address).await, "t", &[numbers(0, 10)]).await.expect("put");
    let putting = begin_put(&address, "t").await;
    server.ask_to_stop();
    if signals > 1 {
        // Signals that come at once are one.
        eventually_async("it stops", async || is_refusing(&address).await).await;
        server.ask_to_stop();
    }
    let (status, stderr) = tokio::task::spawn_blocking(|| server.wait()).await.expect("no panic");
    assert!(status.success(), "{status}: {stderr}");
    putting.receipt.await.expect("no panic").expect_err("cut off");
    let (_server, address) = start(folder.path(), "10s");
    let (_, batches) = get(&mut client_of(&address).await, "t").await.expect("what was there");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_ended_in_time_is_cut_off_and_nothing_is_half_committed() {
    let stderr = cut_off("50ms", 1).await;
    assert!(stderr.contains("not ended within 50ms were cut off: 1"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    cut_off("1h", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_ask_nothing_do_not_hold_the_end_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), "1h");
    let mut client = client_of(&address).await;
    put(&mut client, "t", &[numbers(0, 10)]).await.expect("put");
    let actions = client.list_actions(arrow_flight::Empty {}).await.expect("a list").into_inner();
    assert!(actions.map_ok(|_| 1).try_collect::<Vec<_>>().await.expect("a list").len() > 1);
    let silent = tokio::net::TcpStream::connect(&address).await.expect("a connection");
    let (status, stderr) = tokio::task::spawn_blocking(|| server.stop()).await.expect("no panic");
    assert!(status.success(), "{stderr}");
    drop((client, silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_is_lost_at_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let rights = folder.path().join("rights.toml");
    std::fs::write(
        &rights,
        super::rights::rights_file(&["ci"], "[rights.ci]\n\"*\" = [\"read\", \"write\", \"admin\"]\n"),
    )
    .expect("written");
    for signals in [1, 2] {
        let arguments = ["--drain-timeout", "1h", "--rights-file", &rights.display().to_string()];
        let server = ServerProcess::start(binary(), &folder.path().join("data"), arguments);
        let address = format!("127.0.0.1:{}", server.port());
        let mut client = client_of(&address).await;
        let token = super::rights::token_of("ci");
        for _ in 0..500 {
            let ask = super::rights::with(Some(&token), Ticket::new("absent"));
            client.do_get(ask).await.expect_err("absent");
        }
        // One that holds the end up, so that the second signal has something to cut off.
        let held = (signals > 1).then(|| {
            let (sender, messages) = unbounded::<FlightData>();
            let request = super::rights::with(Some(&token), messages);
            (sender, tokio::spawn(async move { put_request(&mut client, request).await }))
        });
        if held.is_some() {
            let headers = format!("authorization: Bearer {token}\r\n");
            eventually_async("it runs", async || {
                let (_, text) = fetch_at(&address, "/metrics", &headers).await;
                text.contains("airlane_requests_open{rpc=\"DoPut\"} 1\n")
            })
            .await;
        }
        server.ask_to_stop();
        if held.is_some() {
            eventually_async("it stops", async || is_refusing(&address).await).await;
            server.ask_to_stop();
        }
        let (status, stderr) = tokio::task::spawn_blocking(|| server.wait()).await.expect("no panic");
        assert!(status.success(), "{stderr}");
        let lines = stderr.lines().filter(|line| line.contains("outcome=table_not_found"));
        assert_eq!(lines.count(), 500, "{stderr}");
    }
}
