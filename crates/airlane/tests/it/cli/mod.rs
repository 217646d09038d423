//! The command line, as the real binary.

mod access;
mod cases;
mod crash;
mod damage;
mod demo;
mod doctor;
mod folder;
mod formats;
mod progress;
mod server;
mod tls_auto;
mod top;

use std::path::Path;
use std::process::{Child, Command, Output};

use airlane_testkit::process;

pub(crate) use cases::difference;

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_airlane"))
}

/// The binary in a folder, without the settings of the person who runs the tests.
pub(crate) fn airlane(folder: &Path) -> Command {
    process::command(binary(), folder)
}

/// Runs a command that must succeed, and answers its stdout.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    assert!(status.success(), "{command:?} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// Runs a command that must succeed, and answers how many bytes it wrote to stdout.
pub(crate) fn succeed_with_bytes(command: &mut Command) -> usize {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    assert!(status.success(), "{command:?} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    stdout.len()
}

/// A process that does not outlive its test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command that must fail, and answers its exit code and stderr.
pub(crate) fn fail(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().expect("the command starts");
    assert!(!status.success(), "{command:?} succeeded");
    (status.code().expect("an exit code"), String::from_utf8(stderr).expect("text"))
}
