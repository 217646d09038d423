//! `airlane serve DIR`.

use std::io::{Read, Write};
use std::net::TcpStream;

use airlane_testkit::{ServerProcess, workspace};

use super::{airlane, binary, fail, succeed};

fn http(server: &ServerProcess, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

/// `/readyz` answers 503 until everything is loaded; how long that takes is not bounded here.
fn wait_until_ready(server: &ServerProcess) {
    while !http(server, "/readyz").starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn the_files_of_a_folder_become_tables() {
    let folder = tempfile::tempdir().expect("folder");
    let files = folder.path().join("files");
    std::fs::create_dir_all(files.join("eu")).expect("folder");
    std::fs::copy(workspace().join("samples/airlines.parquet"), files.join("airlines.parquet")).expect("copy");
    std::fs::write(files.join("eu/prices.csv"), "day,price\n2026-01-02,1.5\n").expect("write");
    std::fs::write(files.join("events.ndjson"), "{\"a\":1}\n{\"a\":2}\n").expect("write");
    std::fs::write(files.join("broken.parquet"), "no Parquet").expect("write");
    std::fs::write(files.join("a b.csv"), "a\n1\n").expect("write");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [&files]);
    wait_until_ready(&server);
    let list = succeed(airlane(folder.path()).args(["ls", "--json", "--url", &server.url()]));
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let list: Vec<_> = list
        .as_array()
        .expect("list")
        .iter()
        .map(|table| (&table["table"], &table["rows"], &table["durability"]))
        .collect();
    let expected = [("airlines", 16), ("eu/prices", 1), ("events", 2)]
        .map(|(name, rows)| (name.into(), rows.into(), "ephemeral".into()));
    let expected: Vec<_> = expected.iter().map(|(name, rows, durability)| (name, rows, durability)).collect();
    assert_eq!(list, expected);
    let (status, stderr) = server.stop();
    assert!(status.success());
    assert!(stderr.contains("a b.csv") && stderr.contains("skipped"), "{stderr}");
    assert!(stderr.contains("broken.parquet, footer"), "{stderr}");
}

#[test]
fn a_file_with_the_name_of_a_durable_table_is_skipped_and_named() {
    let folder = tempfile::tempdir().expect("folder");
    let (data, files) = (folder.path().join("data"), folder.path().join("files"));
    std::fs::create_dir(&files).expect("folder");
    std::fs::write(files.join("prices.csv"), "price\n1\n").expect("write");
    let mut server = ServerProcess::start(binary(), &data, [] as [&str; 0]);
    succeed(airlane(folder.path()).args(["put", "prices", "files/prices.csv", "--url", &server.url()]));
    assert!(server.stop().0.success());
    std::fs::write(files.join("prices.csv"), "price\n2\n").expect("write");
    server = ServerProcess::start(binary(), &data, [files.as_os_str(), "--log-format".as_ref(), "json".as_ref()]);
    wait_until_ready(&server);
    let get = ["get", "prices", "--format", "csv", "--url", &server.url()];
    assert_eq!(succeed(airlane(folder.path()).args(get)), "price\n1\n", "the table is what it was");
    let (status, stderr) = server.stop();
    assert!(status.success());
    let lines: Vec<serde_json::Value> = stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let error = &lines.iter().find(|line| line["error"].is_object()).expect("an error")["error"];
    assert_eq!(error["code"], "durability_conflict");
    assert!(error["at"].as_str().expect("a place").ends_with("prices.csv"), "{error}");
    assert!(error["hint"].as_str().expect("a hint").contains("airlane put prices"), "{error}");
}

#[test]
fn two_files_of_one_name_and_a_missing_folder_end_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("a.csv"), "a\n1\n").expect("write");
    std::fs::write(folder.path().join("a.ndjson"), "{\"a\":1}\n").expect("write");
    let (code, stderr) = fail(airlane(folder.path()).args(["serve", ".", "--port", "0", "--data-dir", "data"]));
    assert_eq!(code, 10, "{stderr}");
    assert!(stderr.contains("two files give the table `a`"), "{stderr}");
    let (code, stderr) = fail(airlane(folder.path()).args(["serve", "missing", "--port", "0", "--data-dir", "data"]));
    assert_eq!(code, 13, "{stderr}");
    assert!(stderr.contains("missing"), "{stderr}");
}
