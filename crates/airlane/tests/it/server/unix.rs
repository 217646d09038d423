//! The same doors on a Unix socket.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tonic::transport::Endpoint;

use super::harness::*;
use super::tables::*;

async fn start() -> (TestServer, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.sock");
    let server = TestServer::start_with(|_, options| options.unix_socket = Some(path.clone())).await;
    (server, path, folder)
}

async fn client(path: &Path) -> Client {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    Client::new(endpoint.connect_with_connector(connector).await.expect("a connection"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_put_and_read_over_a_unix_socket() {
    let (server, path, _folder) = start().await;
    assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
    let mut client = client(&path).await;
    put(&mut client, "t", &[kinds(100_000)]).await.expect("a table");
    let (schema, read) = get(&mut client, "t").await.expect("a table");
    assert_eq!(joined(&schema, &read), kinds(100_000));
    let by_tcp = get(&mut server.client().await, "t").await.expect("the same table");
    assert_eq!(joined(&schema, &by_tcp.1), kinds(100_000));

    let TestServer { mut handle, folder: _data } = server;
    handle.stop();
    handle.wait().await.expect("a clean end");
    assert!(!path.exists(), "the socket is removed");
}

/// What pyarrow 26.0.1 sends for `do_get` of the ticket `x` to `grpc+unix:///tmp/sniff.sock`.
const PYARROW: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x24\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x04\x00\x40\x00\x00\x00\x05\
    \x00\x40\x00\x00\x00\x06\x00\x00\x40\x00\xfe\x03\x00\x00\x00\x01\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x3f\x00\x01\
    \x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\xf9\x01\x04\x00\x00\x00\x01\
    \x40\x05:path\x2a/arrow.flight.protocol.FlightService/DoGet\x40\x0a:authority\x10tmp%2Fsniff.sock\x83\x86\
    \x40\x0ccontent-type\x10application/grpc\x40\x02te\x08trailers\
    \x40\x14grpc-accept-encoding\x17identity, deflate, gzip\x40\x0cgrpc-timeout\x051990m\
    \x40\x0auser-agent\x2dgrpc-c++/1.81.1 grpc-c/54.0.0 (linux; chttp2)\
    \x00\x00\x08\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x03\x0a\x01x";

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_that_pyarrow_sends_is_taken() {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    let (_server, path, _folder) = start().await;
    let mut stream = UnixStream::connect(&path).await.expect("a connection");
    stream.write_all(PYARROW).await.expect("sent");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.expect("a frame");
        assert_ne!(head[3], RST_STREAM, "the call was refused: {payload:?}");
        if head[3] == HEADERS {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_known_by_the_user_that_it_runs_as() {
    let uid = rustix::process::getuid().as_raw();
    let server = TestServer::start_with(|store, options| {
        let folder = store.folder.as_ref().expect("a folder").parent().expect("a parent").to_owned();
        let rights = format!("[unix.me]\nuid = {uid}\n[rights.me]\neu = [\"read\", \"write\"]\n");
        std::fs::write(folder.join("rights.toml"), rights).expect("written");
        options.rights_file = Some(folder.join("rights.toml"));
        options.unix_socket = Some(folder.join("a.sock"));
    })
    .await;
    let folder = server.folder.path();
    let mut client = client(&folder.join("a.sock")).await;
    put(&mut client, "eu/t", &[numbers(0, 10)]).await.expect("by its rights");
    let refused = put(&mut client, "us/t", &[numbers(0, 10)]).await.expect_err("no more than these");
    assert_eq!(code_name(&refused), "permission_denied");
    let by_tcp = get(&mut server.client().await, "eu/t").await.expect_err("the network shows no user");
    assert_eq!(code_name(&by_tcp), "credentials_missing");

    // Another user has no rights by this one's rule, on a connection that is there as well.
    let other = format!("[unix.other]\nuid = {}\n[rights.other]\neu = [\"read\"]\n", uid + 1);
    std::fs::write(folder.join("rights.toml"), other).expect("written");
    server.handle.reload().now();
    super::rights::eventually_async("the rule is gone", async || {
        get(&mut client.clone(), "eu/t").await.is_err_and(|status| code_name(&status) == "credentials_missing")
    })
    .await;
}
