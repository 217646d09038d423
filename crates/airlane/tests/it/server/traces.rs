//! Traces, as a collector receives them.

use airlane_testkit::ServerProcess;
use arrow_flight::{Action, Ticket};
use futures::TryStreamExt;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{Request, Response, Status};

use super::harness::*;
use super::rights::{fetch_at, with};
use super::tables::*;
use crate::cli::binary;

struct Collector(UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // The test may have seen enough.
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector on a free port: its address and what it receives.
async fn collect() -> (String, UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, received) = unbounded_channel();
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let service = TraceServiceServer::new(Collector(sender));
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (address, received)
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

const TOKEN: &str = "canary-token";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_collector_gets_a_span_for_each_request_and_no_secret() {
    let (endpoint, mut received) = collect().await;
    let folder = tempfile::tempdir().expect("a folder");
    let rights = folder.path().join("rights.toml");
    let sha256 = airlane_gate::NewToken::of(airlane_model::Secret::new(TOKEN)).sha256;
    let text = format!("[token.ci]\nsha256 = \"{sha256}\"\n[rights.ci]\n\"*\" = [\"read\", \"write\", \"admin\"]\n");
    std::fs::write(&rights, text).expect("written");
    // Nothing leaves before the end: the delay is longer than the test.
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let arguments = ["--rights-file", &rights.display().to_string()];
    let server = ServerProcess::start_in(&variables, binary(), &folder.path().join("data"), arguments);
    let address = format!("127.0.0.1:{}", server.port());
    let mut client = client_of(&address).await;
    let put = encode(by_path("eu/t"), numbers_schema(), vec![numbers(0, 10)]);
    put_request(&mut client, with(Some(TOKEN), put)).await.expect("put");
    let asked = Action { r#type: "ticket".into(), body: "{\"ticket\":\"eu/t\",\"ttl\":\"1h\"}".into() };
    let answer = client.do_action(with(Some(TOKEN), asked)).await.expect("signed").into_inner();
    let signed: Vec<arrow_flight::Result> = answer.try_collect().await.expect("signed");
    let signed: serde_json::Value = serde_json::from_slice(&signed[0].body).expect("JSON");
    let ticket = signed["ticket"].as_str().expect("a ticket").to_owned();
    let mut read = with(Some(TOKEN), Ticket::new(ticket.clone()));
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    read.metadata_mut().insert("traceparent", traceparent.parse().expect("a header"));
    decode(client.do_get(read).await.expect("a read").into_inner()).await.expect("rows");
    let mut broken = with(Some(TOKEN), Ticket::new("absent"));
    broken.metadata_mut().insert("traceparent", "00-canary".parse().expect("a header"));
    client.do_get(broken).await.expect_err("absent");
    client.do_get(with(Some("canary-wrong"), Ticket::new("eu/t"))).await.expect_err("refused");
    let headers = format!("authorization: Bearer {TOKEN}\r\n");
    assert!(fetch_at(&address, "/metrics?token=canary-query", &headers).await.0.starts_with("HTTP/1.1 200"));
    assert!(fetch_at(&address, "/healthz", "").await.0.starts_with("HTTP/1.1 200"));

    let (status, stderr) = tokio::task::spawn_blocking(|| server.stop()).await.expect("no panic");
    assert!(status.success() && stderr.contains("traces are exported"), "{stderr}");
    let mut exported = Vec::new();
    while let Ok(request) = received.try_recv() {
        exported.push(request);
    }
    let all = format!("{exported:?}");
    assert!(!all.contains("canary") && !all.contains(&ticket[..40]), "a secret: {all}");
    let resources = exported.iter().flat_map(|request| &request.resource_spans);
    let resource = format!("{:?}", resources.clone().next().expect("spans").resource);
    assert!(resource.contains("airlane") && resource.contains("deployment.environment.name"), "{resource}");
    let spans: Vec<&Span> = resources.flat_map(|spans| &spans.scope_spans).flat_map(|scope| &scope.spans).collect();
    let of = |name: &str, outcome: &str| {
        let is_it = |span: &&&Span| span.name == name && attribute(span, "airlane.outcome").as_deref() == Some(outcome);
        *spans.iter().find(is_it).unwrap_or_else(|| panic!("no {name} that is {outcome}: {spans:#?}"))
    };
    let get = "arrow.flight.protocol.FlightService/DoGet";
    let read = of(get, "ok");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((hex(&read.trace_id), hex(&read.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    for (key, value) in [
        ("rpc.system", "grpc"),
        ("rpc.method", "DoGet"),
        ("rpc.grpc.status_code", "0"),
        ("airlane.caller", "ci"),
        ("airlane.table", "eu/t"),
        ("airlane.rows", "10"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(read, key).as_deref(), Some(value), "{key}");
    }
    assert!(read.end_time_unix_nano >= read.start_time_unix_nano && read.start_time_unix_nano > 1 << 60);
    assert!(attribute(read, "airlane.bytes_out").expect("bytes").parse::<u64>().expect("a number") > 80);
    let absent = of(get, "table_not_found");
    assert!(absent.parent_span_id.is_empty(), "a broken header begins a trace");
    assert_eq!(attribute(of(get, "credentials_refused"), "airlane.caller").as_deref(), Some("-"));
    assert_eq!(attribute(of("arrow.flight.protocol.FlightService/DoPut", "ok"), "airlane.rows").as_deref(), Some("10"));
    let page = of("GET /metrics", "ok");
    assert_eq!(attribute(page, "http.response.status_code").as_deref(), Some("200"));
    assert!(!spans.iter().any(|span| span.name.contains("healthz")), "probes make no spans");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_or_silent_harms_no_request_and_holds_no_end_up() {
    // One that refuses connections, and one that takes them and says nothing.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for endpoint in [gone, silent.local_addr().expect("an address")] {
        let endpoint = format!("http://{endpoint}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "2"),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let server = ServerProcess::start_in(&variables, binary(), &folder.path().join("data"), [] as [&str; 0]);
        let mut client = client_of(&format!("127.0.0.1:{}", server.port())).await;
        put(&mut client, "t", &[numbers(0, 10)]).await.expect("put");
        for _ in 0..100 {
            get(&mut client, "t").await.expect("read");
        }
        let (status, stderr) = tokio::task::spawn_blocking(|| server.stop()).await.expect("no panic");
        assert!(status.success(), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_traces_are_made_where_they_are_turned_off() {
    let (endpoint, mut received) = collect().await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_SDK_DISABLED", "true")];
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start_in(&variables, binary(), &folder.path().join("data"), [] as [&str; 0]);
    put(&mut client_of(&format!("127.0.0.1:{}", server.port())).await, "t", &[numbers(0, 10)]).await.expect("put");
    let (status, stderr) = tokio::task::spawn_blocking(|| server.stop()).await.expect("no panic");
    assert!(status.success() && !stderr.contains("traces"), "{stderr}");
    assert!(received.try_recv().is_err());
}
