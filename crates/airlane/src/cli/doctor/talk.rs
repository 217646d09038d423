//! Requests over HTTP/2 that need no credentials: health, who answers, how far away, and what gets through.

use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_client::{Address, ConnectOptions};
use airlane_model::{Clock, Timestamp};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;

use super::Depth;
use super::findings::{Findings, Patience};
use super::secure::{self, Shown};
use super::wire::Route;
use crate::output::human;

/// Clocks that differ by more are told of: certificates and logs go by them.
const SKEW_MAX: Duration = Duration::from_secs(30);
const ROUND_TRIPS: usize = 5;
/// A token and a signed ticket together are shorter.
const LARGE_HEADER_BYTES: usize = 6 << 10;
/// More than any proxy takes that was not told to.
const LARGE_BODY_BYTES: usize = 8 << 20;
/// No answer of ours is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// `grpc.health.v1.HealthCheckRequest` without a service, in its frame.
const HEALTH_REQUEST: [u8; 5] = [0; 5];

type Sender = SendRequest<Full<Bytes>>;

/// An answer with its body.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What requests go to.
struct Line<'a> {
    route: &'a Route,
    address: &'a Address,
    options: &'a ConnectOptions,
}

impl Line<'_> {
    async fn open(&self) -> Result<Sender, String> {
        let tell = |error: &dyn std::error::Error| error.to_string();
        let builder = Builder::new(TokioExecutor::new());
        match self.address {
            Address::Tls { host, .. } => {
                let name =
                    ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| tell(&error))?;
                let stream = secure::handshake(self.route, name, self.options, Arc::new(Shown::default())).await;
                let stream = stream.map_err(|error| tell(&error))?;
                let (sender, connection) =
                    builder.handshake(TokioIo::new(stream)).await.map_err(|error| tell(&error))?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(sender)
            }
            Address::Tcp { .. } | Address::Unix { .. } => {
                let stream = self.route.connect().await.map_err(|error| tell(&error))?;
                let (sender, connection) =
                    builder.handshake(TokioIo::new(stream)).await.map_err(|error| tell(&error))?;
                tokio::spawn(async move { drop(connection.await) });
                Ok(sender)
            }
        }
    }

    fn uri(&self, path: &str) -> String {
        match self.address {
            Address::Tcp { host, port } => format!("http://{host}:{port}{path}"),
            Address::Tls { host, port } => format!("https://{host}:{port}{path}"),
            Address::Unix { .. } => format!("http://localhost{path}"),
        }
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let agent = concat!("airlane-doctor/", env!("CARGO_PKG_VERSION"));
        Request::builder().method(method).uri(self.uri(path)).header(header::USER_AGENT, agent)
    }
}

/// Sends a request and reads the answer.
async fn ask(sender: &mut Sender, request: http::request::Builder, body: Bytes) -> Result<Answer, String> {
    let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
    let response: Response<Incoming> = sender.send_request(request).await.map_err(|error| told(&error))?;
    let (head, body) = response.into_parts();
    let body =
        http_body_util::Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

/// The cause at the bottom of an error, which says most.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

pub(super) async fn examine(
    route: &Route,
    address: &Address,
    options: &ConnectOptions,
    patience: Patience,
    depth: Depth,
    findings: &mut Findings,
    clock: &dyn Clock,
) -> Option<()> {
    let line = Line { route, address, options };
    let opened = async {
        let mut sender = line.open().await?;
        let answer = ask(&mut sender, line.request("GET", "/healthz"), Bytes::new()).await?;
        Ok::<_, String>((sender, answer))
    };
    let (mut sender, answer) = match patience.wait(opened).await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => {
            let hint = match options.identity {
                None if matches!(address, Address::Tls { .. }) => {
                    "does the server ask for a certificate of clients? `--tls-client-certificate` shows one"
                }
                _ => "look at the server's log, and at that of a proxy in between",
            };
            findings.fail("health", format!("no answer over HTTP/2: {error}"), hint);
            return None;
        }
        None => {
            let message = format!("no answer over HTTP/2 within {}", human::duration(patience.each));
            findings.fail("health", message, "the server is stuck, or a proxy in between waits for one that is");
            return None;
        }
    };
    health(&answer, findings)?;
    readiness(&line, &mut sender, patience, findings).await;
    if depth == Depth::Health {
        return None;
    }
    between(&answer.headers, findings);
    skew(&answer.headers, clock.now(), findings);
    round_trip(&line, &mut sender, patience, findings).await;
    large_header(&line, patience, findings).await;
    large_body(&line, patience, findings).await;
    quiet_stream(&line, patience, findings).await;
    Some(())
}

fn health(answer: &Answer, findings: &mut Findings) -> Option<()> {
    if answer.status == StatusCode::OK && &answer.body[..] == b"ok\n" {
        findings.ok("health", "the server answers");
        return Some(());
    }
    let who = answer.headers.get(header::SERVER).map(|server| format!(" from `{}`", shown(server))).unwrap_or_default();
    let hint = match answer.status.as_u16() {
        502..=504 => "a proxy answers that has no server behind it: look at its log and the address it forwards to",
        401 | 403 => "a proxy answers that wants credentials of its own",
        _ => "another server answers, or a proxy that does not forward `/healthz` and gRPC to Airlane",
    };
    findings.fail("health", format!("the answer{who} is none of Airlane's: status {}", answer.status.as_u16()), hint);
    None
}

async fn readiness(line: &Line<'_>, sender: &mut Sender, patience: Patience, findings: &mut Findings) {
    let asked = ask(sender, line.request("GET", "/readyz"), Bytes::new());
    match patience.wait(asked).await {
        Some(Ok(answer)) if answer.status == StatusCode::OK => {}
        Some(Ok(answer)) => {
            let text = String::from_utf8_lossy(&answer.body).escape_debug().to_string();
            findings.warn("ready", format!("the server is not ready: {text}"), "wait, or look at its log");
        }
        _ => findings.warn("ready", "nobody says whether the server is ready", "does a proxy forward `/readyz`?"),
    }
}

/// What a proxy adds to answers. Airlane says nothing of itself.
fn between(headers: &HeaderMap, findings: &mut Findings) {
    const NAMES: [&str; 8] = [
        "via",
        "server",
        "x-envoy-upstream-service-time",
        "x-served-by",
        "x-cache",
        "cf-ray",
        "x-amz-cf-id",
        "alt-svc",
    ];
    let found: Vec<_> =
        NAMES.iter().filter_map(|name| headers.get(*name).map(|value| format!("{name}: {}", shown(value)))).collect();
    if found.is_empty() {
        findings.ok("proxy", "none that shows itself");
    } else {
        findings.ok("proxy", format!("one is in between ({})", found.join(", ")));
    }
}

fn shown(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).escape_debug().to_string()
}

fn skew(headers: &HeaderMap, now: Timestamp, findings: &mut Findings) {
    let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok()) else {
        return findings.warn("clock", "the answers have no date", "compare the clocks by hand");
    };
    // The header has whole seconds.
    let apart = now.as_micros() / 1_000_000 - date.timestamp();
    if apart.unsigned_abs() > SKEW_MAX.as_secs() {
        let word = if apart > 0 { "behind" } else { "ahead of" };
        let span = human::duration(Duration::from_secs(apart.unsigned_abs()));
        let message = format!("the server's clock is {span} {word} this machine's");
        return findings.warn("clock", message, "set both by NTP: certificates, tickets and logs go by them");
    }
    findings.ok("clock", "the server's and this machine's agree");
}

async fn round_trip(line: &Line<'_>, sender: &mut Sender, patience: Patience, findings: &mut Findings) {
    let mut times = Vec::new();
    for _ in 0..ROUND_TRIPS {
        let begun = Instant::now();
        match patience.wait(ask(sender, line.request("GET", "/healthz"), Bytes::new())).await {
            Some(Ok(_)) => times.push(begun.elapsed()),
            _ => {
                let message = format!("the connection broke after {} answers", times.len() + 1);
                return findings.fail(
                    "round-trip",
                    message,
                    "a proxy in between ends connections: raise what it allows",
                );
            }
        }
    }
    times.sort();
    findings.ok("round-trip", human::duration(times[times.len() / 2]));
}

async fn large_header(line: &Line<'_>, patience: Patience, findings: &mut Findings) {
    const CHECK: &str = "large-header";
    let asked = async {
        let request = line.request("GET", "/healthz").header("airlane-doctor", "x".repeat(LARGE_HEADER_BYTES));
        ask(&mut line.open().await?, request, Bytes::new()).await
    };
    let size = human::bytes(LARGE_HEADER_BYTES as u64);
    let hint = "long tokens and tickets will fail: raise the limit of the proxy (nginx: large_client_header_buffers) or \
                `--header-list-bytes-max` of the server";
    match patience.wait(asked).await {
        Some(Ok(answer)) if answer.status == StatusCode::OK => findings.ok(CHECK, format!("{size} get through")),
        Some(Ok(answer)) => {
            findings.warn(CHECK, format!("{size} are refused with status {}", answer.status.as_u16()), hint)
        }
        Some(Err(error)) => findings.warn(CHECK, format!("{size} break the connection: {error}"), hint),
        None => findings.warn(CHECK, format!("{size} get no answer"), hint),
    }
}

/// A body that goes to no table: the server says that there is no such request, a proxy that it is too large.
async fn large_body(line: &Line<'_>, patience: Patience, findings: &mut Findings) {
    const CHECK: &str = "large-body";
    let asked = async {
        let request = line.request("POST", "/healthz").header(header::CONTENT_LENGTH, LARGE_BODY_BYTES);
        ask(&mut line.open().await?, request, Bytes::from(vec![0; LARGE_BODY_BYTES])).await
    };
    let size = human::bytes(LARGE_BODY_BYTES as u64);
    let hint = "puts will fail: lift the limit of the proxy (nginx: client_max_body_size 0)";
    match patience.wait(asked).await {
        Some(Ok(answer)) if answer.headers.contains_key("airlane-code") => {
            findings.ok(CHECK, format!("a request of {size} gets through"));
        }
        Some(Ok(answer)) if answer.status == StatusCode::PAYLOAD_TOO_LARGE => {
            findings.fail(CHECK, format!("a request of {size} is refused by a proxy"), hint);
        }
        Some(Ok(answer)) => {
            let status = answer.status.as_u16();
            findings.warn(
                CHECK,
                format!("a request of {size} is answered by somebody else, with status {status}"),
                hint,
            );
        }
        Some(Err(error)) => findings.warn(CHECK, format!("a request of {size} breaks the connection: {error}"), hint),
        None => findings.warn(CHECK, format!("a request of {size} gets no answer in time"), "is the line slow?"),
    }
}

/// The health service's watch says how it is at once, and then nothing for as long as that stays so.
async fn quiet_stream(line: &Line<'_>, patience: Patience, findings: &mut Findings) {
    const CHECK: &str = "quiet-stream";
    let opened = async {
        let request = line
            .request("POST", "/grpc.health.v1.Health/Watch")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(Bytes::from_static(&HEALTH_REQUEST)))
            .map_err(|error| error.to_string())?;
        let mut sender = line.open().await?;
        let response = sender.send_request(request).await.map_err(|error| told(&error))?;
        let is_grpc = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc || response.headers().contains_key("grpc-status") {
            return Err(format!("status {}", response.status().as_u16()));
        }
        let mut body = response.into_body();
        match body.frame().await {
            Some(Ok(frame)) if frame.is_data() => Ok((sender, body)),
            Some(Err(error)) => Err(told(&error)),
            _ => Err("the stream ended at once".to_owned()),
        }
    };
    let (_sender, mut body) = match patience.wait(opened).await {
        Some(Ok(opened)) => opened,
        Some(Err(error)) => {
            let hint = "the proxy has to forward gRPC (nginx: grpc_pass) with its trailers; deploy/ has configurations that do";
            return findings.fail(CHECK, format!("no stream of gRPC gets through: {error}"), hint);
        }
        None => {
            let hint = "a proxy in between waits for the end of answers: turn its buffering off";
            return findings.fail(CHECK, "the first message of a stream does not arrive before its end", hint);
        }
    };
    let span = human::duration(patience.idle);
    let begun = Instant::now();
    loop {
        match tokio::time::timeout(patience.idle.saturating_sub(begun.elapsed()), body.frame()).await {
            Err(_) => return findings.ok(CHECK, format!("one that says nothing for {span} stays")),
            Ok(Some(Ok(_))) => {}
            Ok(_) => {
                let after = human::duration(begun.elapsed());
                let hint = "raise the time that the proxy lets streams be quiet (nginx: grpc_read_timeout); reads say \
                            something every 5 seconds";
                return findings.warn(CHECK, format!("one that says nothing is ended after {after}"), hint);
            }
        }
    }
}
