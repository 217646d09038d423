//! One server, one table of 1 GiB, and the clients that read it: what a client's own decoding costs.

use tokio::runtime::Runtime;

use super::Effort;
use crate::Result;
use crate::client::{Transfer, ours, pyarrow, stock};
use crate::peer::{Kind, Peer};
use crate::process::CpuSeconds;
use crate::report::{Report, median};
use crate::table::Shape;

const TABLE: &str = "bench";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Ours,
    ArrowRs,
    ArrowRsWide,
    Pyarrow,
}

impl Reader {
    const ALL: [Self; 4] = [Self::Ours, Self::ArrowRs, Self::ArrowRsWide, Self::Pyarrow];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "the Rust client",
            Self::ArrowRs => "arrow-flight",
            Self::ArrowRsWide => "arrow-flight with the same windows",
            Self::Pyarrow => "pyarrow",
        }
    }
}

/// Gets a table of each shape by each client in turn, from a server of ours.
pub(super) fn run(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    for shape in [Shape::Floats, Shape::Mixed] {
        let file = std::env::temp_dir().join(format!("airlane-bench-clients-{}.arrows", std::process::id()));
        let table = shape.write(&file, effort.table_bytes)?;
        let client = pyarrow::Client::start(&file);
        let _ = std::fs::remove_file(&file);
        let (mut client, peer) = (client?, Peer::start(Kind::Airlane)?);
        client.put(&peer, TABLE, 1)?;
        let gb = table.payload_bytes as f64 / 1e9;
        let mut rates = [const { Vec::new() }; Reader::ALL.len()];
        let mut costs = rates.clone();
        for turn in 0..effort.turns {
            for step in 0..Reader::ALL.len() {
                let index = (turn + step) % Reader::ALL.len();
                let reader = Reader::ALL[index];
                let before = cpu(reader, &client)?;
                let moved: Transfer = match reader {
                    Reader::Ours => runtime.block_on(ours::get(&peer, TABLE, 1))?,
                    Reader::ArrowRs => runtime.block_on(stock::get(&peer, TABLE, 1, stock::Windows::Default))?,
                    Reader::ArrowRsWide => runtime.block_on(stock::get(&peer, TABLE, 1, stock::Windows::Wide))?,
                    Reader::Pyarrow => client.get(&peer, TABLE, 1, 1)?,
                };
                if moved.rows != table.rows {
                    return Err(format!("{}: {} rows instead of {}", reader.name(), moved.rows, table.rows).into());
                }
                rates[index].push(gb / moved.seconds);
                costs[index].push(cpu(reader, &client)?.since(before).sum() / gb);
            }
        }
        let measure = format!("DoGet of {:.1} GB from one server, {}", gb, shape.name());
        for (reader, (rates, costs)) in Reader::ALL.into_iter().zip(rates.iter().zip(&costs)) {
            let (rate, cost) = (median(rates), median(costs));
            println!("      {measure}: {} {rate:.3} GB/s, {cost:.4} s/GB of its own CPU", reader.name());
            report.samples(&measure, reader.name(), "GB/s", rates.clone());
            report.samples(&measure, reader.name(), "client CPU s/GB", costs.clone());
        }
        let (ours, pyarrow) = (median(&rates[0]), median(&rates[3]));
        let measured = format!("{:.3} × ({ours:.3} against {pyarrow:.3})", ours / pyarrow);
        let measure = format!("DoGet GB/s of the Rust client against pyarrow, same server, {}", shape.name());
        report.figure(&measure, "≥ 1.3 ×", measured, ours >= 1.3 * pyarrow);
    }
    Ok(())
}

/// Of the process in which a client runs: this one, but for pyarrow.
fn cpu(reader: Reader, pyarrow: &pyarrow::Client) -> Result<CpuSeconds> {
    CpuSeconds::of(if reader == Reader::Pyarrow { pyarrow.pid() } else { std::process::id() })
}
