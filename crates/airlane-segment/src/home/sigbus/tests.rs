use std::fs::{self, File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::*;
use crate::home::Home;

const FOLDER: &str = "AIRLANE_SIGBUS_TEST_FOLDER";
const LABEL: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
const LEN: u64 = 1 << 16;

/// The folder, in the process that is to die; the test starts itself again to get there.
fn child_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

fn run_child(test: &str, folder: &Path) -> Output {
    let test = format!("home::sigbus::tests::{test}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder).output().unwrap()
}

fn file_of(folder: &Path, name: &str) -> File {
    fs::write(folder.join(name), vec![1; LEN as usize]).unwrap();
    File::options().read(true).write(true).open(folder.join(name)).unwrap()
}

/// Installs the handler and registers mappings, of which every second is gone again.
fn prepare(folder: &Path) -> Vec<Home> {
    install(OpenOptions::new().append(true).create(true).open(folder.join("report")).unwrap()).unwrap();
    let map = |label: u128| Home::map_file(&file_of(folder, &label.to_string()), LEN, label).unwrap();
    let (kept, dropped): (Vec<Home>, Vec<Home>) = (0..10).map(|label| (map(label), map(100 + label))).unzip();
    drop(dropped);
    kept
}

#[test]
fn d14_a_segment_file_that_cannot_be_read_is_reported_and_ends_the_process() {
    if let Some(folder) = child_folder() {
        let others = prepare(&folder);
        let file = file_of(&folder, "cut");
        let bytes = Home::map_file(&file, LEN, LABEL).unwrap().bytes();
        assert_eq!(others[3].bytes()[40_000] + bytes[40_000], 2);
        file.set_len(0).unwrap();
        panic!("read {} beyond the end of the file", bytes[40_000]);
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_child("d14_a_segment_file_that_cannot_be_read_is_reported_and_ends_the_process", folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(EXIT_CODE), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("report")).unwrap(), format!("{LABEL:032x}\n"));
    assert!(stderr.contains(&format!("{LABEL:032x}")), "{stderr}");
}

#[test]
fn d14_a_fault_that_is_not_ours_ends_the_process_by_the_signal() {
    if let Some(folder) = child_folder() {
        let _others = prepare(&folder);
        let file = file_of(&folder, "cut");
        #[expect(unsafe_code, reason = "a mapping that is not registered")]
        // SAFETY: what happens when the file is cut is what is tested.
        let mapping = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        file.set_len(0).unwrap();
        panic!("read {} beyond the end of the file", mapping[40_000]);
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_child("d14_a_fault_that_is_not_ours_ends_the_process_by_the_signal", folder.path());
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("report")).unwrap(), "");
}

#[test]
fn d14_a_signal_that_somebody_sends_ends_the_process() {
    if let Some(folder) = child_folder() {
        let _others = prepare(&folder);
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::BUS).unwrap();
        panic!("survived the signal");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = run_child("d14_a_signal_that_somebody_sends_ends_the_process", folder.path());
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("report")).unwrap(), "");
}

#[test]
fn addresses_are_known_while_they_are_registered() {
    // Addresses that no mapping of another test can have.
    let start = usize::MAX - 100;
    let first = Registration::new(start..start + 10, 1);
    let second = Registration::new(start + 10..start + 20, u128::MAX);
    assert_eq!(
        [start - 1, start, start + 9, start + 10, start + 20].map(label_of),
        [None, Some(1), Some(1), Some(u128::MAX), None]
    );
    drop(first);
    assert_eq!(label_of(start), None);
    assert_eq!(label_of(start + 19), Some(u128::MAX));
    drop(second);
    assert_eq!(label_of(start + 19), None);
}

#[test]
fn labels_are_written_in_full() {
    for label in [0, 1, LABEL, u128::MAX] {
        assert_eq!(report_line(label), format!("{label:032x}\n").as_bytes());
    }
}

#[test]
fn d14_a_report_is_written_through_interruptions() {
    let mut written = Vec::new();
    let mut calls = 0;
    write_with(&report_line(LABEL), |bytes| {
        calls += 1;
        match calls % 3 {
            0 => Err(libc::EINTR),
            _ => {
                written.extend_from_slice(&bytes[..bytes.len().min(5)]);
                Ok(bytes.len().min(5))
            }
        }
    });
    assert_eq!(written, report_line(LABEL));
    let mut calls = 0;
    write_with(b"x", |_| {
        calls += 1;
        Err(libc::EIO)
    });
    assert_eq!(calls, 1, "an error ends it");
}
