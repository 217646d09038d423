//! A GiB over TCP: the package of ours, with shared memory refused, and the stock pyarrow client, at the same server.

use serde_json::json;

use super::Setting;
use super::worker::Kind;
use crate::Result;
use crate::peer::Peer;
use crate::picture::{Bar, Bars, Group, Scale};
use crate::report::{Report, median};

const TABLE: &str = "download";
/// 1 GiB of eight columns of float64.
const ROWS: u64 = 1 << 24;
/// About as many bytes of mixed columns.
const ROWS_MIXED: u64 = 5_600_000;

/// The clients, as ways of `ways.py`, and their names.
const CLIENTS: [(&str, &str); 2] = [("airlane", "airlane"), ("flight", "pyarrow Flight")];

pub(super) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let (effort, turns) = (&setting.effort, setting.effort.turns_max(9));
    let server = Peer::airlane(&["--local-socket", "off", "--memory", "4GiB"])?;
    let (mut producer, mut consumer) = (setting.worker()?, setting.worker()?);
    let url = format!("grpc://127.0.0.1:{}", server.port);
    for (way, _) in CLIENTS {
        let how = json!({"way": way, "url": url, "table": TABLE, "transport": "flight"});
        producer.connect(way, &how)?;
        consumer.connect(way, &how)?;
    }
    let mut groups = Vec::new();
    for (shape, what, rows) in [("floats", "8 × float64", ROWS), ("mixed", "20 mixed columns", ROWS_MIXED)] {
        let made = producer.make(shape, effort.rows(rows), Kind::Arrow)?;
        let ticket = producer.put("airlane")?.ticket;
        let mut rates = [Vec::new(), Vec::new()];
        // The first turn warms up.
        for turn in 0..=turns {
            for step in 0..CLIENTS.len() {
                let index = (turn + step) % CLIENTS.len();
                let got = consumer.get(CLIENTS[index].0, &ticket, Kind::Arrow)?;
                consumer.forget()?;
                if got.rows != made.rows {
                    return Err(format!("{}: {} rows instead of {}", CLIENTS[index].1, got.rows, made.rows).into());
                }
                if turn > 0 {
                    rates[index].push(made.bytes as f64 / got.end.saturating_sub(got.begin) as f64);
                }
            }
        }
        let ratio = median(&rates[0]) / median(&rates[1]);
        let figure = format!("1 GiB of {what} over TCP, our Python client against the pyarrow client");
        if shape == "floats" {
            report.figure(&figure, "≥ 1.3 ×", format!("{ratio:.2} ×"), ratio >= 1.3);
        } else {
            println!("      {figure}: {ratio:.2} ×");
        }
        let bars =
            CLIENTS.iter().zip(&rates).map(|((_, name), rates)| Bar { name: (*name).to_owned(), value: median(rates) });
        groups.push(Group { name: what.to_owned(), bars: bars.collect() });
        for ((_, name), rates) in CLIENTS.iter().zip(rates) {
            report.samples(&format!("1 GiB of {what} over TCP"), name, "GB/s", rates);
        }
    }
    let title = "1 GiB from our server to Python over TCP".to_owned();
    report.picture("download", Bars { title, unit: "GB/s", scale: Scale::Linear, groups }.svg());
    Ok(())
}
