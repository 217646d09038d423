//! Tables over HTTP: put, read in windows and formats, looked at, kept and dropped.

use airlane_model::Caller;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_ipc::reader::StreamReader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::rights::*;
use super::tables::*;

/// An answer, with its body as it is without chunks.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Of a head and what came behind it.
    pub(crate) fn of(head: String, body: Vec<u8>) -> Self {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn batches(&self) -> Vec<RecordBatch> {
        let reader = StreamReader::try_new(self.body.as_slice(), None).expect("a stream");
        reader.collect::<Result<_, _>>().expect("to its end")
    }
}

/// Asks by HTTP/1.1.
pub(crate) async fn ask(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let headers = format!("{headers}content-length: {}\r\n", body.len());
    let (head, body) = exchange_at(address, method, path, &headers, body).await;
    Answer::of(head, body)
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).expect("a size"), 16).expect("a size");
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    whole
}

fn values(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_table_and_comes_out_in_every_format() {
    let server = TestServer::start().await;
    let at = server.address();
    let csv = b"a,b\n1,x\n2,\n3,\"y, z\"\n";
    let put = ask(&at, "PUT", "/v1/tables/eu/prices?ttl=1h", "content-type: text/csv\r\n", csv).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let receipt = put.json();
    assert_eq!(
        (&receipt["rows"], &receipt["version"], &receipt["ticket"]),
        (&3.into(), &1.into(), &"eu/prices@1".into())
    );
    assert_eq!(receipt["fields"][0], serde_json::json!({"name": "a", "type": "Int64", "nullable": true}));
    let append =
        ask(&at, "POST", "/v1/tables/eu/prices", "content-type: application/x-ndjson\r\n", b"{\"a\":4,\"b\":\"w\"}\n");
    let append = append.await;
    assert_eq!((append.status, append.json()["rows"].clone()), (200, 4.into()), "{}", append.text());
    // Each format reads back as the same table.
    for (format, media) in [
        ("csv", "text/csv"),
        ("ndjson", "application/x-ndjson"),
        ("json", "application/json"),
        ("arrows", "application/vnd.apache.arrow.stream"),
        ("arrow", "application/vnd.apache.arrow.file"),
        ("parquet", "application/vnd.apache.parquet"),
    ] {
        let named = ask(&at, "GET", &format!("/v1/tables/eu/prices?format={format}"), "", b"").await;
        let accepted = ask(&at, "GET", "/v1/tables/eu/prices", &format!("accept: {media}\r\n"), b"").await;
        assert_eq!((named.status, named.header("content-type")), (200, Some(media)), "{}", named.head);
        assert_eq!(named.body, accepted.body, "{format}");
        let again = ask(&at, "PUT", &format!("/v1/tables/copies/{format}"), "", &named.body).await;
        assert_eq!(again.status, 201, "{format}: {}", again.text());
        let copy = ask(&at, "GET", &format!("/v1/tables/copies/{format}?format=csv"), "", b"").await;
        assert_eq!(copy.text(), "a,b\n1,x\n2,\n3,\"y, z\"\n4,w\n", "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_what_was_asked_for_and_a_download_goes_on_where_it_broke() {
    let server = TestServer::start().await;
    let at = server.address();
    server.put_here("n", &[numbers(0, 300_000)]).await;
    for (query, rows) in [
        ("offset=10&limit=5", 10..15),
        ("offset=299990&limit=50", 299_990..300_000),
        ("offset=400000", 0..0),
        ("limit=0", 0..0),
        ("limit=1", 0..1),
    ] {
        let answer = ask(&at, "GET", &format!("/v1/tables/n?{query}"), "", b"").await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.head);
        assert_eq!(values(&answer.batches()), rows.clone().collect::<Vec<i64>>(), "{query}");
        assert_eq!(answer.header("airlane-rows"), Some(rows.count().to_string().as_str()), "{query}");
    }
    let whole = ask(&at, "GET", "/v1/tables/n", "", b"").await;
    let ticket = whole.header("airlane-ticket").expect("a ticket").to_owned();
    // Another version is there when the client comes back.
    server.put_here("n", &[numbers(7, 3)]).await;
    let location = whole.header("content-location").expect("a location");
    assert_eq!(
        location,
        format!(
            "/v1/tickets/{}",
            ticket.replace('?', "%3F").replace('&', "%26").replace('=', "%3D").replace('@', "%40")
        )
    );
    let gone = ask(&at, "GET", &format!("{location}?offset=123456"), "", b"").await;
    assert_eq!(gone.status, 404, "a replaced version is gone, and the answer says so: {}", gone.text());
    assert_eq!(gone.json()["code"], "version_not_found");
    server.put_here("m", &[numbers(0, 300_000)]).await;
    let location = ask(&at, "GET", "/v1/tables/m", "", b"").await.header("content-location").expect("one").to_owned();
    let rest = ask(&at, "GET", &format!("{location}?offset=123456"), "", b"").await;
    assert_eq!(values(&rest.batches()), (123_456..300_000).collect::<Vec<i64>>());
    assert_eq!(rest.header("airlane-row-offset"), Some("123456"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_is_good_until_the_next_version() {
    let server = TestServer::start().await;
    let at = server.address();
    server.put_here("t", &[numbers(0, 10)]).await;
    let first = ask(&at, "GET", "/v1/tables/t", "", b"").await;
    let etag = format!("if-none-match: \"other\", {}\r\n", first.header("etag").expect("an etag"));
    let same = ask(&at, "GET", "/v1/tables/t", &etag, b"").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(ask(&at, "GET", "/v1/tables/t?format=csv", &etag, b"").await.status, 200, "other bytes");
    server.put_here("t", &[numbers(0, 11)]).await;
    assert_eq!(ask(&at, "GET", "/v1/tables/t", &etag, b"").await.status, 200);
    let head = ask(&at, "HEAD", "/v1/tables/t", "", b"").await;
    assert_eq!((head.status, head.header("airlane-version"), head.body.len()), (200, Some("2"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_read_over_http_is_one_read_also_when_it_goes_on() {
    let server = TestServer::start().await;
    let at = server.address();
    server.put_here("t", &[numbers(0, 200_000)]).await;
    let signed = ask(&at, "POST", "/v1/tickets", "", br#"{"ticket": "t", "reads": 1}"#).await;
    let ticket = signed.json()["ticket"].as_str().expect("a ticket").to_owned();
    // A look is no read.
    assert_eq!(ask(&at, "HEAD", &format!("/v1/tickets/{ticket}"), "", b"").await.status, 200);
    let mut tcp = TcpStream::connect(&at).await.expect("a connection");
    tcp.write_all(format!("GET /v1/tickets/{ticket} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.expect("sent");
    let mut begun = vec![0; 4096];
    tcp.read_exact(&mut begun).await.expect("a beginning");
    let head = String::from_utf8_lossy(&begun).into_owned();
    let resume = head.lines().find_map(|line| line.strip_prefix("airlane-ticket: ")).expect("a ticket").to_owned();
    drop(tcp);
    let rest = ask(&at, "GET", &format!("/v1/tickets/{resume}?offset=150000"), "", b"").await;
    assert_eq!(rest.status, 200, "{}", rest.head);
    assert_eq!(values(&rest.batches()), (150_000..200_000).collect::<Vec<i64>>());
    // The connection that broke may be noticed later.
    let path = format!("/v1/tickets/{ticket}");
    eventually_async("it is used", async || ask(&at, "GET", &path, "", b"").await.text().contains("ticket_used")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_is_json() {
    let server = TestServer::start().await;
    let at = server.address();
    for name in ["a", "b", "c"] {
        server.put_here(&format!("x/{name}"), &[numbers(0, 10)]).await;
    }
    let page = ask(&at, "GET", "/v1/tables?prefix=x/&limit=2", "", b"").await.json();
    assert_eq!((page["tables"].as_array().map(Vec::len), &page["next"]), (Some(2), &"x/b".into()));
    let page = ask(&at, "GET", "/v1/tables?prefix=x/&limit=2&after=x/b", "", b"").await.json();
    assert_eq!((page["tables"][0]["table"].as_str(), page.get("next")), (Some("x/c"), None));
    let stats = ask(&at, "GET", "/v1/stats/x/a", "", b"").await.json();
    let column = serde_json::json!({"name": "n", "type": "Int64", "nulls": 0, "min": "0", "max": "9"});
    assert_eq!(stats["columns"][0], column);
    assert_eq!(ask(&at, "GET", "/v1/schemas/x/a", "", b"").await.json()["fields"][0]["name"], "n");
    assert_eq!(ask(&at, "GET", "/v1/versions/x/a", "", b"").await.json()["versions"][0]["rows"], 10);
    let kept = ask(&at, "PATCH", "/v1/retention/x/a", "", br#"{"versions": 3, "ttl": "1h"}"#).await;
    assert_eq!(kept.json()["retention"]["versions"], 3);
    assert_eq!(ask(&at, "GET", "/v1/retention/x/a", "", b"").await.json()["retention"]["ttl"], "1h");
    assert_eq!(ask(&at, "GET", "/v1/status", "", b"").await.status, 200);
    let dropped = ask(&at, "DELETE", "/v1/tables/x/a", "", b"").await;
    assert_eq!((dropped.status, dropped.json()["rows"].clone()), (200, 10.into()));
    assert_eq!(ask(&at, "GET", "/v1/tables/x/a", "", b"").await.json()["code"], "table_not_found");
    for (method, path, body, code) in [
        ("GET", "/v1/tables/x/b?colums=n", "", "option_invalid"),
        ("GET", "/v1/tables/x/b?columns=m", "", "option_invalid"),
        ("GET", "/v1/tables/x/b?format=xls", "", "option_invalid"),
        ("GET", "/v1/tables/x/b?format=csv&compression=zstd", "", "option_invalid"),
        ("GET", "/v1/tables/x/../b", "", "table_name_invalid"),
        ("PUT", "/v1/tables/x/b?tll=1h", "a\n1\n", "option_invalid"),
        ("PUT", "/v1/tables/x/b?mode=append", "a\n1\n", "option_invalid"),
        ("PUT", "/v1/tables/x/b?ttl=soon", "a\n1\n", "option_invalid"),
        ("PATCH", "/v1/retention/x/b", r#"{"tll": "1h"}"#, "option_invalid"),
        ("PATCH", "/v1/retention/x/b", "ttl", "option_invalid"),
        ("POST", "/v1/tickets", r#"{"ticket": "x/none"}"#, "table_not_found"),
    ] {
        let answer = ask(&at, method, path, "", body.as_bytes()).await;
        assert_eq!(answer.json()["code"], code, "{method} {path}: {}", answer.text());
        assert!(answer.status >= 400 && answer.header("content-type") == Some("application/problem+json"));
    }
    let options = server.handle.exchange().list(&Caller::local(), "x/");
    assert_eq!(options.len(), 2, "nothing of what was refused is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_its_end_leaves_nothing() {
    let server = TestServer::start().await;
    let at = server.address();
    for head in ["content-length: 1000\r\n", "transfer-encoding: chunked\r\n"] {
        let mut tcp = TcpStream::connect(&at).await.expect("a connection");
        let request = format!("PUT /v1/tables/half?format=csv HTTP/1.1\r\nhost: x\r\n{head}\r\n");
        let body = if head.contains("chunked") { "8\r\na\n1\n2\n3\n\r\n" } else { "a\n1\n2\n3\n" };
        tcp.write_all(&[request.as_bytes(), body.as_bytes()].concat()).await.expect("sent");
        tcp.shutdown().await.expect("the end of what is sent");
        let mut answer = String::new();
        let _ = tcp.read_to_string(&mut answer).await;
        assert!(!answer.contains(" 200 ") && !answer.contains(" 201 "), "{answer}");
        assert!(server.tables().is_empty(), "{head}");
    }
    // A repetition with its key is one put.
    let key = "idempotency-key: run-7\r\ncontent-type: text/csv\r\n";
    let once = ask(&at, "POST", "/v1/tables/once", key, b"a\n1\n").await;
    let again = ask(&at, "POST", "/v1/tables/once", key, b"a\n1\n").await;
    assert_eq!((once.json()["version"].clone(), again.json()["version"].clone()), (1.into(), 1.into()));
    let other = ask(&at, "POST", "/v1/tables/once", key, b"a\n2\n").await;
    assert_eq!(other.json()["code"], "idempotency_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_who_may_not_put_uploads_nothing() {
    let rights = "[rights.reader]\neu = [\"read\"]\n";
    let server = guarded(&["reader"], rights).await;
    let mut tcp = TcpStream::connect(server.address()).await.expect("a connection");
    let token = token_of("reader");
    let request = format!(
        "PUT /v1/tables/eu/t HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nexpect: 100-continue\r\n\
         content-length: 1000000000\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 64];
    tcp.read_exact(&mut answer).await.expect("an answer before any byte of the body");
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
}

/// The next event of a stream of them: its name, its id and its data.
async fn event(tcp: &mut TcpStream) -> (String, String, serde_json::Value) {
    loop {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            text.push(char::from(tcp.read_u8().await.expect("an event")));
        }
        let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        // What has none is there to keep the connection.
        if !of("data: ").is_empty() {
            return (of("event: "), of("id: "), serde_json::from_str(&of("data: ")).expect("JSON"));
        }
    }
}

async fn watch(at: &str, query: &str, headers: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(at).await.expect("a connection");
    let request = format!("GET /v1/changes{query} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    while !text.contains(": connected\n\n") {
        text.push(char::from(tcp.read_u8().await.expect("a head")));
        assert!(text.len() < 4096, "{text}");
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    tcp
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_as_they_happen_and_again_to_who_comes_back() {
    let server = TestServer::start().await;
    let at = server.address();
    let mut all = watch(&at, "", "").await;
    let mut some = watch(&at, "?prefix=eu/", "").await;
    server.put_here("us/t", &[numbers(0, 10)]).await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    let (name, _, data) = event(&mut all).await;
    assert_eq!((name.as_str(), &data["table"], &data["rows"]), ("committed", &"us/t".into(), &10.into()));
    let (name, id, data) = event(&mut some).await;
    assert_eq!((name.as_str(), &data["table"], &data["version"]), ("committed", &"eu/t".into(), &1.into()));
    drop(some);
    let refused = ask(&at, "POST", "/v1/tables/eu/t?format=csv", "", b"other\nx\n").await;
    assert_eq!(refused.json()["code"], "schema_mismatch", "{}", refused.text());
    ask(&at, "DELETE", "/v1/tables/eu/t", "", b"").await;
    let mut again = watch(&at, "?prefix=eu/", &format!("last-event-id: {id}\r\n")).await;
    let (name, _, data) = event(&mut again).await;
    assert_eq!((name.as_str(), &data["code"]), ("refused", &"schema_mismatch".into()));
    assert_eq!(event(&mut again).await.0, "dropped");
    let mut other_life = watch(&at, "", "last-event-id: 0123-5\r\n").await;
    assert_eq!(event(&mut other_life).await.0, "missed");
    let refused = ask(&at, "GET", "/v1/changes", "last-event-id: seven\r\n", b"");
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), refused)
            .await
            .is_ok_and(|answer| answer.status == 400)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_changes_of_what_may_not_be_seen_are_not_told() {
    let server = guarded(&["reader"], "[rights.reader]\neu = [\"read\"]\n").await;
    let token = format!("authorization: Bearer {}\r\n", token_of("reader"));
    let mut seen = watch(&server.address(), "", &token).await;
    server.put_here("us/t", &[numbers(0, 10)]).await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    assert_eq!(event(&mut seen).await.2["table"], "eu/t");
}
