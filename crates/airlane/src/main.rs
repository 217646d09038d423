//! `airlane`: the server and the command line.

mod cli;
mod config;
mod output;
mod telemetry;

use std::process::ExitCode;

// The system's allocator keeps what a burst of clients once needed; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything speaks TLS: where several providers are linked, none is chosen by itself.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::main()
}
