//! `server`: what guarding the server costs. Signed tickets are measured in this process, the gate beside a server without
//! one, in turn.

use std::time::Instant;

use airlane_exchange::{Exchange, PutSpec, TicketSpec};
use airlane_model::{Caller, PutMode, RetentionChange, Ticket};
use airlane_segment::TableSchema;
use airlane_store::{Store, StoreOptions};
use arrow_flight::FlightDescriptor;
use tokio::runtime::Runtime;

use crate::Result;
use crate::client::raw;
use crate::machine::alone;
use crate::peer::{Kind, Peer, beside};
use crate::report::{Report, median};
use crate::table::Shape;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench server [--smoke | --turns N]

  --smoke    a few calls and one turn: shows that the benchmark works, writes no results
  --turns N  samples of each server (default 9)
";

const ROWS: usize = 10;
const TABLE: &str = "small";
const CALLS_IN_FLIGHT: usize = 32;

/// How much is done.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    is_smoke: bool,
    turns: usize,
    /// Calls of one sample of small gets.
    calls: usize,
    /// Tickets of one sample.
    tickets: usize,
}

impl Effort {
    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let full = Self { is_smoke: false, turns: 9, calls: 40_000, tickets: 100_000 };
        match options {
            [] => Ok(full),
            [smoke] if smoke == "--smoke" => Ok(Self { is_smoke: true, turns: 1, calls: 64, tickets: 100 }),
            [turns, count] if turns == "--turns" => Ok(Self { turns: count.parse()?, ..full }),
            _ => Err(format!("`{}` are no options\n{USAGE}", options.join(" ")).into()),
        }
    }
}

pub(crate) fn run(effort: &Effort) -> Result<()> {
    let _alone = if effort.is_smoke { None } else { Some(alone()?) };
    let mut report = Report::new("Server", "server", format!("{effort:?}"), effort.is_smoke);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tickets(&mut report, effort, &runtime)?;
    report.save()?;
    gate(&mut report, effort, &runtime)?;
    report.finish()
}

/// Signing and opening, with all that the exchange does beside: rights, the table's present version, its schema.
fn tickets(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let exchange = Exchange::open(Store::open(StoreOptions::new(None))?.0)?;
    let batch = Shape::Mixed.batch(ROWS)?;
    let caller = Caller::local();
    let spec = PutSpec {
        table: TABLE.parse()?,
        mode: PutMode::Replace,
        durability: None,
        retention: RetentionChange::default(),
        key: None,
    };
    let mut put = exchange.put_batches(&caller, spec, TableSchema::from_arrow(&batch.schema())?)?;
    put.append(&batch)?;
    runtime.block_on(put.commit())?;
    let plain: Ticket = TABLE.parse()?;
    let ttl = || TicketSpec { ttl: Some(std::time::Duration::from_secs(600)), ..TicketSpec::default() };
    let signed: Ticket = exchange.sign(&caller, &plain, ttl())?.ticket.into();
    let micros = |begin: Instant| begin.elapsed().as_secs_f64() * 1e6 / effort.tickets as f64;
    let (mut signing, mut opening) = (Vec::new(), Vec::new());
    for _ in 0..effort.turns {
        let begin = Instant::now();
        for _ in 0..effort.tickets {
            std::hint::black_box(exchange.sign(&caller, &plain, ttl())?);
        }
        signing.push(micros(begin));
        let begin = Instant::now();
        for _ in 0..effort.tickets {
            std::hint::black_box(exchange.schema(&caller, &signed)?);
        }
        opening.push(micros(begin));
    }
    for (measure, times) in [("signing a ticket", signing), ("opening a signed ticket and its table", opening)] {
        let middle = median(&times);
        report.figure(measure, "≤ 5 µs", format!("{middle:.2} µs"), middle <= 5.0);
        report.samples(measure, Kind::Airlane.name(), "µs", times);
    }
    Ok(())
}

/// Small gets with a token and rights, beside a server that asks for none.
fn gate(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let measure = "get of a 10-row table, one connection, 32 calls in flight";
    let made = std::process::Command::new(beside("airlane")?).args(["token", "bench", "--json"]).output()?;
    let made: serde_json::Value = serde_json::from_slice(&made.stdout)?;
    let (Some(token), Some(section)) = (made["token"].as_str(), made["section"].as_str()) else {
        return Err("`airlane token` made none".into());
    };
    let rights = beside("airlane")?.with_file_name(format!("airlane-bench-{}-rights.toml", std::process::id()));
    std::fs::write(&rights, format!("{section}\n[rights.bench]\n\"*\" = [\"read\", \"write\"]\n"))?;
    let guarded = Peer::airlane(&["--rights-file", &rights.display().to_string()]);
    std::fs::remove_file(&rights)?;
    let servers = [(Peer::start(Kind::Airlane)?, None), (guarded?, Some(token))];
    let connect = async |(peer, token): &(Peer, Option<&str>)| -> Result<raw::Connection> {
        let connection = raw::Connection::open(peer.port).await?;
        match token {
            Some(token) => connection.with_token(token),
            None => Ok(connection),
        }
    };
    let batch = Shape::Mixed.batch(ROWS)?;
    for server in &servers {
        runtime.block_on(async {
            let descriptor = FlightDescriptor::new_path(vec![TABLE.to_owned()]);
            let request = raw::put_request(descriptor, batch.clone()).await?;
            connect(server).await?.call("DoPut", request).await
        })?;
    }
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..effort.turns {
        for step in 0..servers.len() {
            let index = (turn + step) % servers.len();
            let rate = runtime.block_on(async {
                let connection = connect(&servers[index]).await?;
                raw::calls_per_second(connection, raw::get_request(TABLE), CALLS_IN_FLIGHT, effort.calls).await
            });
            rates[index].push(rate?);
        }
    }
    let (open, guarded) = (median(&rates[0]), median(&rates[1]));
    let cost = 100.0 * (1.0 - guarded / open);
    let measured = format!("{cost:.1} % ({guarded:.0}/s against {open:.0}/s)");
    report.figure(&format!("what a token and rights cost a {measure}"), "≤ 10 %", measured, cost <= 10.0);
    let [open, guarded] = rates;
    report.samples(measure, "airlane", "calls/s", open);
    report.samples(measure, "airlane, with a token and rights", "calls/s", guarded);
    Ok(())
}
