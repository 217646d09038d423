//! `flight`: puts and gets beside the C++ server and the stock Rust server.
//!
//! Servers run all the time and are measured in turn, sample by sample, each turn beginning with another one; figures
//! are medians, and ratios are of medians over the same turns. CPU is the server's own, from the kernel's accounting, per
//! GB (10⁹ bytes) of record batches as the client holds them.

mod clients;
mod effort;
mod small;
mod transfer;

use effort::Part;
pub(crate) use effort::{Effort, USAGE};

use crate::Result;
use crate::machine::{alone, touch_memory};
use crate::peer::{Kind, Peer, beside};
use crate::report::{Report, median};
use crate::table::Shape;

pub(crate) fn run(effort: &Effort) -> Result<()> {
    // A smoke run measures nothing, so it disturbs and waits for nobody.
    let _alone = if effort.is_smoke() { None } else { Some(alone()?) };
    let mut report = Report::new("Flight", &results_name(effort), format!("{effort:?}"), effort.is_smoke());
    touch_memory(effort.touch_bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if effort.has(Part::Start) {
        start_and_size(&mut report, effort)?;
        report.save()?;
    }
    if effort.has(Part::Small) {
        small::gets(&mut report, effort, &runtime)?;
        report.save()?;
    }
    if effort.has(Part::Durable) {
        small::durable_puts(&mut report, effort)?;
        report.save()?;
    }
    for (part, shape) in [(Part::Floats, Shape::Floats), (Part::Mixed, Shape::Mixed)] {
        if effort.has(part) {
            transfer::run(&mut report, effort, shape, &runtime)?;
        }
    }
    if effort.has(Part::Clients) {
        clients::run(&mut report, effort, &runtime)?;
    }
    report.finish()
}

/// A run of some parts leaves the results of whole runs alone.
fn results_name(effort: &Effort) -> String {
    let mut name = if effort.name == "full" { "flight".to_owned() } else { format!("flight-{}", effort.name) };
    if let Some(parts) = effort.parts_by_name() {
        name = format!("{name}-{parts}");
    }
    name
}

fn start_and_size(report: &mut Report, effort: &Effort) -> Result<()> {
    let mut ready = Vec::new();
    for _ in 0..effort.starts {
        ready.push(Peer::start(Kind::Airlane)?.ready.as_secs_f64() * 1e3);
    }
    let median = median(&ready);
    report.figure("ready after start, empty folder", "≤ 50 ms", format!("{median:.1} ms"), median <= 50.0);
    report.samples("ready after start", Kind::Airlane.name(), "ms", ready);
    let size = std::fs::metadata(beside("airlane")?)?.len() as f64 / 1e6;
    report.figure("size of the binary", "≤ 120 MB", format!("{size:.1} MB"), size <= 120.0);
    Ok(())
}
