//! Benchmarks against peers: every server in the same run, in turn, so that a slow moment of the machine hits all.
//!
//! `airlane-bench flight [--smoke | --quick]` measures what `cargo xtask bench flight` reports. Results go to
//! `bench/results/` as JSON (with every sample) and as a table of ratios; a smoke run writes nothing.

mod client;
mod flight;
mod machine;
mod peer;
mod process;
mod report;
mod table;

use std::process::ExitCode;

/// An error of a benchmark ends it with a message; nothing is recovered.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["flight"] => flight::Effort::FULL,
        ["flight", "--quick"] => flight::Effort::QUICK,
        ["flight", "--smoke"] => flight::Effort::SMOKE,
        _ => {
            eprintln!("Usage: airlane-bench flight [--smoke | --quick]");
            return ExitCode::FAILURE;
        }
    };
    match flight::run(&effort) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
