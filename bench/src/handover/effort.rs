//! How much is handed over, and which parts are measured.

use airlane_model::ByteSize;

use crate::Result;

pub(crate) const USAGE: &str = "
Usage: cargo xtask bench handover [--smoke] [--turns N] [--only PART[,PART…]]

  --smoke        a few MiB and two turns: shows that the benchmark works, writes no results
  --turns N      samples of the table of 1 GiB (default 101); everything else has fewer
  --only PARTS   of: latency, tables, large, download, copies
";

/// A part of the benchmark that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// From the end of a put in Rust to the first value.
    Latency,
    /// 100,000 rows from Python to Python, beside JSON and Flight.
    Tables,
    /// 10,000,000 rows, beside Flight.
    Large,
    /// A read over TCP, beside pyarrow's.
    Download,
    /// What a read of shared memory copies.
    Copies,
}

impl Part {
    const ALL: [(&str, Self); 5] = [
        ("latency", Self::Latency),
        ("tables", Self::Tables),
        ("large", Self::Large),
        ("download", Self::Download),
        ("copies", Self::Copies),
    ];
}

/// How much is done.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    pub(super) is_smoke: bool,
    pub(super) turns: usize,
    parts: Vec<Part>,
}

impl Effort {
    pub(crate) fn parse(options: &[String]) -> Result<Self> {
        let mut effort = Self { is_smoke: false, turns: 101, parts: Part::ALL.map(|(_, part)| part).to_vec() };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || options.next().ok_or_else(|| format!("`{option}` takes a value\n{USAGE}"));
            match option.as_str() {
                "--smoke" => (effort.is_smoke, effort.turns) = (true, 2),
                "--turns" => effort.turns = value()?.parse()?,
                "--only" => effort.parts = value()?.split(',').map(part).collect::<Result<_>>()?,
                _ => return Err(format!("`{option}` is no option\n{USAGE}").into()),
            }
        }
        Ok(effort)
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// A run of some parts leaves the results of whole runs alone.
    pub(super) fn results_name(&self) -> String {
        let names: Vec<&str> = Part::ALL.iter().filter(|(_, part)| self.has(*part)).map(|(name, _)| *name).collect();
        if names.len() == Part::ALL.len() { "handover".to_owned() } else { format!("handover-{}", names.join("-")) }
    }

    /// A size of a full run, or the little that shows that it works.
    pub(super) fn size(&self, size: ByteSize) -> u64 {
        if self.is_smoke { size.as_u64() >> 8 } else { size.as_u64() }
    }

    /// A number of rows, likewise.
    pub(super) fn rows(&self, rows: u64) -> u64 {
        if self.is_smoke { rows.min(2_000) } else { rows }
    }

    /// Turns of what takes long.
    pub(super) fn turns_max(&self, most: usize) -> usize {
        self.turns.min(most)
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
    fn options_change_what_is_handed_over() {
        let whole = parse("").expect("parses");
        assert_eq!((whole.turns, whole.rows(100_000), whole.results_name().as_str()), (101, 100_000, "handover"));
        let some = parse("--turns 5 --only copies,tables").expect("parses");
        assert_eq!((some.turns_max(7), some.results_name().as_str()), (5, "handover-tables-copies"));
        assert!(some.has(Part::Copies) && !some.has(Part::Latency));
        assert_eq!(parse("--smoke").expect("parses").rows(100_000), 2_000);
        assert!(parse("--only all").is_err() && parse("--turns").is_err() && parse("--fast").is_err());
    }
}
