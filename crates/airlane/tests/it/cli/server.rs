//! Starting and stopping servers.

use std::io::Read;
use std::process::Stdio;

use airlane_testkit::ServerProcess;

use super::{Killed, airlane, binary, fail, succeed};

#[test]
fn a_second_server_on_the_folder_or_the_port_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let (code, stderr) = fail(airlane(folder.path()).args(["serve", "--port", "0", "--data-dir", "data"]));
    assert_eq!(code, 13, "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains("hint: "), "{stderr}");
    let port = server.port().to_string();
    let (code, stderr) = fail(airlane(folder.path()).args(["serve", "--port", &port, "--data-dir", "other"]));
    assert_eq!(code, 13, "{stderr}");
    assert!(stderr.contains(&port) && stderr.contains("--port 0"), "{stderr}");
}

#[test]
fn a_start_tells_where_it_listens_and_a_stop_is_clean() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("airlane.sock");
    let server =
        ServerProcess::start(binary(), &folder.path().join("data"), ["--unix-socket", &socket.display().to_string()]);
    std::fs::write(folder.path().join("n.csv"), "n\n1\n").expect("write");
    let url = format!("grpc+unix://{}", socket.display());
    assert_eq!(succeed(airlane(folder.path()).args(["put", "n", "n.csv", "--url", &url])), "n@1\n");
    assert_eq!(succeed(airlane(folder.path()).args(["get", "n", "--format", "csv", "--url", &server.url()])), "n\n1\n");
    let address = server.url();
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    for words in [&address, &url, "no tables yet", "python", "data"] {
        assert!(stderr.contains(words), "{words} is missing in\n{stderr}");
    }
    assert!(!socket.exists(), "the socket is removed");
}

#[test]
fn the_port_file_is_never_that_of_an_earlier_run() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("port");
    std::fs::write(&file, "1\n").expect("write");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    // A server that may not start leaves the file alone: it may be that of the one that runs.
    let arguments = ["serve", "--port", "0", "--port-file", "port", "--data-dir", "data"];
    let (_, stderr) = fail(airlane(folder.path()).args(arguments));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "1\n", "{stderr}");
    assert!(server.stop().0.success());
    // One that has the folder and cannot listen has taken it away.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port().to_string();
    let arguments = ["serve", "--port", &port, "--port-file", "port", "--data-dir", "data"];
    let (code, stderr) = fail(airlane(folder.path()).args(arguments));
    assert_eq!(code, 13, "{stderr}");
    assert!(!file.exists(), "a port that nobody listens at");
}

/// Ctrl-C in the midst of a read: exit code 130, and no file, not even a part of one.
#[test]
fn an_interrupted_get_leaves_no_file() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    std::fs::create_dir(folder.path().join("out")).expect("folder");
    std::fs::write(folder.path().join("n.csv"), format!("n\n{}", "1\n".repeat(300_000))).expect("write");
    succeed(airlane(folder.path()).args(["put", "n", "n.csv", "--url", &server.url()]));
    // The line stalls behind this listener: what it takes goes nowhere, so that the read never ends.
    let stalled = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = server.port();
    let url = format!("grpc://{}", stalled.local_addr().expect("address"));
    let relay = std::thread::spawn(move || {
        let (client, _) = stalled.accept().expect("a client");
        let upstream = std::net::TcpStream::connect(("127.0.0.1", upstream)).expect("connect");
        let (mut up, mut down) = (upstream.try_clone().expect("clone"), client.try_clone().expect("clone"));
        let mut from_client = client;
        std::thread::spawn(move || std::io::copy(&mut from_client, &mut up));
        // The schema and the first of two record batches.
        std::io::copy(&mut upstream.take(1_500_000), &mut down).expect("copy");
        down
    });
    let get = airlane(folder.path()).args(["get", "n", "-o", "out/n.csv", "--url", &url]).spawn().expect("get");
    let mut get = Killed(get);
    let _line = relay.join().expect("the relay");
    let begun = || std::fs::read_dir(folder.path().join("out")).expect("folder").count();
    while begun() == 0 {
        assert!(get.0.try_wait().expect("a state").is_none(), "the read waits");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let process = rustix::process::Pid::from_child(&get.0);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(get.0.wait().expect("end").code(), Some(130));
    assert_eq!(begun(), 0, "the half-written file is taken away");
}

#[test]
fn json_logs_are_objects_and_nothing_else() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), ["--log-format", "json"]);
    let (_, stderr) = server.stop();
    let events: Vec<serde_json::Value> = stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(events.iter().any(|event| event["message"] == "listening"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_ends_a_get_quietly() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let rows: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    std::fs::write(folder.path().join("n.csv"), format!("n\n{rows}")).expect("write");
    succeed(airlane(folder.path()).args(["put", "n", "n.csv", "--url", &server.url()]));
    let mut get = airlane(folder.path())
        .args(["get", "n", "--format", "csv", "--url", &server.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("get");
    let mut stdout = get.stdout.take().expect("stdout");
    stdout.read_exact(&mut [0; 4]).expect("the first rows");
    drop(stdout);
    let output = get.wait_with_output().expect("end");
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_get_that_fails_leaves_neither_the_file_nor_a_part_of_it() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("folder");
    std::fs::write(folder.path().join("n.ndjson"), "{\"a\":[1]}\n").expect("write");
    succeed(airlane(folder.path()).args(["put", "n", "n.ndjson", "--url", &server.url()]));
    for (arguments, exit) in [(["get", "n", "-o", "out/n.csv"], 10), (["get", "m", "-o", "out/m.csv"], 11)] {
        let (code, stderr) = fail(airlane(folder.path()).args(arguments).args(["--url", &server.url()]));
        assert_eq!(code, exit, "{stderr}");
    }
    assert_eq!(std::fs::read_dir(&out).expect("folder").count(), 0);
}

#[test]
fn completions_know_the_commands() {
    let folder = tempfile::tempdir().expect("folder");
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(airlane(folder.path()).args(["completions", shell]));
        for word in ["airlane", "serve", "demo", "data-dir"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
