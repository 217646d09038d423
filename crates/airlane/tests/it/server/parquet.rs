//! Parquet files by HTTP: each is parsed in a child, which may end as it likes.

use std::time::Duration;

use airlane_format::ChildParser;
use airlane_format::child::MEMORY_DEFAULT;
use airlane_model::ByteSize;
use airlane_testkit::ServerProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;
use super::rest::ask;
use super::rights::eventually_async;
use super::tables::*;
use crate::cli::binary;

mod thrift;

use thrift::{File, Page};

/// A file of the server's own for comparison.
async fn honest(at: &str) -> Vec<u8> {
    ask(at, "PUT", "/v1/tables/honest", "content-type: text/csv\r\n", b"n,text\n1,x\n2,\n").await;
    ask(at, "GET", "/v1/tables/honest?format=parquet", "", b"").await.body
}

async fn put_parquet(at: &str, name: &str, file: &[u8]) -> super::rest::Answer {
    ask(at, "PUT", &format!("/v1/tables/{name}"), "content-type: application/vnd.apache.parquet\r\n", file).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_made_by_hand_is_read_as_it_says() {
    let server = TestServer::start().await;
    let at = server.address();
    let file = File::of_numbers(&[Page::dictionary_of_number(7), Page::run(100_000)], 100_000);
    let put = put_parquet(&at, "t", &file.bytes()).await;
    assert_eq!((put.status, put.json()["rows"].clone()), (201, 100_000.into()), "{}", put.text());
    let rows = ask(&at, "GET", "/v1/tables/t?format=csv&offset=99999", "", b"").await;
    assert_eq!(rows.text(), "n\n7\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_hostile_file_is_refused_and_the_server_goes_on() {
    let server = TestServer::start().await;
    let at = server.address();
    let good = honest(&at).await;
    let mut damaged = good.clone();
    damaged[4..40].fill(0xff);
    let value = vec![b'x'; 1 << 20];
    for (what, file, code) in [
        ("cut off", good[..good.len() - 9].to_vec(), "file_invalid"),
        ("cut off at its beginning", good[7..].to_vec(), "file_invalid"),
        ("four bytes", b"PAR1".to_vec(), "file_invalid"),
        ("damaged", damaged, "file_invalid"),
        ("a list of 2^31 fields", thrift::endless_list(), "file_invalid"),
        ("a page of 2^31 rows", File::of_numbers(&[Page::plain(i32::MAX)], i32::MAX.into()).bytes(), "file_invalid"),
        ("a row group of 2^62 rows", File::of_numbers(&[Page::plain(1)], 1 << 62).bytes(), "file_invalid"),
        (
            "a dictionary whose value comes a million times",
            File::of_texts(&[Page::dictionary_of_text(&value), Page::run(1 << 20)], 1 << 20).bytes(),
            "limit_exceeded",
        ),
        ("10,000 levels", File::nested(10_000).bytes(), "file_invalid"),
    ] {
        let refused = put_parquet(&at, "t", &file).await;
        assert!([400, 429].contains(&refused.status), "{what}: {}", refused.text());
        assert_eq!(refused.json()["code"], code, "{what}: {}", refused.text());
        assert_eq!(server.tables(), ["honest"], "{what}");
    }
    assert_eq!(put_parquet(&at, "t", &good).await.status, 201, "the server goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_what_a_child_needs_more_than_it_has_is_told() {
    let with = |memory, time| {
        let parser = ChildParser::new(binary().to_owned(), vec!["parse-parquet".into()], memory, time);
        TestServer::start_with(move |_, options| options.parquet_parser = Some(parser))
    };
    let large = File::of_texts(&[Page::dictionary_of_text(&vec![b'x'; 1 << 20]), Page::run(4_096)], 4_096).bytes();
    let server = with(ByteSize::mib(128), Duration::from_secs(60)).await;
    let refused = put_parquet(&server.address(), "t", &large).await;
    let message = refused.json()["detail"].clone();
    assert_eq!(message, "reading this Parquet file needs more than 128 MiB of memory", "{}", refused.text());
    assert!(refused.json()["hint"].as_str().expect("a hint").contains("parquet_memory_max"));

    let long = File::of_numbers(&[Page::dictionary_of_number(7), Page::run(1 << 30)], 1 << 30).bytes();
    let server = with(MEMORY_DEFAULT, Duration::from_secs(1)).await;
    let refused = put_parquet(&server.address(), "t", &long).await;
    assert_eq!(
        (refused.status, refused.json()["detail"].clone()),
        (429, "reading this Parquet file needs more than 1s of processor time".into())
    );
    assert!(server.tables().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_server_without_a_program_for_it_takes_no_parquet() {
    let server = TestServer::start_with(|_, options| options.parquet_parser = None).await;
    let at = server.address();
    let file = honest(&at).await;
    let refused = put_parquet(&at, "t", &file).await;
    assert_eq!((refused.status, refused.json()["code"].clone()), (501, "not_implemented".into()));
    let missing = ChildParser::new("/nowhere/airlane".into(), vec![], MEMORY_DEFAULT, Duration::from_secs(1));
    let server = TestServer::start_with(move |_, options| options.parquet_parser = Some(missing)).await;
    assert_eq!(put_parquet(&server.address(), "t", &file).await.json()["code"], "internal");
}

/// The children of a process that parse files.
fn children(server: u32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        fields.nth(1).and_then(|parent| parent.parse().ok()) == Some(server)
    })
    .collect()
}

/// Sends a file that takes minutes, and answers its child.
async fn begin_long(server: &ServerProcess) -> (TcpStream, i32) {
    let file = File::of_numbers(&[Page::dictionary_of_number(7), Page::run(i32::MAX)], i32::MAX.into()).bytes();
    let mut tcp = TcpStream::connect(("127.0.0.1", server.port())).await.expect("a connection");
    let head = format!(
        "PUT /v1/tables/t?format=parquet&durability=ephemeral HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        file.len()
    );
    tcp.write_all(&[head.as_bytes(), &file].concat()).await.expect("sent");
    eventually("a child", || !children(server.id()).is_empty()).await;
    (tcp, children(server.id())[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_child_that_is_killed_ends_its_upload_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let at = format!("127.0.0.1:{}", server.port());
    let (mut tcp, child) = begin_long(&server).await;
    let id = rustix::process::Pid::from_raw(child).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("killed");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.contains("limit_exceeded"), "{answer}");
    eventually("no child is left, and no zombie", || children(server.id()).is_empty()).await;
    assert_eq!(ask(&at, "GET", "/v1/tables", "", b"").await.json()["tables"], serde_json::json!([]));

    // A client that goes away takes its child along.
    let (tcp, _) = begin_long(&server).await;
    drop(tcp);
    eventually("no child is left", || children(server.id()).is_empty()).await;
    assert_eq!(ask(&at, "GET", "/v1/tables", "", b"").await.json()["tables"], serde_json::json!([]));
    eventually_async("it is not ready for long", async || ask(&at, "GET", "/readyz", "", b"").await.status == 200)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_server_that_ends_leaves_no_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), ["--drain-timeout", "500ms"]);
    let (tcp, child) = begin_long(&server).await;
    let (status, said) = server.stop();
    assert!(status.success(), "{said}");
    let is_there =
        || std::fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.contains("parse-parquet"));
    eventually("the child has ended", || !is_there()).await;
    drop(tcp);
    // Nothing of the put is there with the next start.
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let at = format!("127.0.0.1:{}", server.port());
    assert_eq!(ask(&at, "GET", "/v1/tables", "", b"").await.json()["tables"], serde_json::json!([]));
}

/// What the server itself writes is what it reads, through the child.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_back_through_a_child() {
    let server = TestServer::start().await;
    let at = server.address();
    server.put_here("kinds", &[kinds(10_000)]).await;
    let parquet = ask(&at, "GET", "/v1/tables/kinds?format=parquet&types=plain", "", b"").await;
    assert_eq!(parquet.status, 200, "{}", parquet.head);
    let again = put_parquet(&at, "again", &parquet.body).await;
    assert_eq!((again.status, again.json()["rows"].clone()), (201, 10_000.into()), "{}", again.text());
}
