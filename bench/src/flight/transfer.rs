//! Whole tables: throughput seen by the client, and the server's CPU for each GB.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::Effort;
use crate::client::{Transfer, ours, pyarrow, raw, stock};
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
    ArrowRsPut,
    ArrowRsGet,
    RustGet,
    RawGet,
}

impl Way {
    fn name(self) -> String {
        match self {
            Self::PyarrowPut => "DoPut by pyarrow".to_owned(),
            Self::PyarrowGet { streams } => format!("DoGet by pyarrow, streams: {streams}"),
            Self::ArrowRsPut => "DoPut by arrow-flight".to_owned(),
            Self::ArrowRsGet => "DoGet by arrow-flight".to_owned(),
            Self::RustGet => "DoGet by the Rust client".to_owned(),
            Self::RawGet => "DoGet by a raw HTTP/2 client".to_owned(),
        }
    }

    /// The servers that are measured: stock arrow-flight only where a figure or a reader asks for it.
    fn servers(self) -> &'static [usize] {
        match self {
            Self::PyarrowPut | Self::PyarrowGet { streams: 2.. } => &[AIRLANE, CPP],
            _ => &[AIRLANE, CPP, ARROW_RS],
        }
    }

    /// Whether its CPU is compared, which the kernel counts in ticks: it takes much data to tell.
    fn is_weighed(self) -> bool {
        matches!(self, Self::PyarrowPut | Self::PyarrowGet { streams: 1 } | Self::RustGet)
    }
}

/// Puts and gets a table of one shape in every way.
pub(super) fn run(report: &mut Report, effort: &Effort, shape: Shape, runtime: &Runtime) -> Result<()> {
    let file = std::env::temp_dir().join(format!("airlane-bench-{}.arrows", std::process::id()));
    let table = shape.write(&file, effort.table_bytes)?;
    let clients = pyarrow::Client::start(&file).and_then(|pyarrow| Ok((pyarrow, stock::Client::load(&file)?)));
    // Both clients hold the table in memory now.
    let _ = std::fs::remove_file(&file);
    let (pyarrow, stock) = clients?;
    let peers = KINDS.into_iter().map(Peer::start).collect::<Result<_>>()?;
    Bench { shape, effort, table, runtime, pyarrow, stock, peers, turn: 0 }.run(report)
}

struct Bench<'a> {
    shape: Shape,
    effort: &'a Effort,
    table: Written,
    runtime: &'a Runtime,
    pyarrow: pyarrow::Client,
    stock: stock::Client,
    peers: Vec<Peer>,
    turn: usize,
}

impl Bench<'_> {
    /// What is asked for comes first, and is judged as soon as it is measured.
    fn run(&mut self, report: &mut Report) -> Result<()> {
        self.memory(report)?;
        let put = self.measure(report, Way::PyarrowPut)?;
        let cpu = [&put[AIRLANE].cpu_per_gb, &put[CPP].cpu_per_gb];
        self.at_most(report, "server CPU s/GB of DoPut, against C++", cpu, 0.8, "≤ 0.8 ×");
        self.at_least(report, "DoPut GB/s, against C++", &put, 1.1, "≥ 1.1 ×");
        let get = self.measure(report, Way::PyarrowGet { streams: 1 })?;
        self.gets(report, "pyarrow", &get);
        self.at_least(report, "DoGet GB/s, 1 stream, against C++", &get, 1.0, "≥ 1.0 ×");
        let get = self.measure(report, Way::PyarrowGet { streams: 4 })?;
        self.at_least(report, "DoGet GB/s, 4 streams, against C++", &get, 1.0, "≥ 1.0 ×");
        let get = self.measure(report, Way::RustGet)?;
        self.gets(report, "the Rust client", &get);
        report.save()?;
        if self.effort.figures_only {
            return Ok(());
        }
        for way in [Way::RawGet, Way::ArrowRsPut, Way::ArrowRsGet] {
            self.measure(report, way)?;
        }
        Ok(())
    }

    fn gets(&self, report: &mut Report, client: &str, get: &[Series]) {
        let measure = format!("server user CPU s/GB of DoGet by {client}, against arrow-flight");
        let user = [&get[AIRLANE].user_per_gb, &get[ARROW_RS].user_per_gb];
        self.at_most(report, &measure, user, 1.0 / 6.0, "≤ 1/6");
        let measure = format!("server CPU s/GB of DoGet by {client}, against C++");
        let cpu = [&get[AIRLANE].cpu_per_gb, &get[CPP].cpu_per_gb];
        self.at_most(report, &measure, cpu, 1.0, "≤ 1.0 ×");
    }

    fn at_most(&self, report: &mut Report, measure: &str, cpu: [&Vec<f64>; 2], bound: f64, asked: &str) {
        let [ours, theirs] = cpu.map(|values| median(values));
        let measured = format!("{:.3} × ({ours:.4} against {theirs:.4})", ours / theirs);
        report.figure(&format!("{measure}, {}", self.shape.name()), asked, measured, ours / theirs <= bound);
    }

    fn at_least(&self, report: &mut Report, measure: &str, series: &[Series], bound: f64, asked: &str) {
        let (ours, theirs) = (median(&series[AIRLANE].gb_per_second), median(&series[CPP].gb_per_second));
        let measured = format!("{:.3} × ({ours:.3} against {theirs:.3})", ours / theirs);
        report.figure(&format!("{measure}, {}", self.shape.name()), asked, measured, ours / theirs >= bound);
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

    fn measure(&mut self, report: &mut Report, way: Way) -> Result<Vec<Series>> {
        let bytes = if way.is_weighed() { self.effort.sample_bytes } else { self.effort.sample_bytes_others };
        let servers = way.servers();
        let times = (bytes / self.table.payload_bytes).max(1) as usize;
        let mut series = vec![Series::default(); self.peers.len()];
        for _ in 0..self.effort.turns {
            for step in 0..servers.len() {
                // Each turn begins with another server, so that none always follows the same one.
                let index = servers[(self.turn + step) % servers.len()];
                self.sample(way, index, times, &mut series[index])?;
            }
            self.turn += 1;
        }
        let measure = format!("{}, {}", way.name(), self.shape.name());
        for (kind, series) in servers.iter().map(|index| (KINDS[*index], &series[*index])) {
            let (rate, cpu) = (median(&series.gb_per_second), median(&series.cpu_per_gb));
            println!("      {measure}: {} {rate:.3} GB/s, {cpu:.4} CPU s/GB", kind.name());
            report.samples(&measure, kind.name(), "GB/s", series.gb_per_second.clone());
            report.samples(&measure, kind.name(), "user CPU s/GB", series.user_per_gb.clone());
            report.samples(&measure, kind.name(), "CPU s/GB", series.cpu_per_gb.clone());
        }
        report.save()?;
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
            Way::ArrowRsPut => (self.runtime.block_on(self.stock.put(peer, TABLE, times))?, times),
            Way::ArrowRsGet => (self.runtime.block_on(stock::get(peer, TABLE, times, stock::Windows::Default))?, times),
            Way::RustGet => (self.runtime.block_on(ours::get(peer, TABLE, times))?, times),
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
