//! A file that cannot be read any more costs its own table, and nothing else.

use std::time::{Duration, Instant};

use airlane_testkit::ServerProcess;

use super::{airlane, binary, succeed};

#[test]
fn d14_a_truncated_file_costs_one_restart_and_one_table() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    // Incompressible enough to fill more than one segment's file of 256 KiB.
    let rows = (0..200_000_u64).map(|n| format!("{n},{}\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    std::fs::write(folder.path().join("n.csv"), rows.fold("n,t\n".to_owned(), |a, b| a + &b)).expect("write");
    let run = |server: &ServerProcess, arguments: &[&str]| {
        airlane(folder.path()).args(arguments).args(["--url", &server.url()]).output().expect("the client runs")
    };
    let mut server = ServerProcess::start(binary(), &data, [] as [&str; 0]);
    let before = {
        let url = server.url();
        succeed(airlane(folder.path()).args(["put", "hurt", "n.csv", "--url", &url]));
        let files: Vec<_> = std::fs::read_dir(data.join("segments")).expect("segments").collect();
        assert!(!files.is_empty(), "the table lies in files");
        succeed(airlane(folder.path()).args(["put", "well", "n.csv", "--url", &url]));
        let file = files[0].as_ref().expect("entry").path();
        let before = succeed(airlane(folder.path()).args(["get", "well", "--format", "csv", "--url", &url]));
        std::fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(4096)).expect("truncate");
        before
    };
    assert!(!run(&server, &["get", "hurt", "--format", "csv"]).status.success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = server.ended() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the server goes on with a file that it cannot read");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(86));

    let server = ServerProcess::start(binary(), &data, [] as [&str; 0]);
    let hurt = run(&server, &["get", "hurt", "--format", "csv"]);
    assert_eq!(hurt.status.code(), Some(18), "data loss: {}", String::from_utf8_lossy(&hurt.stderr));
    assert!(String::from_utf8_lossy(&hurt.stderr).contains("hurt"));
    let well = run(&server, &["get", "well", "--format", "csv"]);
    assert_eq!(String::from_utf8_lossy(&well.stdout), before, "the other table is served as before");
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("hurt"), "the start names the damaged table: {stderr}");
}
