//! What was acknowledged survives the end of the process.

use airlane_testkit::ServerProcess;

use super::{airlane, binary, succeed};

#[test]
fn a_durable_put_survives_kill_9_and_an_ephemeral_one_does_not() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let csv = folder.path().join("n.csv");
    std::fs::write(&csv, (0..100_000).map(|n| format!("{n},text {n}\n")).fold("n,t\n".to_owned(), |a, b| a + &b))
        .expect("write");
    let run = |server: &ServerProcess, arguments: &[&str]| {
        succeed(airlane(folder.path()).args(arguments).args(["--url", &server.url()]))
    };
    let mut server = ServerProcess::start(binary(), &data, [] as [&str; 0]);
    assert_eq!(run(&server, &["put", "kept", "n.csv"]), "kept@1\n");
    assert_eq!(run(&server, &["put", "kept", "n.csv", "--append"]), "kept@2\n");
    assert_eq!(run(&server, &["put", "gone", "n.csv", "--durability", "ephemeral"]), "gone@1\n");
    let before = run(&server, &["get", "kept", "--format", "csv"]);
    server.kill();

    let server = ServerProcess::start(binary(), &data, [] as [&str; 0]);
    assert_eq!(run(&server, &["get", "kept", "--format", "csv"]), before);
    let listed: serde_json::Value = serde_json::from_str(&run(&server, &["ls", "--json"])).expect("JSON");
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        (&listed[0]["table"], &listed[0]["version"], &listed[0]["rows"]),
        (&"kept".into(), &2.into(), &200_000.into())
    );
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("1 table in"), "{stderr}");
}

#[test]
fn a_client_that_is_killed_in_mid_put_leaves_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let mut client = airlane(folder.path())
        .args(["put", "half", "-", "--format", "csv", "--sample", "1KiB", "--url", &server.url()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("client");
    let mut stdin = client.stdin.take().expect("stdin");
    let rows = "12345678,some text of a row\n".repeat(1 << 20);
    std::io::Write::write_all(&mut stdin, format!("n,t\n{rows}").as_bytes()).expect("the client reads");
    client.kill().expect("kill");
    client.wait().expect("wait");
    let list = || succeed(airlane(folder.path()).args(["ls", "--json", "--url", &server.url()]));
    assert_eq!(list().trim(), "[]");
    // The name is free, so nothing of the put is held either.
    std::fs::write(folder.path().join("n.csv"), "n\n1\n").expect("write");
    let put = succeed(airlane(folder.path()).args(["put", "half", "n.csv", "--url", &server.url()]));
    assert_eq!(put, "half@1\n");
}
