//! The same doors by TLS.

use std::path::Path;

use airlane::server::TlsFiles;
use airlane_client::{Client, ConnectOptions, Credentials};
use airlane_model::{Secret, codes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{TestServer, eventually};
use super::rights::*;
use super::tables::*;

/// Makes a certificate that is its own authority, and answers it in PEM.
fn write(files: &TlsFiles) -> Vec<u8> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(&files.certificate, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    made.cert.pem().into_bytes()
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { certificate: folder.join("server.pem"), key: folder.join("server.key") }
}

/// A server that speaks TLS and knows the token of `owner` and the user `ada`; and its certificate.
async fn start() -> (TestServer, Vec<u8>) {
    let mut certificate = Vec::new();
    let server = TestServer::start_with(|store, options| {
        let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent");
        certificate = write(&files(folder));
        std::fs::write(
            folder.join("rights.toml"),
            rights_file(&["owner"], "[rights.owner]\neu = [\"read\", \"write\"]\n"),
        )
        .expect("written");
        options.rights_file = Some(folder.join("rights.toml"));
        options.tls = Some(files(folder).into());
    })
    .await;
    (server, certificate)
}

async fn connect(server: &TestServer, authorities: &[u8]) -> airlane_model::Result<Client> {
    let credentials = Credentials::Token(Secret::new(token_of("owner")));
    let options = ConnectOptions { credentials, authorities: Some(authorities.to_vec()), ..ConnectOptions::default() };
    Client::connect_with(&format!("grpc+tls://localhost:{}", server.handle.address().expect("a port").port()), &options)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_put_and_read_by_tls_and_by_nothing_else() {
    let (server, certificate) = start().await;
    server.put_here("eu/t", &[numbers(0, 100_000)]).await;
    let client = connect(&server, &certificate).await.expect("connected");
    let mut rows = client.get("eu/t").await.expect("a read");
    let mut count = 0;
    while let Some(batch) = rows.next().await.expect("rows") {
        count += batch.num_rows();
    }
    assert_eq!(count, 100_000);

    let other = write(&files(tempfile::tempdir().expect("a folder").path()));
    let error = connect(&server, &other).await.expect_err("another authority");
    assert_eq!(error.code(), codes::SERVER_UNREACHABLE);
    let mut plain = TcpStream::connect(server.handle.address().expect("a port")).await.expect("a connection");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    // An alert of TLS, or nothing.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    client.list("").await.expect("others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_for_the_connections_to_come() {
    let (server, first) = start().await;
    let client = connect(&server, &first).await.expect("connected");
    let second = write(&files(server.folder.path()));
    server.handle.reload().now();
    eventually_async("the new certificate is shown", async || connect(&server, &second).await.is_ok()).await;
    connect(&server, &first).await.expect_err("the old one is gone");
    client.list("").await.expect("a connection goes on with what it has");

    // A broken file leaves the certificate as it was.
    std::fs::write(files(server.folder.path()).key, "no key").expect("written");
    server.handle.reload().now();
    connect(&server, &second).await.expect("as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_stock_clients_log_in_by_tls() {
    let Some(python) = airlane_testkit::python("s2_stock_clients_log_in_by_tls") else { return };
    let (server, certificate) = start().await;
    let authorities = server.folder.path().join("authorities.pem");
    std::fs::write(&authorities, certificate).expect("written");
    let script = "
import sys
import pyarrow as pa, pyarrow.flight as flight
client = flight.connect(sys.argv[1], tls_root_certs=open(sys.argv[2], 'rb').read())
options = flight.FlightCallOptions(headers=[client.authenticate_basic_token('ada', 'correct horse')])
writer, _ = client.do_put(flight.FlightDescriptor.for_path('ada/t'), pa.schema({'a': pa.int64()}), options)
writer.write_batch(pa.record_batch({'a': [1, 2, 3]}))
writer.close()
assert client.do_get(flight.Ticket('ada/t'), options).read_all().num_rows == 3
";
    let url = format!("grpc+tls://localhost:{}", server.handle.address().expect("a port").port());
    let mut command = std::process::Command::new(python);
    command.args(["-c", script, &url]).arg(&authorities);
    let ran = tokio::task::spawn_blocking(move || command.output().expect("Python starts"));
    let output = ran.await.expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("the put is there", || server.tables().contains(&"ada/t".to_owned())).await;
}
