//! What a person sees on a terminal while a table moves.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use airlane_testkit::ServerProcess;
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{Killed, airlane, binary};

/// A terminal of 100 columns: what watches it, and what a program writes to.
fn terminal() -> (File, OwnedFd) {
    let watcher = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&watcher).and_then(|()| unlockpt(&watcher)).expect("a terminal");
    let path = ptsname(&watcher, Vec::new()).expect("its name");
    let program = open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other end");
    tcsetwinsize(&program, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
    (File::from(watcher), program)
}

/// Reads on until what was shown holds all of the texts; what was shown so far.
fn watch(watcher: &mut File, shown: &mut String, texts: &[&str]) {
    let mut chunk = [0; 4096];
    while !texts.iter().all(|text| shown.contains(text)) {
        let count = watcher.read(&mut chunk).unwrap_or_else(|error| panic!("{error}: {texts:?} is not in {shown:?}"));
        shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}

#[test]
fn a_terminal_shows_rows_bytes_and_rate() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    let rows = "12345678,some text of a row\n".repeat(100_000);

    // A put that waits for more of its file: the bar stands.
    let (mut watcher, program) = terminal();
    let put = airlane(folder.path())
        .args(["put", "t", "-", "--format", "csv", "--sample", "1KiB", "--url", &server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(program)
        .spawn();
    let mut put = Killed(put.expect("put"));
    let mut stdin = put.0.stdin.take().expect("stdin");
    stdin.write_all(format!("n,t\n{rows}").as_bytes()).expect("the client reads");
    let mut shown = String::new();
    watch(&mut watcher, &mut shown, &[" rows  ", "B  ", "B/s"]);
    assert!(!shown.contains("put "), "the put goes on: {shown:?}");
    drop(stdin);
    watch(&mut watcher, &mut shown, &["put 100,000 rows into t in "]);
    assert!(put.0.wait().expect("end").success());

    // A read whose rows nobody takes: the bar stands somewhere below its end.
    let (mut watcher, program) = terminal();
    let get = airlane(folder.path())
        .args(["get", "t", "--format", "csv", "--url", &server.url()])
        .stdout(Stdio::piped())
        .stderr(program)
        .spawn();
    let mut get = Killed(get.expect("get"));
    let mut shown = String::new();
    watch(&mut watcher, &mut shown, &["━", "%", " rows  ", "B  ", "B/s"]);
    let mut written = String::new();
    get.0.stdout.take().expect("stdout").read_to_string(&mut written).expect("rows");
    assert_eq!(written.len(), "n,t\n".len() + rows.len());
    assert!(get.0.wait().expect("end").success());
}

#[test]
fn a_program_that_asks_for_json_is_shown_no_bar() {
    let folder = tempfile::tempdir().expect("folder");
    let server = ServerProcess::start(binary(), &folder.path().join("data"), [] as [&str; 0]);
    std::fs::write(folder.path().join("n.csv"), "n\n".to_owned() + &"1\n".repeat(100_000)).expect("write");
    let (mut watcher, program) = terminal();
    let mut put = airlane(folder.path());
    put.args(["put", "t", "n.csv", "--json", "--url", &server.url()]).stdout(Stdio::null()).stderr(program);
    assert!(put.status().expect("put").success());
    drop(put);
    // Nobody writes to the terminal any more: what was written is read, then the end of it.
    let mut shown = Vec::new();
    let _ = watcher.read_to_end(&mut shown);
    assert_eq!(String::from_utf8_lossy(&shown), "");
}
