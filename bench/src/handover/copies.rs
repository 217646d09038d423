//! What a read of shared memory copies, by the kernel's accounts.
//!
//! A copy of the table would be anonymous memory of the process that made it. So that is looked at before the read, and after all values
//! were read, in the consumer and in the server, while the consumer holds the table. That the consumer reads what the server has, and
//! no other shared memory, is seen from the inodes of their mappings. A read by stock Flight, the same way, shows what copies look like.

use serde_json::json;

use super::Setting;
use super::worker::{Kind, Worker};
use crate::Result;
use crate::peer::{self, Peer};
use crate::picture::{Bar, Bars, Group, Scale};
use crate::process::{anonymous_bytes, memfds_mapped};
use crate::report::Report;

const TABLE: &str = "copies";
/// 1 GiB of eight columns of float64.
const ROWS: u64 = 1 << 24;
/// A part of the table that is no copy of it: what Python and the server need to work.
const NOISE: f64 = 0.02;

/// Anonymous memory that was added, as parts of the table.
#[derive(Clone, Copy, Debug)]
struct Added {
    consumer: f64,
    server: f64,
}

impl Added {
    fn sum(self) -> f64 {
        self.consumer + self.server
    }
}

pub(super) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let rows = if setting.effort.is_smoke { ROWS >> 8 } else { ROWS };
    let (mut producer, mut consumer) = (setting.worker()?, setting.worker()?);
    let flight = Peer::start(peer::Kind::Cpp)?;
    let url = |peer: &Peer| format!("grpc://127.0.0.1:{}", peer.port);
    let ours = json!({"way": "airlane", "url": url(&setting.server), "table": TABLE, "transport": "shared memory"});
    let stock = json!({"way": "flight", "url": url(&flight), "table": TABLE});
    for worker in [&mut producer, &mut consumer] {
        worker.connect("airlane", &ours)?;
        worker.connect("flight", &stock)?;
        // A small table first, so that what is only loaded once does not pass for a copy.
        worker.make("floats", 1, Kind::Arrow)?;
    }
    for way in ["airlane", "flight"] {
        let ticket = producer.put(way)?.ticket;
        read(&mut consumer, way, &ticket)?;
    }
    let bytes = producer.make("floats", rows, Kind::Arrow)?.bytes as f64;

    let ticket = producer.put("airlane")?.ticket;
    let before = (anonymous_bytes(consumer.pid())?, anonymous_bytes(setting.server.pid())?);
    consumer.get("airlane", &ticket, Kind::Arrow)?;
    consumer.sum()?;
    let by_us = added(before, &consumer, &setting.server, bytes)?;
    let (theirs, ours) = (memfds_mapped(consumer.pid())?, memfds_mapped(setting.server.pid())?);
    let shared: u64 = theirs.iter().filter(|(inode, _)| ours.contains_key(inode)).map(|(_, bytes)| bytes).sum();
    consumer.forget()?;
    producer.drop_table("airlane")?;

    let ticket = producer.put("flight")?.ticket;
    let before = (anonymous_bytes(consumer.pid())?, anonymous_bytes(flight.pid())?);
    consumer.get("flight", &ticket, Kind::Arrow)?;
    consumer.sum()?;
    let by_flight = added(before, &consumer, &flight, bytes)?;
    consumer.forget()?;

    let what = "1 GiB opened and summed in another process: anonymous memory added, as parts of the table";
    let told = format!(
        "{:.4} (consumer {:.4}, server {:.4}; by pyarrow Flight {:.2})",
        by_us.sum(),
        by_us.consumer,
        by_us.server,
        by_flight.sum()
    );
    // If the stock client shows no copy either, the account is wrong.
    let is_seen = by_flight.sum() > 0.5;
    report.figure(what, "0 copies: ≤ 0.02", told, by_us.sum() <= NOISE && is_seen);
    let part = shared as f64 / bytes;
    let what = "of that table, mapped by the consumer from memfds that the server has mapped too (same inodes)";
    report.figure(what, "all", format!("{:.1} %", part * 100.0), part >= 1.0);
    for (name, added) in [("airlane", by_us), ("pyarrow Flight", by_flight)] {
        let what = "1 GiB opened and summed in another process: anonymous memory added";
        report.samples(what, name, "tables", vec![added.sum()]);
    }
    let bar = |name: &str, value| Bar { name: name.to_owned(), value };
    let groups = vec![
        Group {
            name: "consumer".to_owned(),
            bars: vec![bar("airlane", by_us.consumer), bar("pyarrow Flight", by_flight.consumer)],
        },
        Group {
            name: "server".to_owned(),
            bars: vec![bar("airlane", by_us.server), bar("pyarrow Flight", by_flight.server)],
        },
    ];
    let title = "Copies of a table of 1 GiB that a read makes, by anonymous memory".to_owned();
    report.picture("copies", Bars { title, unit: "tables", scale: Scale::Linear, groups }.svg());
    Ok(())
}

fn read(consumer: &mut Worker, way: &str, ticket: &str) -> Result<()> {
    consumer.get(way, ticket, Kind::Arrow)?;
    consumer.sum()?;
    consumer.forget()?;
    Ok(())
}

fn added(before: (u64, u64), consumer: &Worker, server: &Peer, bytes: f64) -> Result<Added> {
    let since = |pid, before: u64| -> Result<f64> { Ok(anonymous_bytes(pid)?.saturating_sub(before) as f64 / bytes) };
    Ok(Added { consumer: since(consumer.pid(), before.0)?, server: since(server.pid(), before.1)? })
}
