//! What files say of contracts, without a server.

use std::path::{Path, PathBuf};

use airlane_contract::{CheckOptions, Checker, Contract, Mode, Report, builtin, builtin_names};
use airlane_format::{Format, ReadOptions};
use airlane_model::{Chance, Clock, Error, Result, SystemChance, SystemClock, codes};

use crate::cli::csv::CsvFlags;
use crate::cli::{Globals, words};
use crate::output::{self, human};

/// The name that a contract has where the file's says none.
const NAME_DEFAULT: &str = "table";

/// Check a file against a contract without storing it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane contract check prices.parquet --contract prices.yaml
  airlane contract check quotes.csv --contract market_data --mode coerce")]
pub(super) struct Check {
    /// The file, or `-` for stdin
    file: PathBuf,

    /// The contract: a file of YAML, or the name of one that comes with Airlane
    #[arg(long)]
    contract: String,

    /// What happens to data that breaks it: reject, coerce, quarantine or coerce_quarantine
    ///
    /// `reject` stops at the first bad row. `coerce` first casts what can be cast without loss, as text to numbers. The others go
    /// through the whole file and tell how many rows broke which rule.
    #[arg(long, default_value = "coerce", value_parser = words::contract_mode())]
    mode: Mode,

    /// The format of the file; without it: by its name, else by its first bytes
    #[arg(long, value_parser = words::format())]
    format: Option<Format>,

    #[command(flatten)]
    csv: CsvFlags,
}

/// Write a contract that a file keeps to
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  airlane contract infer prices.csv > prices.yaml")]
pub(super) struct Infer {
    /// The file, or `-` for stdin
    file: PathBuf,

    /// The name of the contract; without it that of the file
    #[arg(long)]
    name: Option<String>,

    /// The format of the file; without it: by its name, else by its first bytes
    #[arg(long, value_parser = words::format())]
    format: Option<Format>,

    #[command(flatten)]
    csv: CsvFlags,
}

fn read(file: &Path, options: &ReadOptions) -> Result<Box<dyn airlane_format::BatchReader>> {
    match file.to_str() {
        Some("-") => airlane_format::read_stream("stdin", Box::new(std::io::stdin()), options),
        _ => airlane_format::read_path(file, options),
    }
}

impl Check {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        let contract = contract(&self.contract)?;
        let mut seed = [0; 8];
        SystemChance.fill(&mut seed);
        // Formats without types have those of the contract.
        let options = ReadOptions {
            format: self.format,
            csv: self.csv.options.clone(),
            schema: Some(contract.types()),
            casts_texts: self.mode.casts(),
            ..ReadOptions::default()
        };
        let reader = read(&self.file, &options)?;
        let options = CheckOptions::new(self.file.display().to_string(), self.mode, u64::from_le_bytes(seed));
        let mut checker = Checker::new(&contract, &reader.schema(), options)?;
        for batch in reader {
            checker.check(&batch?)?;
        }
        let report = checker.finish(SystemClock.now())?.into_result()?;
        if globals.json { output::json(&report) } else { output::text(&told(&report)) }
    }
}

impl Infer {
    pub(super) fn run(&self) -> Result<()> {
        let stem = self.file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "-");
        let name = self.name.as_deref().or(stem).unwrap_or(NAME_DEFAULT);
        let csv = self.csv.options.clone();
        let options = ReadOptions { format: self.format, csv, ..ReadOptions::default() };
        let schema = read(&self.file, &options)?.schema();
        output::text(Contract::infer(name, &schema)?.to_yaml())
    }
}

/// A contract in a file, or one that comes with Airlane.
fn contract(named: &str) -> Result<Contract> {
    if let Some(contract) = builtin(named) {
        return contract;
    }
    let bytes = std::fs::read(named).map_err(|error| {
        let names: Vec<&str> = builtin_names().collect();
        Error::new(codes::FILE_FAILED, format!("the contract cannot be read: {error}"))
            .at(named.to_owned())
            .hint(format!("name a file of YAML, or one of {}", names.join(", ")))
            .source(error)
    })?;
    Contract::parse_bytes(&bytes).map_err(|error| in_file(error, named))
}

/// An error of a document, with the file.
pub(super) fn in_file(error: Error, file: &str) -> Error {
    let place = match error.place() {
        Some(place) => format!("{file}, {place}"),
        None => file.to_owned(),
    };
    error.at(place)
}

fn told(report: &Report) -> String {
    let mut text = format!("rows that keep to `{}`: {}\n", report.contract, report.rows);
    for cast in &report.casts {
        text.push_str(&format!(
            "  {}: {} from {} to {}\n",
            cast.column,
            human::counted(cast.values, "value"),
            cast.from,
            cast.to
        ));
    }
    if report.rows_rejected > 0 {
        text.push_str(&format!("rows that break it: {}\n", report.rows_rejected));
    }
    for rule in &report.broken {
        text.push_str(&format!("  {}: {} in {}\n", rule.column, rule.rule, human::counted(rule.rows, "row")));
    }
    if !report.not_checked.is_empty() {
        text.push_str(&format!("rules of the document that nobody checks: {}\n", report.not_checked.len()));
    }
    text
}
