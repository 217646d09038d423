//! How much is moved, and which parts are measured.

use crate::Result;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask bench flight [--smoke | --quick] [--turns N] [--gigabytes N] [--only PART[,PART…]]

  --smoke        a few megabytes and one turn: shows that the benchmark works, writes no results
  --quick        4 GB a sample and 3 turns
  --turns N      samples of each server (default 9)
  --gigabytes N  GB moved for one sample whose CPU is weighed (default 32; the kernel counts in ticks)
  --only PARTS   of: start, small, durable, floats, mixed, clients
  --figures      only what a figure is asked for, which takes two thirds of the time
";

/// A part of the benchmark that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Start,
    Small,
    Durable,
    Floats,
    Mixed,
    Clients,
}

impl Part {
    const ALL: [(&str, Self); 6] = [
        ("start", Self::Start),
        ("small", Self::Small),
        ("durable", Self::Durable),
        ("floats", Self::Floats),
        ("mixed", Self::Mixed),
        ("clients", Self::Clients),
    ];
}

/// How much is moved.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<Part>,
    /// Leave out what no figure is asked for.
    pub(crate) figures_only: bool,
    /// Bytes of a table.
    pub(crate) table_bytes: u64,
    /// Bytes moved for one sample whose CPU is weighed.
    pub(crate) sample_bytes: u64,
    /// Bytes moved for one sample of anything else.
    pub(crate) sample_bytes_others: u64,
    /// Samples of each server.
    pub(crate) turns: usize,
    /// Starts of the server.
    pub(crate) starts: usize,
    /// Calls of one sample of small gets.
    pub(crate) small_calls: usize,
    /// Durable puts of each client.
    pub(crate) durable_puts: usize,
    /// Memory to touch first.
    pub(crate) touch_bytes: usize,
    /// Seconds between a put and the look at the server's memory.
    pub(crate) settle_seconds: u64,
}

impl Effort {
    fn full() -> Self {
        Self {
            name: "full",
            parts: Part::ALL.iter().map(|(_, part)| *part).collect(),
            figures_only: false,
            table_bytes: 1 << 30,
            sample_bytes: 32_000_000_000,
            sample_bytes_others: 8_000_000_000,
            turns: 9,
            starts: 21,
            small_calls: 40_000,
            durable_puts: 1_000,
            touch_bytes: 12 << 30,
            settle_seconds: 10,
        }
    }

    fn quick() -> Self {
        Self {
            name: "quick",
            sample_bytes: 4_000_000_000,
            sample_bytes_others: 2_000_000_000,
            turns: 3,
            small_calls: 10_000,
            durable_puts: 200,
            ..Self::full()
        }
    }

    fn smoke() -> Self {
        Self {
            name: "smoke",
            table_bytes: 8 << 20,
            sample_bytes: 16_000_000,
            sample_bytes_others: 8_000_000,
            turns: 1,
            starts: 1,
            small_calls: 64,
            durable_puts: 2,
            touch_bytes: 0,
            settle_seconds: 0,
            ..Self::full()
        }
    }

    pub(crate) fn is_smoke(&self) -> bool {
        self.name == "smoke"
    }

    /// The names of the parts, if they are not all.
    pub(crate) fn parts_by_name(&self) -> Option<String> {
        let names: Vec<&str> = Part::ALL.iter().filter(|(_, part)| self.has(*part)).map(|(name, _)| *name).collect();
        (names.len() < Part::ALL.len()).then(|| names.join("-"))
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let mut effort = Self::full();
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().ok_or_else(|| format!("`{option}` needs a value\n{USAGE}"));
            match option.as_str() {
                "--smoke" => effort = Self::smoke(),
                "--quick" => effort = Self::quick(),
                "--turns" => effort.turns = value()?.parse()?,
                "--gigabytes" => effort.sample_bytes = value()?.parse::<u64>()? * 1_000_000_000,
                "--figures" => effort.figures_only = true,
                "--only" => effort.parts = value()?.split(',').map(part).collect::<Result<_>>()?,
                unknown => return Err(format!("`{unknown}` is no option\n{USAGE}").into()),
            }
        }
        Ok(effort)
    }
}

fn part(name: &str) -> Result<Part> {
    let found = Part::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, part)| *part).ok_or_else(|| format!("`{name}` is no part\n{USAGE}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Effort> {
        Effort::parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_change_what_is_moved() {
        assert_eq!(parse("").expect("parses").sample_bytes, 32_000_000_000);
        let effort = parse("--quick --turns 5 --gigabytes 8 --only floats,small").expect("parses");
        assert_eq!((effort.turns, effort.sample_bytes), (5, 8_000_000_000));
        assert!(effort.has(Part::Small) && !effort.has(Part::Mixed));
        assert!(!effort.figures_only && parse("--figures").expect("parses").figures_only);
        assert_eq!(effort.parts_by_name().as_deref(), Some("small-floats"));
        assert_eq!(parse("").expect("parses").parts_by_name(), None);
        assert!(parse("--only all").is_err());
        assert!(parse("--turns").is_err());
    }
}
