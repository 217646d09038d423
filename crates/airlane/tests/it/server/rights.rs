//! Servers with a rights file, and requests with credentials.

use std::fmt::Write as _;
use std::sync::OnceLock;

use airlane_exchange::PutSpec;
use airlane_gate::{NewToken, hash_password};
use airlane_model::{Caller, PutMode, RetentionChange, Secret, SystemChance};
use airlane_segment::TableSchema;
use arrow_array::RecordBatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use super::harness::*;

pub(crate) const RIGHTS_OF_READER: &str = "[rights.reader]\neu = [\"read\"]\n";

/// The token of a caller in all tests.
pub(crate) fn token_of(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

/// The header of a user.
pub(crate) fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// A rights file with a token for each of these callers, and the user `ada`, who has the namespace `ada`.
pub(crate) fn rights_file(names: &[&str], rights: &str) -> String {
    static HASH: OnceLock<String> = OnceLock::new();
    let hash = HASH.get_or_init(|| hash_password(&Secret::new("correct horse"), &SystemChance).expect("a hash"));
    let mut text = String::new();
    for name in names {
        let sha256 = NewToken::of(Secret::new(token_of(name))).sha256;
        let _ = writeln!(text, "[token.{name}]\nsha256 = \"{sha256}\"");
    }
    format!("{text}[user.ada]\npassword = \"{hash}\"\n[rights.ada]\nada = [\"read\", \"write\"]\n{rights}\n")
}

/// A server that knows these callers and `ada`.
pub(crate) async fn guarded(names: &[&str], rights: &str) -> TestServer {
    let text = rights_file(names, rights);
    TestServer::start_with(|store, options| {
        let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent").to_owned();
        let path = folder.join("rights.toml");
        std::fs::write(&path, text).expect("written");
        options.rights_file = Some(path);
    })
    .await
}

impl TestServer {
    /// Changes the rights file.
    pub(crate) fn write_rights(&self, names: &[&str], rights: &str) {
        std::fs::write(self.folder.path().join("rights.toml"), rights_file(names, rights)).expect("written");
    }

    /// Puts a table from inside the process, past the gate.
    pub(crate) async fn put_here(&self, name: &str, batches: &[RecordBatch]) {
        let spec = PutSpec {
            table: name.parse().expect("a name"),
            mode: PutMode::Replace,
            durability: None,
            retention: RetentionChange::default(),
            key: None,
            caller: None,
        };
        let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
        let mut put = self.handle.exchange().put_batches(&Caller::local(), spec, schema).expect("a put");
        for batch in batches {
            put.append(batch).expect("rows");
        }
        put.commit().await.expect("a commit");
    }
}

/// A request with a token, or without credentials.
pub(crate) fn with<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value: MetadataValue<_> = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

pub(crate) async fn channel(server: &TestServer) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{}", server.address())).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// Head and body of the answer to a GET.
pub(crate) async fn fetch_at(address: &str, path: &str, headers: &str) -> (String, String) {
    let (head, body) = exchange_at(address, "GET", path, headers, &[]).await;
    (head, String::from_utf8(body).expect("text"))
}

/// Head and body of the answer to a request; a body in chunks as it came.
pub(crate) async fn exchange_at(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (String, Vec<u8>) {
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    tcp.write_all(&[request.as_bytes(), body].concat()).await.expect("sent");
    let mut answer = Vec::new();
    if path.starts_with("/v1/changes") {
        // Events never end.
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(tcp.read_u8().await.expect("a head"));
        }
    } else {
        tcp.read_to_end(&mut answer).await.expect("an answer");
    }
    split_head(answer)
}

/// The head of an answer, and what came behind it.
pub(crate) fn split_head(mut answer: Vec<u8>) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).expect("a head is text").trim_end().to_owned(), body)
}

/// The code of the answer to a request.
pub(crate) async fn http_code_of(
    server: &TestServer,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> String {
    let headers = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let headers = format!("{headers}content-length: {}\r\n", body.len());
    let (head, _) = exchange_at(&server.address(), method, path, &headers, body.as_bytes()).await;
    if head.starts_with("HTTP/1.1 20") {
        return "ok".into();
    }
    let code = head.lines().find_map(|line| line.strip_prefix("airlane-code: "));
    code.unwrap_or_else(|| panic!("no code in {head}")).to_owned()
}

/// As [`eventually`], of what has to be asked for.
pub(crate) async fn eventually_async(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    for _ in 0..6_000 {
        if is_true().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("this did not come true: {what}");
}
