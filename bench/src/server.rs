//! `server`: what guarding the server costs, and how it bears what is done to it.

use crate::Result;
use crate::machine::alone;
use crate::report::Report;

mod churn;
mod doors;
mod floods;
mod frames;
mod guesses;
mod load;
mod many;
mod memory;
mod silent;
mod stalled;
mod tickets;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench server [--smoke] [--turns N] [--minutes N] [--only PART,...]

  --smoke      a few calls and one turn: shows that the benchmark works, writes no results
  --turns N    samples of each server (default 9)
  --minutes N  how long the working set of three budgets is put and read (default 10) and a third of how long the
               churn goes on
  --only PART  some of: tickets, doors, stalled, silent, floods, guesses, memory, many, churn,
               frames; results go to a file of their own
";

const ROWS: usize = 10;
const TABLE: &str = "small";
const CALLS_IN_FLIGHT: usize = 32;

type Part = (&'static str, fn(&mut Report, &Effort) -> Result<()>);

const PARTS: [Part; 10] = [
    ("tickets", |report, effort| tickets::measure(report, effort, &runtime()?)),
    ("doors", |report, effort| doors::measure(report, effort, &runtime()?)),
    ("stalled", |report, effort| stalled::measure(report, effort, &runtime()?)),
    ("silent", |report, effort| silent::measure(report, effort, &runtime()?)),
    ("floods", |report, effort| floods::measure(report, effort, &runtime()?)),
    ("guesses", |report, effort| guesses::measure(report, effort, &runtime()?)),
    ("memory", |report, effort| memory::measure(report, effort, &runtime()?)),
    ("many", |report, effort| many::measure(report, effort, &runtime()?)),
    ("churn", |report, effort| churn::measure(report, effort, &runtime()?)),
    ("frames", |report, effort| frames::measure(report, effort, &runtime()?)),
];

/// How much is done.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    is_smoke: bool,
    turns: usize,
    minutes: u64,
    /// Calls of one sample of small gets.
    calls: usize,
    /// Tickets of one sample.
    tickets: usize,
    only: Vec<String>,
}

impl Effort {
    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let mut effort =
            Self { is_smoke: false, turns: 9, minutes: 10, calls: 40_000, tickets: 100_000, only: Vec::new() };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().ok_or_else(|| format!("`{option}` takes a value\n{USAGE}"));
            match option.as_str() {
                "--smoke" => {
                    effort = Self { is_smoke: true, turns: 1, minutes: 0, calls: 64, tickets: 100, only: effort.only };
                }
                "--turns" => effort.turns = value()?.parse()?,
                "--minutes" => effort.minutes = value()?.parse()?,
                "--only" => effort.only = value()?.split(',').map(str::to_owned).collect(),
                _ => return Err(format!("`{option}` is no option\n{USAGE}").into()),
            }
        }
        match effort.only.iter().find(|part| !PARTS.iter().any(|(name, _)| name == part)) {
            Some(unknown) => Err(format!("`{unknown}` is no part\n{USAGE}").into()),
            None => Ok(effort),
        }
    }

    /// The amount of a full run, or the little that shows that it works.
    fn or_little<T>(&self, full: T, little: T) -> T {
        if self.is_smoke { little } else { full }
    }
}

pub(crate) fn run(effort: &Effort) -> Result<()> {
    let _alone = if effort.is_smoke { None } else { Some(alone()?) };
    let name = if effort.only.is_empty() { "server".to_owned() } else { format!("server-{}", effort.only.join("-")) };
    let mut report = Report::new("Server", &name, format!("{effort:?}"), effort.is_smoke);
    for (name, measure) in PARTS {
        if effort.only.is_empty() || effort.only.iter().any(|part| part == name) {
            measure(&mut report, effort)?;
            report.save()?;
        }
    }
    report.finish()
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
