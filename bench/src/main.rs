//! Benchmarks against peers: every server in the same run, in turn, so that a slow moment of the machine hits all.
//!
//! `cargo xtask bench <name>` builds and runs this. Results go to `bench/results/` as JSON (with every sample) and as a
//! table of ratios; a smoke run writes nothing.

mod client;
mod flight;
mod handover;
mod machine;
mod peer;
mod picture;
mod process;
mod report;
mod server;
mod table;

use std::process::ExitCode;

/// An error of a benchmark ends it with a message; nothing is recovered.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((name, options)) if name == "flight" => {
            flight::Effort::parse(options).and_then(|effort| flight::run(&effort))
        }
        Some((name, options)) if name == "server" => {
            server::Effort::parse(options).and_then(|effort| server::run(&effort))
        }
        Some((name, options)) if name == "handover" => {
            handover::Effort::parse(options).and_then(|effort| handover::run(&effort))
        }
        // The other process of it.
        Some((name, options)) if name == "handover-consumer" => handover::consume(options),
        _ => Err(format!(
            "the benchmarks: flight, handover, server\n{}{}{}",
            flight::USAGE,
            handover::USAGE,
            server::USAGE
        )
        .into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
