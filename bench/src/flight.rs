//! `flight`: puts and gets beside the C++ server and the stock Rust server.
//!
//! Servers run all the time and are measured in turn, sample by sample; figures are medians, and ratios are of medians
//! over the same turns. CPU is the server's own, from the kernel's accounting, per GB (10⁹ bytes) of record batches.

mod small;
mod transfer;

use std::path::Path;
use std::process::Command;

use crate::machine::{Machine, touch_memory};
use crate::peer::{Kind, Peer, beside, python};
use crate::report::Report;
use crate::{Result, process};

/// How much is moved.
#[derive(Debug)]
pub(crate) struct Effort {
    pub(crate) name: &'static str,
    /// Bytes of a table.
    pub(crate) table_bytes: u64,
    /// Bytes moved for one sample of the float table.
    pub(crate) sample_bytes: u64,
    /// Bytes moved for one sample of the other table and of further clients.
    pub(crate) sample_bytes_others: u64,
    /// Samples of each server.
    pub(crate) turns: usize,
    /// Calls of one sample of small gets.
    pub(crate) small_calls: usize,
    /// Durable puts of each client.
    pub(crate) durable_puts: usize,
    /// Memory to touch first.
    pub(crate) touch_bytes: usize,
    /// Seconds between a put and the look at the server's memory.
    pub(crate) settle_seconds: u64,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        name: "full",
        table_bytes: 1 << 30,
        sample_bytes: 32_000_000_000,
        sample_bytes_others: 8_000_000_000,
        turns: 9,
        small_calls: 40_000,
        durable_puts: 50,
        touch_bytes: 12 << 30,
        settle_seconds: 10,
    };
    pub(crate) const QUICK: Self = Self {
        name: "quick",
        sample_bytes: 4_000_000_000,
        sample_bytes_others: 2_000_000_000,
        turns: 3,
        small_calls: 10_000,
        ..Self::FULL
    };
    pub(crate) const SMOKE: Self = Self {
        name: "smoke",
        table_bytes: 8 << 20,
        sample_bytes: 16_000_000,
        sample_bytes_others: 8_000_000,
        turns: 1,
        small_calls: 64,
        durable_puts: 2,
        touch_bytes: 0,
        settle_seconds: 0,
    };
}

pub(crate) fn run(effort: &Effort) -> Result<()> {
    let mut report = Report {
        date: output(Command::new("date").args(["-u", "+%Y-%m-%d"])),
        commit: output(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        machine: Machine::here(),
        versions: vec![
            format!("airlane {}", env!("CARGO_PKG_VERSION")),
            format!("pyarrow {}", output(python().args(["-c", "import pyarrow; print(pyarrow.__version__)"]))),
            "arrow-flight 59.3".to_owned(),
        ],
        effort: effort.name,
        figures: Vec::new(),
        samples: Vec::new(),
    };
    touch_memory(effort.touch_bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    start_and_size(&mut report, effort)?;
    small::gets(&mut report, effort, &runtime)?;
    small::durable_puts(&mut report, effort, &runtime)?;
    transfer::run(&mut report, effort, &runtime)?;
    if effort.turns == 1 {
        println!("1 passed, 0 failed");
        return Ok(());
    }
    let name = if effort.name == "full" { "flight".to_owned() } else { format!("flight-{}", effort.name) };
    report.write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results"), &name)
}

fn start_and_size(report: &mut Report, effort: &Effort) -> Result<()> {
    let mut ready = Vec::new();
    for _ in 0..effort.turns {
        ready.push(Peer::start(Kind::Airlane)?.ready.as_secs_f64() * 1e3);
    }
    let median = crate::report::median(&ready);
    report.figure("ready after start, empty folder", "≤ 50 ms", format!("{median:.1} ms"), median <= 50.0);
    report.samples("ready after start", Kind::Airlane.name(), "ms", ready);
    let size = std::fs::metadata(beside("airlane")?)?.len() as f64 / 1e6;
    report.figure("size of the binary", "≤ 120 MB", format!("{size:.1} MB"), size <= 120.0);
    Ok(())
}

/// Anonymous and memfd memory of a server above what it was, for each payload byte.
pub(crate) fn memory_ratio(peer: &Peer, idle_bytes: u64, payload_bytes: f64) -> Result<f64> {
    Ok((process::memory_bytes(peer.pid())? as f64 - idle_bytes as f64) / payload_bytes)
}

fn output(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
