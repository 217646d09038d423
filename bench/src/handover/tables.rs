//! A table from a Python process to another, all that it takes included: as users have it before, to as users have it after.
//!
//! ```text
//! producer: the clock starts ─ put ─▶ ticket ─ this process ─▶ consumer: get ─ table or frame: the clock stops ─ sum of all columns
//! ```
//!
//! What the ticket needs to get across is included. JSON goes through a pipe of its own, read while it is written. CPU is that of both
//! Python processes and of the server, from before the put until the consumer has let go of what it got.

use serde_json::json;

use super::Setting;
use super::worker::{Kind, Worker, get_request, put_request};
use crate::Result;
use crate::peer::{self, Peer};
use crate::picture::{Bar, Bars, Group, Scale};
use crate::report::{Report, median};

const TABLE: &str = "handed";
const ROWS: u64 = 100_000;
const ROWS_LARGE: u64 = 10_000_000;

/// A way from process to process. The names are those of `ways.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Airlane,
    Flight,
    Json,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Airlane => "airlane",
            Self::Flight => "flight",
            Self::Json => "json",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Airlane => "airlane",
            Self::Flight => "pyarrow Flight",
            Self::Json => "JSON through a pipe",
        }
    }
}

/// What the hand-overs of one way took.
#[derive(Debug, Default)]
struct Series {
    seconds: Vec<f64>,
    /// Of these, until the producer had its ticket.
    put_seconds: Vec<f64>,
    sum_seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
}

/// The two processes, and the servers between them.
struct Stage<'a> {
    producer: Worker,
    consumer: Worker,
    airlane: &'a Peer,
    flight: Peer,
}

impl<'a> Stage<'a> {
    fn new(setting: &'a Setting) -> Result<Self> {
        let (mut producer, mut consumer) = (setting.worker()?, setting.worker()?);
        let flight = Peer::start(peer::Kind::Cpp)?;
        let url = |port: u16| format!("grpc://127.0.0.1:{port}");
        let airlane =
            json!({"way": "airlane", "url": url(setting.server.port), "table": TABLE, "transport": "shared memory"});
        let stock = json!({"way": "flight", "url": url(flight.port), "table": TABLE});
        let pipe = json!({"way": "json", "path": setting.folder.join("pipe")});
        for (way, how) in [(Way::Airlane, airlane), (Way::Flight, stock), (Way::Json, pipe)] {
            producer.connect(way.word(), &how)?;
            consumer.connect(way.word(), &how)?;
        }
        Ok(Self { producer, consumer, airlane: &setting.server, flight })
    }

    fn server_cpu(&self, way: Way) -> Result<f64> {
        match way {
            Way::Airlane => Ok(self.airlane.cpu()?.sum()),
            Way::Flight => Ok(self.flight.cpu()?.sum()),
            Way::Json => Ok(0.0),
        }
    }

    /// Hands the table over `times` times.
    fn sample(&mut self, way: Way, kind: Kind, rows: u64, times: usize, series: &mut Series) -> Result<()> {
        let (server, mut cpu) = (self.server_cpu(way)?, 0.0);
        for _ in 0..times {
            let (put, got) = self.hand_over(way, kind)?;
            if got.rows != rows {
                return Err(format!("{}: {} rows instead of {rows}", way.name(), got.rows).into());
            }
            series.seconds.push(got.end.saturating_sub(put.begin) as f64 / 1e9);
            series.put_seconds.push(put.end.saturating_sub(put.begin) as f64 / 1e9);
            cpu += put.cpu + got.cpu;
            series.sum_seconds.push(self.consumer.sum()?);
            cpu += self.consumer.forget()?;
        }
        series.cpu_seconds.push((cpu + self.server_cpu(way)? - server) / times as f64);
        Ok(())
    }

    fn hand_over(&mut self, way: Way, kind: Kind) -> Result<(super::worker::Put, super::worker::Got)> {
        if way == Way::Json {
            // A pipe is read while it is written.
            self.consumer.send(&get_request(way.word(), "", kind))?;
            self.producer.send(&put_request(way.word()))?;
            return Ok((self.producer.receive()?, self.consumer.receive()?));
        }
        let put = self.producer.put(way.word())?;
        let got = self.consumer.get(way.word(), &put.ticket, kind)?;
        Ok((put, got))
    }

    /// What comes is what was put, to the last value.
    fn prove(&mut self, ways: &[Way], kind: Kind) -> Result<()> {
        for way in ways {
            self.hand_over(*way, kind)?;
            self.consumer.check()?;
            self.consumer.forget()?;
        }
        Ok(())
    }
}

/// Of each kind, what the ways took.
type Measured = Vec<(Kind, Vec<(Way, Series)>)>;

/// 100,000 rows.
pub(super) fn run(report: &mut Report, setting: &Setting) -> Result<()> {
    let effort = &setting.effort;
    let (rows, turns, times) = (effort.rows(ROWS), effort.turns_max(11), if effort.is_smoke { 1 } else { 10 });
    let mut stage = Stage::new(setting)?;
    let ways = [Way::Airlane, Way::Flight, Way::Json];
    let mut measured = Measured::new();
    for kind in [Kind::Pandas, Kind::Arrow] {
        stage.producer.make("mixed", rows, kind)?;
        stage.consumer.make("mixed", rows, kind)?;
        stage.prove(&ways, kind)?;
        let series = series(&mut stage, &ways, kind, rows, turns, times)?;
        keep(report, &format!("100,000 × 20, {}", kind.name()), &series);
        measured.push((kind, series));
    }
    for (kind, series) in &measured {
        let (json, flight, cpu) = if *kind == Kind::Pandas { (20.0, 2.0, 15.0) } else { (100.0, 3.0, 60.0) };
        let what = format!("100,000 × 20 mixed columns, {0} to {0}", kind.name());
        share(report, &format!("{what}, against JSON"), series, Way::Json, |of| &of.seconds, json);
        share(report, &format!("{what}, against pyarrow Flight"), series, Way::Flight, |of| &of.seconds, flight);
        let what = format!("CPU of both processes and the server, {}, against JSON", kind.name());
        share(report, &what, series, Way::Json, |of| &of.cpu_seconds, cpu);
    }
    let title = "100,000 × 20 mixed columns from process to process";
    report.picture("tables", bars(&measured, title, Scale::Logarithmic, |of| &of.seconds));
    let title = "CPU of that: both processes and the server";
    report.picture("tables-cpu", bars(&measured, title, Scale::Logarithmic, |of| &of.cpu_seconds));
    stage.producer.drop_table(Way::Airlane.word())
}

/// 10,000,000 rows, without JSON, which would take ten minutes and more memory than there is.
pub(super) fn run_large(report: &mut Report, setting: &Setting) -> Result<()> {
    let effort = &setting.effort;
    let (rows, turns) = (effort.rows(ROWS_LARGE), effort.turns_max(5));
    let mut stage = Stage::new(setting)?;
    let ways = [Way::Airlane, Way::Flight];
    let mut measured = Measured::new();
    for kind in [Kind::Arrow, Kind::Pandas] {
        stage.producer.make("mixed", rows, kind)?;
        // The first hand-over of each warms up.
        series(&mut stage, &ways, kind, rows, 1, 1)?;
        let series = series(&mut stage, &ways, kind, rows, turns, 1)?;
        keep(report, &format!("10,000,000 × 20, {}", kind.name()), &series);
        let ratio = ratio(&series, Way::Flight, |of| &of.seconds);
        let what = format!("10,000,000 × 20 mixed columns, {0} to {0}, against pyarrow Flight", kind.name());
        report.figure(&what, "≥ 3 ×", format!("{ratio:.2} ×"), ratio >= 3.0);
        measured.push((kind, series));
    }
    let title = "10,000,000 × 20 mixed columns from process to process";
    report.picture("large", bars(&measured, title, Scale::Linear, |of| &of.seconds));
    stage.producer.drop_table(Way::Airlane.word())
}

fn series(
    stage: &mut Stage<'_>,
    ways: &[Way],
    kind: Kind,
    rows: u64,
    turns: usize,
    times: usize,
) -> Result<Vec<(Way, Series)>> {
    let mut all: Vec<(Way, Series)> = ways.iter().map(|way| (*way, Series::default())).collect();
    for turn in 0..turns {
        for step in 0..ways.len() {
            // Each turn begins with another, so that none always follows the same one.
            let (way, series) = &mut all[(turn + step) % ways.len()];
            let times = if *way == Way::Json { 1 } else { times };
            stage.sample(*way, kind, rows, times, series)?;
        }
    }
    Ok(all)
}

fn keep(report: &mut Report, what: &str, all: &[(Way, Series)]) {
    for (way, series) in all {
        let millis = |seconds: &[f64]| seconds.iter().map(|seconds| seconds * 1e3).collect::<Vec<_>>();
        let of = [&series.seconds, &series.put_seconds, &series.sum_seconds, &series.cpu_seconds];
        let [whole, put, sum, cpu] = of.map(|of| median(of) * 1e3);
        let name = way.name();
        println!("      {what}: {name} {whole:.2} ms (put {put:.2}), sum of all columns {sum:.2} ms, CPU {cpu:.2} ms");
        report.samples(&format!("{what}: from process to process"), way.name(), "ms", millis(&series.seconds));
        report.samples(&format!("{what}: the put alone"), way.name(), "ms", millis(&series.put_seconds));
        let summed = series.seconds.iter().zip(&series.sum_seconds).map(|(whole, sum)| (whole + sum) * 1e3).collect();
        report.samples(&format!("{what}: and the sum of all columns"), way.name(), "ms", summed);
        report.samples(&format!("{what}: CPU"), way.name(), "ms", millis(&series.cpu_seconds));
    }
}

/// How many times what we take the other takes, by medians.
fn ratio(all: &[(Way, Series)], other: Way, of: impl Fn(&Series) -> &Vec<f64>) -> f64 {
    let taken = |way: Way| all.iter().find(|(is, _)| *is == way).map_or(f64::NAN, |(_, series)| median(of(series)));
    taken(other) / taken(Way::Airlane)
}

fn share(
    report: &mut Report,
    what: &str,
    all: &[(Way, Series)],
    other: Way,
    of: impl Fn(&Series) -> &Vec<f64>,
    least: f64,
) {
    let ratio = ratio(all, other, of);
    report.figure(what, &format!("≤ 1/{least}"), format!("1/{ratio:.1}"), ratio >= least);
}

fn bars(measured: &Measured, title: &str, scale: Scale, of: impl Fn(&Series) -> &Vec<f64>) -> String {
    let group = |(kind, all): &(Kind, Vec<(Way, Series)>)| Group {
        name: kind.name().to_owned(),
        bars: all
            .iter()
            .map(|(way, series)| Bar { name: way.name().to_owned(), value: median(of(series)) * 1e3 })
            .collect(),
    };
    Bars { title: title.to_owned(), unit: "ms", scale, groups: measured.iter().map(group).collect() }.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_ours_the_other_takes() {
        let series = |seconds: &[f64]| Series { seconds: seconds.to_vec(), ..Series::default() };
        let all = vec![(Way::Airlane, series(&[2.0, 1.0, 9.0])), (Way::Json, series(&[60.0]))];
        assert!((ratio(&all, Way::Json, |of| &of.seconds) - 30.0).abs() < 1e-9);
        // What was not measured reaches nothing.
        assert!(ratio(&all, Way::Flight, |of| &of.seconds).is_nan());
    }
}
