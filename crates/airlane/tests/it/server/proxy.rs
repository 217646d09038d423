//! A server behind nginx, with the configuration of `deploy/`.
//!
//! In the gate the tables are small and the times short; `cargo xtask proxy` runs the same tests with large ones and for
//! ten minutes.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_client::{Client, ConnectOptions, PutOptions};
use airlane_model::codes;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_flight::Ticket;
use futures::StreamExt;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::harness::{TestServer, decode, get};
use super::rights::eventually_async;
use super::slow_disk::{Gate, Open, end, rows_at, start_quiet_before_the_gate};
use super::tables::*;
use crate::certificates::Authority;
use crate::cli::{Killed, airlane, succeed};

/// Set by `cargo xtask proxy`.
const FULL: &str = "AIRLANE_PROXY_FULL";
const ROWS_PER_BATCH: usize = 1_000_000;
const BATCH_BYTES: u64 = ROWS_PER_BATCH as u64 * 8;

/// nginx before a server.
struct Proxy {
    _nginx: Killed,
    port: u16,
    folder: TempDir,
    authority: Authority,
}

impl Proxy {
    /// Starts nginx with the shipped configuration and these changes; absent, and said, where there is no nginx.
    async fn start(test: &str, server: &str, changes: &[(&str, &str)]) -> Option<Self> {
        // Where Debian has it, which is not on everybody's path.
        let binary = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let is_there =
            Command::new(binary).arg("-v").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !is_there {
            println!("SKIPPED: {test}: no nginx (install the package nginx-light)");
            return None;
        }
        let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
        let files = authority.server(folder.path(), |_| {});
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let shipped = airlane_testkit::workspace().join("deploy/nginx/airlane.conf");
        let mut text = std::fs::read_to_string(shipped).expect("the configuration");
        // nginx takes no free port by itself: somebody else may be quicker than it.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let listen = format!("listen 127.0.0.1:{port} ssl");
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "the configuration has no `{from}`");
            text = text.replace(from, to);
        };
        replace("listen [::]:443 ssl http2;", "");
        replace("listen 443 ssl", &listen);
        replace("127.0.0.1:8815", server);
        replace("/etc/ssl/airlane/server.pem", &files.certificate.display().to_string());
        replace("/etc/ssl/airlane/server.key", &files.key.display().to_string());
        changes.iter().for_each(|(from, to)| replace(from, to));
        std::fs::write(folder.path().join("airlane.conf"), text).expect("written");
        std::fs::write(folder.path().join("nginx.conf"), main_configuration(folder.path())).expect("written");
        let mut nginx = Command::new(binary);
        nginx.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        nginx.args(["-e", "nginx.log"]).stdin(Stdio::null());
        let nginx = Killed(nginx.spawn().expect("nginx"));
        let proxy = Self { _nginx: nginx, port, folder, authority };
        eventually_async("nginx answers", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
            .await;
        Some(proxy)
    }

    fn url(&self) -> String {
        format!("grpc+tls://localhost:{}", self.port)
    }

    fn ca(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    async fn client(&self) -> Client {
        let options = ConnectOptions { authorities: Some(self.authority.pem()), ..ConnectOptions::default() };
        Client::connect_with(&self.url(), &options).await.expect("connected")
    }

    async fn stock_client(&self) -> super::harness::Client {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem()));
        let endpoint = Channel::from_shared(format!("https://localhost:{}", self.port)).expect("an address");
        let channel = endpoint.tls_config(tls).expect("TLS").connect().await.expect("a connection");
        super::harness::Client::new(channel)
    }

    fn doctor(&self) -> Command {
        let mut command = airlane(self.folder.path());
        command.args(["doctor", &self.url(), "--tls-ca", &self.ca()]);
        command
    }
}

/// One process, in the foreground, with everything in a folder.
fn main_configuration(folder: &Path) -> String {
    let user = if rustix::process::getuid().is_root() { "user root root;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {name};\n"))
        .collect();
    format!(
        "{user}daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log nginx.log error;\n\
         events {{ worker_connections 512; }}\nhttp {{\n    access_log off;\n{temporary}    include {}/airlane.conf;\n}}\n",
        folder.display()
    )
}

fn is_full() -> bool {
    std::env::var_os(FULL).is_some_and(|value| value == "1")
}

/// The sum of a hash of each row and its place: rows that are missing, doubled, changed or in another order differ.
#[derive(Default)]
struct Checksum {
    rows: u64,
    sum: u64,
}

impl Checksum {
    fn add(&mut self, batch: &RecordBatch) {
        for value in batch.column(0).as_primitive::<Int64Type>().values() {
            self.sum = (self.sum ^ value.cast_unsigned()).wrapping_mul(0x0000_0100_0000_01b3);
            self.rows += 1;
        }
    }

    fn of(batches: impl Iterator<Item = RecordBatch>) -> (u64, u64) {
        let mut checksum = Self::default();
        batches.for_each(|batch| checksum.add(&batch));
        (checksum.rows, checksum.sum)
    }
}

fn batches(bytes: u64) -> impl Iterator<Item = RecordBatch> {
    (0..bytes / BATCH_BYTES).map(|index| numbers((index as i64) << 32, ROWS_PER_BATCH))
}

fn tell(what: &str, bytes: u64, time: Duration) {
    let rate = bytes as f64 / 1e6 / time.as_secs_f64();
    println!("{what}: {} MB in {:.2} s, {rate:.0} MB/s", bytes / 1_000_000, time.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tables_go_through_nginx_as_they_are() {
    let (get_bytes, put_bytes) = if is_full() { (1_000_000_000, 104_000_000) } else { (32_000_000, 16_000_000) };
    let server = TestServer::start().await;
    let test = "large_tables_go_through_nginx_as_they_are";
    let Some(proxy) = Proxy::start(test, &server.address(), &[]).await else { return };
    let client = proxy.client().await;

    let (begun, schema) = (Instant::now(), numbers_schema());
    let sent = futures::stream::iter(batches(put_bytes)).map(Ok);
    client.put(&"put".parse().expect("a name"), schema.clone(), sent, PutOptions::default()).await.expect("a put");
    tell("a put through nginx", put_bytes, begun.elapsed());
    let (schema_here, kept) = get(&mut server.client().await, "put").await.expect("past nginx");
    assert_eq!(schema_here, schema);
    assert_eq!(Checksum::of(kept.into_iter()), Checksum::of(batches(put_bytes)));

    let direct = Client::connect(&format!("grpc://{}", server.address())).await.expect("connected");
    let sent = futures::stream::iter(batches(get_bytes)).map(Ok);
    direct.put(&"get".parse().expect("a name"), schema, sent, PutOptions::default()).await.expect("a put");
    for (way, client) in [("through nginx", &client), ("past nginx", &direct)] {
        let (begun, mut checksum) = (Instant::now(), Checksum::default());
        let mut rows = client.get("get").await.expect("a read");
        while let Some(batch) = rows.next().await.expect("rows") {
            checksum.add(&batch);
        }
        tell(&format!("a get {way}"), get_bytes, begun.elapsed());
        assert_eq!((checksum.rows, checksum.sum), Checksum::of(batches(get_bytes)), "{way}");
    }

    let error = client.get("absent").await.map(drop).expect_err("no such table");
    assert_eq!(error.code(), codes::TABLE_NOT_FOUND, "trailers and headers come through: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_and_http_go_through_nginx() {
    let test = "stock_clients_and_http_go_through_nginx";
    let Some(python) = airlane_testkit::python(test) else { return };
    let server = TestServer::start().await;
    let Some(proxy) = Proxy::start(test, &server.address(), &[]).await else { return };
    let script = "\
import http.client, ssl, sys
import pyarrow as pa, pyarrow.flight as flight
port, ca = int(sys.argv[1]), sys.argv[2]
client = flight.connect(f'grpc+tls://localhost:{port}', tls_root_certs=open(ca, 'rb').read())
table = pa.table({'n': range(500_000), 'text': [f'row {n}' for n in range(500_000)]})
writer, _ = client.do_put(flight.FlightDescriptor.for_path('t'), table.schema)
writer.write_table(table, max_chunksize=100_000)
writer.close()
assert client.do_get(flight.Ticket('t')).read_all() == table
try:
    client.do_get(flight.Ticket('absent')).read_all()
except KeyError as error:
    assert 'absent' in str(error), error
connection = http.client.HTTPSConnection('localhost', port, context=ssl.create_default_context(cafile=ca))
connection.request('GET', '/healthz')
answer = connection.getresponse()
assert (answer.status, answer.read()) == (200, b'ok\\n'), answer.status
connection.request('GET', '/nowhere')
answer = connection.getresponse()
assert answer.status == 404 and answer.headers['airlane-code'] == 'route_not_found', answer.headers
";
    let mut command = Command::new(python);
    command.args(["-c", script, &proxy.port.to_string(), &proxy.ca()]);
    let output = tokio::task::spawn_blocking(move || command.output().expect("Python starts")).await.expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_sees_nginx_and_what_it_does_not_let_through() {
    let test = "the_doctor_sees_nginx_and_what_it_does_not_let_through";
    let server = TestServer::start().await;
    let Some(proxy) = Proxy::start(test, &server.address(), &[]).await else { return };
    let text = succeed(proxy.doctor().args(["--write", "--idle", "100ms"]));
    assert!(text.contains("server: nginx") && text.contains("0 to look at, 0 failed"), "{text}");

    let tight = [
        ("client_max_body_size 0;", "client_max_body_size 1m;"),
        ("large_client_header_buffers 8 32k;", "large_client_header_buffers 4 4k;"),
        ("grpc_read_timeout 1h;", "grpc_read_timeout 1s;"),
    ];
    let strict = Proxy::start(test, &server.address(), &tight).await.expect("there is nginx");
    // Longer than the proxy lets a stream be quiet: it ends, and the doctor waits no longer.
    let output = strict.doctor().args(["--idle", "60s"]).output().expect("the doctor");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL  large-body") && text.contains("client_max_body_size"), "{text}");
    assert!(text.contains("warn  large-header") && text.contains("warn  quiet-stream"), "{text}");

    end(server).await;
    let output = proxy.doctor().output().expect("the doctor");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains("a proxy answers that has no server behind it"), "{text}");
    let error = proxy.client().await.list("").await.expect_err("nobody is there");
    assert_eq!(error.code(), codes::CONNECTION_BROKEN, "a status of gRPC, and no page: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_read_stays_because_it_says_something() {
    let test = "a_quiet_read_stays_because_it_says_something";
    // How long nginx lets a stream be quiet, how long the server does, and how long it has nothing to send.
    let (cut_after, quiet_max, held) = match is_full() {
        true => ("60s", Duration::from_secs(5), Duration::from_secs(600)),
        false => ("4s", Duration::from_millis(200), Duration::from_secs(6)),
    };
    let change = [("grpc_read_timeout 1h;", &*format!("grpc_read_timeout {cut_after};"))];
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(Gate::default());
    let _open = Open(gate.clone());
    let server = start_quiet_before_the_gate(folder.path(), &gate, quiet_max).await;
    let Some(proxy) = Proxy::start(test, &server.address(), &change).await else { return };
    let opening = gate.clone();
    tokio::spawn(async move {
        tokio::time::sleep(held).await;
        opening.open();
    });
    let begun = Instant::now();
    let (mut messages, mut without_rows) = (Vec::new(), 0);
    let mut stream = proxy.stock_client().await.do_get(Ticket::new("large")).await.expect("a read").into_inner();
    while let Some(message) = stream.message().await.expect("it is not cut") {
        without_rows += u32::from(rows_at(&message).is_some_and(|(rows, _)| rows == 0));
        messages.push(message);
    }
    println!(
        "a read through nginx was quiet for {:.1} s, with {without_rows} batches without rows",
        begun.elapsed().as_secs_f64()
    );
    assert!(without_rows > 0 && begun.elapsed() >= held);
    let (schema, read) = decode(futures::stream::iter(messages.into_iter().map(Ok))).await.expect("whole");
    assert_eq!(joined(&schema, &read), kinds(100_000));
    drop((stream, proxy));
    end(server).await;

    // The same line cuts a read that says nothing.
    let change = [("grpc_read_timeout 1h;", "grpc_read_timeout 1s;")];
    gate.open();
    let server = start_quiet_before_the_gate(folder.path(), &gate, Duration::from_secs(3_600)).await;
    let proxy = Proxy::start(test, &server.address(), &change).await.expect("there is nginx");
    let mut stream = proxy.stock_client().await.do_get(Ticket::new("large")).await.expect("a read").into_inner();
    while let Some(message) = stream.message().await.transpose() {
        if let Err(cut) = message {
            println!("a read that says nothing is cut: {cut}");
            gate.open();
            drop((stream, proxy));
            return end(server).await;
        }
    }
    panic!("the read came to its end");
}
