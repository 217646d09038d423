//! The demonstration, and the lines that it prints to paste.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use airlane_testkit::python;
use arrow_flight::FlightData;
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};

use super::{Killed, airlane, succeed, succeed_with_bytes};

#[test]
fn demo_once_moves_and_compares_the_samples() {
    let folder = tempfile::tempdir().expect("folder");
    let text = succeed(airlane(folder.path()).args(["demo", "--once"]));
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let rows = |verb: &str, table: &str| {
        let line = words.iter().find(|words| words.starts_with(&[verb, table]));
        line.unwrap_or_else(|| panic!("no line `{verb} {table}` in\n{text}"))[2].to_owned()
    };
    assert_eq!(rows("put", "flights"), "336,776");
    assert_eq!((rows("put", "weather"), rows("append", "weather")), ("13,057".into(), "13,058".into()));
    assert_eq!((rows("get", "flights@1"), rows("get", "weather@2")), ("336,776".into(), "26,115".into()));
    assert!(text.contains("GB/s") && text.contains("compared value by value"), "{text}");

    let json = succeed(airlane(folder.path()).args(["demo", "--once", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let steps = json["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 12, "six puts, a list, five gets");
    assert!(steps.iter().all(|step| step["seconds"].as_f64() > Some(0.0)));
}

/// Why the lines with `curl` cannot be run here; those that read need HTTP/2.
fn no_curl() -> Option<&'static str> {
    let Ok(version) = Command::new("curl").arg("--version").output() else { return Some("there is no curl") };
    let has_http_2 = String::from_utf8_lossy(&version.stdout).contains("HTTP2");
    (!has_http_2).then_some("this curl was built without HTTP/2")
}

/// The rows in the answer to a DoGet, as `curl` saved it.
fn rows(mut answer: &[u8]) -> i64 {
    let mut rows = 0;
    while let Some((prefix, rest)) = answer.split_first_chunk::<5>() {
        let [0, length @ ..] = *prefix else { panic!("a compressed message") };
        let (message, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        let message = FlightData::decode(message).expect("a FlightData");
        let header = arrow_ipc::root_as_message(&message.data_header).expect("a message");
        rows += header.header_as_record_batch().map_or(0, |batch| batch.length());
        answer = rest;
    }
    assert!(answer.is_empty(), "the answer ends with a whole message");
    rows
}

/// Every line that the demonstration offers is run as it stands.
#[test]
fn the_lines_of_the_demo_work_when_pasted() {
    let folder = tempfile::tempdir().expect("folder");
    let demo = airlane(folder.path()).args(["demo", "--port", "0"]).stdout(Stdio::piped()).spawn().expect("demo");
    let mut demo = Killed(demo);
    let stdout = BufReader::new(demo.0.stdout.take().expect("stdout"));
    let (mut pasted, mut read_by_curl) = (0, false);
    for line in stdout.lines() {
        let line = line.expect("line");
        if line.starts_with("Ctrl-C") {
            break;
        }
        let Some(line) = line.strip_prefix("  ").filter(|line| !line.starts_with('#')) else { continue };
        let program = line.split_whitespace().next().unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.current_dir(folder.path());
        match program {
            "python3" => {
                let Some(python) = python("the_lines_of_the_demo_work_when_pasted (python)") else { continue };
                shell.args(["-c", &line.replacen("python3", &python.display().to_string(), 1)]);
            }
            _ if line.contains("curl") && no_curl().is_some() => {
                let reason = no_curl().unwrap_or_default();
                println!("SKIPPED: the_lines_of_the_demo_work_when_pasted (curl): {reason}");
                continue;
            }
            _ => {
                shell.args(["-c", line]);
            }
        }
        let answered = succeed_with_bytes(&mut shell);
        let saved = folder.path().join("flights.parquet");
        assert!(answered > 0 || (line.contains("-o flights.parquet") && saved.is_file()), "{line} is silent");
        if line.contains("-o flights.grpc") {
            let answer = std::fs::read(folder.path().join("flights.grpc")).expect("curl saved the answer");
            assert_eq!(rows(&answer), 336_776, "{line}");
            read_by_curl = true;
        }
        pasted += 1;
    }
    assert!(pasted >= 3, "{pasted} lines");
    assert!(read_by_curl || no_curl().is_some(), "a line reads the ticket with curl");
    let pid = i32::try_from(demo.0.id()).ok().and_then(Pid::from_raw).expect("pid");
    kill_process(pid, Signal::INT).expect("Ctrl-C");
    assert!(demo.0.wait().expect("end").success(), "Ctrl-C ends the demonstration well");
}
