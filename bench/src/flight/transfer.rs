//! Whole tables: throughput seen by the client, and the server's CPU for each GB.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::Effort;
use crate::client::{Transfer, pyarrow, raw, stock};
use crate::peer::{Kind, Peer};
use crate::report::{Report, median};
use crate::table::{Shape, Written};
use crate::{Result, process};

const KINDS: [Kind; 3] = [Kind::Airlane, Kind::Cpp, Kind::ArrowRs];
const AIRLANE: usize = 0;
const CPP: usize = 1;
const ARROW_RS: usize = 2;
/// The name under which every server keeps the table.
const TABLE: &str = "bench";

/// Samples of one server.
#[derive(Clone, Debug, Default)]
struct Series {
    gb_per_second: Vec<f64>,
    user_per_gb: Vec<f64>,
    cpu_per_gb: Vec<f64>,
}

/// What is moved, and by whom.
#[derive(Clone, Copy, Debug)]
enum Way {
    PyarrowPut,
    PyarrowGet { streams: usize },
    RustPut,
    RustGet,
    RawGet,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::PyarrowPut => "DoPut by pyarrow".to_owned(),
            Self::PyarrowGet { streams } => format!("DoGet by pyarrow, streams: {streams}"),
            Self::RustPut => "DoPut by arrow-flight".to_owned(),
            Self::RustGet => "DoGet by arrow-flight".to_owned(),
            Self::RawGet => "DoGet by a raw HTTP/2 client".to_owned(),
        }
    }
}

/// Puts and gets a table of one shape in every way.
pub(super) fn run(report: &mut Report, effort: &Effort, shape: Shape, runtime: &Runtime) -> Result<()> {
    let file = std::env::temp_dir().join(format!("airlane-bench-{}.arrows", std::process::id()));
    let table = shape.write(&file, effort.table_bytes)?;
    let clients = pyarrow::Client::start(&file).and_then(|pyarrow| Ok((pyarrow, stock::Client::load(&file)?)));
    // Both clients hold the table in memory now.
    let _ = std::fs::remove_file(&file);
    let (pyarrow, rust) = clients?;
    let peers = KINDS.into_iter().map(Peer::start).collect::<Result<_>>()?;
    Bench { shape, effort, table, runtime, pyarrow, rust, peers, turn: 0 }.run(report)
}

struct Bench<'a> {
    shape: Shape,
    effort: &'a Effort,
    table: Written,
    runtime: &'a Runtime,
    pyarrow: pyarrow::Client,
    rust: stock::Client,
    peers: Vec<Peer>,
    turn: usize,
}

impl Bench<'_> {
    fn run(&mut self, report: &mut Report) -> Result<()> {
        let others = self.effort.sample_bytes_others;
        let bytes = if self.shape == Shape::Floats { self.effort.sample_bytes } else { others };
        self.memory(report)?;
        let put = self.measure(report, Way::PyarrowPut, bytes)?;
        let get = self.measure(report, Way::PyarrowGet { streams: 1 }, bytes)?;
        let get4 = self.measure(report, Way::PyarrowGet { streams: 4 }, bytes)?;
        let raw = self.measure(report, Way::RawGet, others)?;
        self.measure(report, Way::RustPut, others)?;
        self.measure(report, Way::RustGet, others)?;

        let name = self.shape.name();
        let mut at_most = |measure: &str, ours: &[f64], theirs: &[f64], bound: f64, asked: &str| {
            let (ours, theirs) = (median(ours), median(theirs));
            let measured = format!("{:.3} × ({ours:.4} against {theirs:.4})", ours / theirs);
            report.figure(&format!("{measure}, {name}"), asked, measured, ours / theirs <= bound);
        };
        let user = |series: &[Series], kind: usize| series[kind].user_per_gb.clone();
        let cpu = |series: &[Series], kind: usize| series[kind].cpu_per_gb.clone();
        at_most(
            "server user CPU s/GB of DoGet, against arrow-flight",
            &user(&get, AIRLANE),
            &user(&get, ARROW_RS),
            1.0 / 6.0,
            "≤ 1/6",
        );
        at_most(
            "server user CPU s/GB of DoGet by a raw client, against arrow-flight",
            &user(&raw, AIRLANE),
            &user(&raw, ARROW_RS),
            1.0 / 6.0,
            "≤ 1/6",
        );
        at_most("server CPU s/GB of DoGet, against C++", &cpu(&get, AIRLANE), &cpu(&get, CPP), 1.0, "≤ 1.0 ×");
        at_most("server CPU s/GB of DoPut, against C++", &cpu(&put, AIRLANE), &cpu(&put, CPP), 0.8, "≤ 0.8 ×");
        let mut at_least = |measure: &str, series: &[Series], bound: f64, asked: &str| {
            let (ours, theirs) = (median(&series[AIRLANE].gb_per_second), median(&series[CPP].gb_per_second));
            let measured = format!("{:.3} × ({ours:.3} against {theirs:.3})", ours / theirs);
            report.figure(&format!("{measure}, {name}"), asked, measured, ours / theirs >= bound);
        };
        at_least("DoGet GB/s, 1 stream, against C++", &get, 1.0, "≥ 1.0 ×");
        at_least("DoGet GB/s, 4 streams, against C++", &get4, 1.0, "≥ 1.0 ×");
        at_least("DoPut GB/s, against C++", &put, 1.1, "≥ 1.1 ×");
        Ok(())
    }

    /// Puts the table once at every server and looks at ours when it is idle again.
    fn memory(&mut self, report: &mut Report) -> Result<()> {
        let idle = process::memory_bytes(self.peers[AIRLANE].pid())?;
        for peer in &self.peers {
            self.pyarrow.put(peer, TABLE, 1)?;
        }
        std::thread::sleep(Duration::from_secs(self.effort.settle_seconds));
        let held = process::memory_bytes(self.peers[AIRLANE].pid())?.saturating_sub(idle);
        let ratio = held as f64 / self.table.payload_bytes as f64;
        let measure = format!("memory of the ephemeral table, {}", self.shape.name());
        report.figure(&measure, "≤ 1.05 × payload", format!("{ratio:.3} ×"), ratio <= 1.05);
        Ok(())
    }

    fn measure(&mut self, report: &mut Report, way: Way, bytes: u64) -> Result<Vec<Series>> {
        let times = (bytes / self.table.payload_bytes).max(1) as usize;
        let mut series = vec![Series::default(); self.peers.len()];
        for _ in 0..self.effort.turns {
            for step in 0..self.peers.len() {
                // Each turn begins with another server, so that none always follows the same one.
                let index = (self.turn + step) % self.peers.len();
                self.sample(way, index, times, &mut series[index])?;
            }
            self.turn += 1;
        }
        let measure = format!("{}, {}", way.name(), self.shape.name());
        for (kind, series) in KINDS.iter().zip(&series) {
            let (rate, cpu) = (median(&series.gb_per_second), median(&series.cpu_per_gb));
            println!("      {measure}: {} {rate:.3} GB/s, {cpu:.4} CPU s/GB", kind.name());
            report.samples(&measure, kind.name(), "GB/s", series.gb_per_second.clone());
            report.samples(&measure, kind.name(), "user CPU s/GB", series.user_per_gb.clone());
            report.samples(&measure, kind.name(), "CPU s/GB", series.cpu_per_gb.clone());
        }
        Ok(series)
    }

    fn sample(&mut self, way: Way, index: usize, times: usize, series: &mut Series) -> Result<()> {
        let peer = &self.peers[index];
        let before = peer.cpu()?;
        let (moved, times) = match way {
            Way::PyarrowPut => (self.pyarrow.put(peer, TABLE, times)?, times),
            Way::PyarrowGet { streams } => {
                let each = times.div_ceil(streams);
                (self.pyarrow.get(peer, TABLE, streams, each)?, each * streams)
            }
            Way::RustPut => (self.runtime.block_on(self.rust.put(peer, TABLE, times))?, times),
            Way::RustGet => (self.runtime.block_on(stock::get(peer, TABLE, times))?, times),
            Way::RawGet => (self.runtime.block_on(raw_get(peer.port, times, self.table))?, times),
        };
        let cpu = peer.cpu()?.since(before);
        let rows = self.table.rows * times as u64;
        if moved.rows != rows {
            return Err(format!("{way:?} at {}: {} rows instead of {rows}", peer.kind.name(), moved.rows).into());
        }
        let gb = (self.table.payload_bytes * times as u64) as f64 / 1e9;
        series.gb_per_second.push(gb / moved.seconds);
        series.user_per_gb.push(cpu.user / gb);
        series.cpu_per_gb.push(cpu.sum() / gb);
        Ok(())
    }
}

/// A raw client sees no rows: what it received must at least hold the payload.
async fn raw_get(port: u16, times: usize, table: Written) -> Result<Transfer> {
    let mut connection = raw::Connection::open(port).await?;
    let begin = Instant::now();
    for _ in 0..times {
        let bytes = connection.call("DoGet", raw::get_request(TABLE)).await?;
        if bytes < table.payload_bytes / 10 * 9 {
            return Err(format!("a get gave {bytes} bytes of {}", table.payload_bytes).into());
        }
    }
    Ok(Transfer { seconds: begin.elapsed().as_secs_f64(), rows: table.rows * times as u64 })
}
