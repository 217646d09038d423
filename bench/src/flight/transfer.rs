//! Whole tables: throughput seen by the client, and the server's CPU for each GB.

use tokio::runtime::Runtime;

use super::{Effort, memory_ratio};
use crate::Result;
use crate::client::{pyarrow, raw};
use crate::peer::{Kind, Peer};
use crate::process;
use crate::report::{Report, median};
use crate::table::Shape;

const KINDS: [Kind; 3] = [Kind::Airlane, Kind::Cpp, Kind::ArrowRs];

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
    Get { streams: usize },
    Put,
    RawGet,
}

pub(super) fn run(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    for shape in [Shape::Floats, Shape::Mixed] {
        let file = std::env::temp_dir().join(format!("airlane-bench-{}.arrows", std::process::id()));
        shape.write(&file, effort.table_bytes)?;
        let client = pyarrow::Client::start(&file);
        let _ = std::fs::remove_file(&file);
        let mut bench = Bench { shape, effort, runtime, client: client?, peers: Vec::new() };
        for kind in KINDS {
            bench.peers.push(Peer::start(kind)?);
        }
        bench.run(report)?;
    }
    Ok(())
}

struct Bench<'a> {
    shape: Shape,
    effort: &'a Effort,
    runtime: &'a Runtime,
    client: pyarrow::Client,
    peers: Vec<Peer>,
}

impl Bench<'_> {
    fn run(&mut self, report: &mut Report) -> Result<()> {
        let floats = self.shape == Shape::Floats;
        let bytes = if floats { self.effort.sample_bytes } else { self.effort.sample_bytes_others };
        self.memory(report)?;
        let put = self.measure(report, Way::Put, bytes)?;
        let get = self.measure(report, Way::Get { streams: 1 }, bytes)?;
        let get4 = self.measure(report, Way::Get { streams: 4 }, self.effort.sample_bytes_others)?;
        self.measure(report, Way::RawGet, self.effort.sample_bytes_others)?;
        let name = self.shape.name();
        let mut ratio = |measure: &str, ours: &[f64], theirs: &[f64], asked: &str, reached: fn(f64) -> bool| {
            let (ours, theirs) = (median(ours), median(theirs));
            let measured = format!("{:.3} × ({ours:.4} against {theirs:.4})", ours / theirs);
            report.figure(&format!("{measure}, {name}"), asked, measured, reached(ours / theirs));
        };
        ratio(
            "DoGet, server user CPU s/GB, against arrow-flight",
            &get[0].user_per_gb,
            &get[2].user_per_gb,
            "≤ 1/6",
            |r| r <= 1.0 / 6.0,
        );
        ratio("DoGet, server CPU s/GB, against C++", &get[0].cpu_per_gb, &get[1].cpu_per_gb, "≤ 1.0 ×", |r| {
            r <= 1.0
        });
        ratio("DoGet GB/s, 1 stream, against C++", &get[0].gb_per_second, &get[1].gb_per_second, "≥ 1.0 ×", |r| {
            r >= 1.0
        });
        ratio(
            "DoGet GB/s, 4 streams, against C++",
            &get4[0].gb_per_second,
            &get4[1].gb_per_second,
            "≥ 1.0 ×",
            |r| r >= 1.0,
        );
        ratio("DoPut GB/s, against C++", &put[0].gb_per_second, &put[1].gb_per_second, "≥ 1.1 ×", |r| r >= 1.1);
        ratio("DoPut, server CPU s/GB, against C++", &put[0].cpu_per_gb, &put[1].cpu_per_gb, "≤ 0.8 ×", |r| {
            r <= 0.8
        });
        Ok(())
    }

    fn memory(&mut self, report: &mut Report) -> Result<()> {
        let idle = process::memory_bytes(self.peers[0].pid())?;
        let mut payload = 0.0;
        for peer in &self.peers {
            payload = self.client.put(peer, "bench", 1)?.bytes;
        }
        std::thread::sleep(std::time::Duration::from_secs(self.effort.settle_seconds));
        let ratio = memory_ratio(&self.peers[0], idle, payload)?;
        let measure = format!("memory of the ephemeral table, {}", self.shape.name());
        report.figure(&measure, "≤ 1.05 × payload", format!("{ratio:.3} ×"), ratio <= 1.05);
        Ok(())
    }

    fn measure(&mut self, report: &mut Report, way: Way, bytes: u64) -> Result<Vec<Series>> {
        let times = (bytes / self.effort.table_bytes).max(1) as usize;
        let mut series = vec![Series::default(); self.peers.len()];
        for _ in 0..self.effort.turns {
            for (peer, series) in self.peers.iter().zip(&mut series) {
                let before = peer.cpu()?;
                let moved = match way {
                    Way::Put => self.client.put(peer, "bench", times)?,
                    Way::Get { streams } => self.client.get(peer, "bench", streams, times.div_ceil(streams))?,
                    Way::RawGet => self.runtime.block_on(raw_get(peer.port, times))?,
                };
                let cpu = peer.cpu()?.since(before);
                let gb = moved.bytes / 1e9;
                series.gb_per_second.push(gb / moved.seconds);
                series.user_per_gb.push(cpu.user / gb);
                series.cpu_per_gb.push(cpu.sum() / gb);
            }
        }
        let measure = match way {
            Way::Put => format!("DoPut by pyarrow, {}", self.shape.name()),
            Way::Get { streams } => format!("DoGet by pyarrow, {streams} streams, {}", self.shape.name()),
            Way::RawGet => format!("DoGet by a raw HTTP/2 client, {}", self.shape.name()),
        };
        for (kind, series) in KINDS.iter().zip(&series) {
            let (rate, cpu) = (median(&series.gb_per_second), median(&series.cpu_per_gb));
            println!("      {measure}: {} {rate:.3} GB/s, {cpu:.4} CPU s/GB", kind.name());
            report.samples(&measure, kind.name(), "GB/s", series.gb_per_second.clone());
            report.samples(&measure, kind.name(), "user CPU s/GB", series.user_per_gb.clone());
            report.samples(&measure, kind.name(), "CPU s/GB", series.cpu_per_gb.clone());
        }
        Ok(series)
    }
}

async fn raw_get(port: u16, times: usize) -> Result<pyarrow::Transfer> {
    let mut connection = raw::Connection::open(port).await?;
    let begin = std::time::Instant::now();
    let mut bytes = 0;
    for _ in 0..times {
        bytes += connection.call("DoGet", raw::get_request("bench")).await?;
    }
    Ok(pyarrow::Transfer { seconds: begin.elapsed().as_secs_f64(), bytes: bytes as f64 })
}
