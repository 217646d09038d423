//! `airlane top`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use airlane_testkit::ServerProcess;

use super::{Killed, airlane, binary, fail, succeed};

#[test]
fn one_view_is_text_or_json_and_shows_what_is_large_and_read() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let run = |arguments: &[&str]| succeed(airlane(folder.path()).args(arguments).args(["--url", &server.url()]));
    let empty = run(&["top", "--once"]);
    assert!(empty.contains("0 tables") && !empty.contains("largest"), "{empty}");
    std::fs::write(folder.path().join("n.csv"), "n\n1\n2\n").expect("write");
    std::fs::write(folder.path().join("m.csv"), format!("n\n{}", "1\n".repeat(1_000))).expect("write");
    run(&["put", "eu/small", "n.csv"]);
    run(&["put", "eu/large", "m.csv"]);
    for _ in 0..3 {
        run(&["get", "eu/small", "--format", "csv"]);
    }
    let text = run(&["top", "--once"]);
    for words in ["ready", "2 tables", "per second since the start", "DoAction 1", "largest", "most read"] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(!text.contains('\x1b'), "no terminal, no signs for one: {text:?}");
    let json: serde_json::Value = serde_json::from_str(&run(&["top", "--once", "--json"])).expect("JSON");
    assert_eq!((&json["tables"], &json["rows_in"]), (&2.into(), &1_002.into()));
    assert_eq!(json["largest"][0]["table"], "eu/large");
    let read = &json["most_read"][0];
    assert_eq!((&read["table"], &read["reads"]), (&"eu/small".into(), &3.into()));
    assert!(read["reads_open"].is_u64(), "{read}");
    assert!(json["budget_bytes"].as_u64().expect("a number") > 1 << 20);
    assert!(json["budget_used"]["tables"].is_u64(), "{json}");
    assert!(json["memory_bytes"].as_u64().expect("a number") > 1 << 20);
    assert!(json["requests"].as_u64().expect("a number") >= 5, "{json}");
}

#[test]
fn without_a_terminal_one_view_follows_the_other_until_nobody_reads() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    for (arguments, begin) in [(&["top"][..], "airlane "), (&["top", "--json"], "{")] {
        let mut command = airlane(folder.path());
        command.args(arguments).args(["--interval", "10ms", "--url", &server.url()]).stdout(Stdio::piped());
        let mut top = Killed(command.spawn().expect("top"));
        let lines = BufReader::new(top.0.stdout.take().expect("stdout")).lines();
        let views = lines.map(|line| line.expect("a line")).filter(|line| line.starts_with(begin));
        assert_eq!(views.take(3).count(), 3);
        assert!(top.0.wait().expect("end").success(), "a reader that goes away ends it quietly");
    }
}

#[test]
fn s9_a_view_takes_the_right_of_an_operator_and_shows_what_that_one_may_read() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path();
    let hash = |token: &str| airlane_gate::NewToken::of(airlane_model::Secret::new(token)).sha256;
    let mut text = String::new();
    for (name, rights) in [
        ("owner", "\"*\" = [\"read\", \"write\"]"),
        ("operator", "\"*\" = [\"admin\"]\neu = [\"read\"]"),
        ("local-operator", "eu = [\"admin\"]"),
    ] {
        text.push_str(&format!(
            "[token.{name}]\nsha256 = \"{}\"\n[rights.{name}]\n{rights}\n",
            hash(&format!("t-{name}"))
        ));
    }
    std::fs::write(path.join("rights.toml"), text).expect("written");
    let file = path.join("rights.toml").display().to_string();
    let server = ServerProcess::start(binary(), &path.join("data"), ["--rights-file", &file]);
    std::fs::write(path.join("n.csv"), "n\n1\n").expect("written");
    let command = |token: &str, arguments: &[&str]| {
        let mut command = airlane(path);
        command.args(arguments).env("AIRLANE_URL", server.url()).env("AIRLANE_TOKEN", token);
        command
    };
    for name in ["eu/n", "us/n"] {
        succeed(&mut command("t-owner", &["put", name, "n.csv"]));
    }
    for token in ["t-owner", "t-local-operator"] {
        let (code, stderr) = fail(&mut command(token, &["top", "--once"]));
        assert!(code == 22 && stderr.contains("has no right to see or change the server itself"), "{stderr}");
    }
    for arguments in [&["top", "--once"][..], &["top", "--once", "--json"]] {
        let shown = succeed(&mut command("t-operator", arguments));
        assert!(shown.contains("eu/n") && !shown.contains("us/n"), "{shown}");
    }
}
