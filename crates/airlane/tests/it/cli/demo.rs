//! The demonstration, and the lines that it prints to paste.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use airlane_testkit::python;
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

/// Every line that the demonstration offers is run as it stands.
#[test]
fn the_lines_of_the_demo_work_when_pasted() {
    let folder = tempfile::tempdir().expect("folder");
    let demo = airlane(folder.path()).args(["demo", "--port", "0"]).stdout(Stdio::piped()).spawn().expect("demo");
    let mut demo = Killed(demo);
    let stdout = BufReader::new(demo.0.stdout.take().expect("stdout"));
    let mut pasted = 0;
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
            "curl" if Command::new("curl").arg("--version").output().is_err() => {
                println!("SKIPPED: the_lines_of_the_demo_work_when_pasted (curl): there is no curl");
                continue;
            }
            _ => {
                shell.args(["-c", line]);
            }
        }
        let answered = succeed_with_bytes(&mut shell);
        let saved = folder.path().join("flights.parquet");
        assert!(answered > 0 || (line.contains("-o flights.parquet") && saved.is_file()), "{line} is silent");
        pasted += 1;
    }
    assert!(pasted >= 3, "{pasted} lines");
    let pid = i32::try_from(demo.0.id()).ok().and_then(Pid::from_raw).expect("pid");
    kill_process(pid, Signal::INT).expect("Ctrl-C");
    assert!(demo.0.wait().expect("end").success(), "Ctrl-C ends the demonstration well");
}
