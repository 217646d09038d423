//! The contracts of a server.

use std::io::Read;
use std::path::{Path, PathBuf};

use airlane_model::contract::{Change, Compatibility, Mode};
use airlane_model::{Error, Result, codes};

use super::files::in_file;
use crate::cli::{Globals, words};
use crate::output::table::{Align, Table};
use crate::output::{self, human};

/// Register a contract, or a new version of one
///
/// A new version must leave whole what the one before promises; the answer names each break. Tables that the contract is bound to
/// keep to the new version from the next put on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane contract add prices prices.yaml
  airlane contract infer prices.csv | airlane contract add prices -")]
pub(super) struct Add {
    /// The name of the contract
    name: String,

    /// The document, or `-` for stdin
    file: PathBuf,

    /// What a new version must leave whole: what writers by the old one do, what readers by it expect, both, or nothing
    #[arg(long, default_value = "backward", value_parser = words::compatibility())]
    compatibility: Compatibility,
}

/// List the contracts
///
/// Those that come with Airlane have version 0 until another version is registered under their name.
#[derive(Debug, clap::Args)]
pub(super) struct Ls {}

/// Print a contract as it was registered
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane contract show prices
  airlane contract show market_data > market_data.yaml")]
pub(super) struct Show {
    /// The contract
    name: String,

    /// Its version [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
}

/// Show what changes between two versions of a contract, or from one to a document
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane contract diff prices                      the newest version and the one before
  airlane contract diff prices --from 1 --to 3
  airlane contract diff prices prices.yaml          what would change with this document")]
pub(super) struct Diff {
    /// The contract
    name: String,

    /// A document that is not registered, or `-` for stdin
    #[arg(conflicts_with = "to")]
    file: Option<PathBuf>,

    /// The older version [default: the one before; the newest, for a document]
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,

    /// The newer version [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
}

/// Bind a contract to a table, or to all whose names begin alike
///
/// The binding that names a table whole decides, else the one with the longest beginning. Tables that are there already stay as
/// they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane contract bind eu/prices prices
  airlane contract bind 'eu/*' market_data --mode quarantine")]
pub(super) struct Bind {
    /// The table, or a beginning of names with `*` behind it
    tables: String,

    /// The contract: one that is registered, or that comes with Airlane
    contract: String,

    /// What happens to data that breaks it: reject, coerce, quarantine or coerce_quarantine
    #[arg(long, default_value = "reject", value_parser = words::contract_mode())]
    mode: Mode,
}

/// Take a contract off tables
#[derive(Debug, clap::Args)]
pub(super) struct Unbind {
    /// The tables, as they were bound
    tables: String,
}

/// List which contracts are bound to which tables
#[derive(Debug, clap::Args)]
pub(super) struct Bindings {}

impl Add {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let document = document(&self.file)?;
        let client = globals.connect().await?;
        let added = client.add_contract(&self.name, &document, self.compatibility).await;
        let info = added.map_err(|error| of_document(error, &self.file))?;
        if globals.json {
            return output::json(&info);
        }
        output::text(&format!("{}@{}\n", info.contract, info.version))
    }
}

impl Ls {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let contracts = globals.connect().await?.contracts().await?;
        if globals.json {
            return output::json(&contracts);
        }
        let mut shown = Table::new([
            ("contract", Align::Left),
            ("version", Align::Right),
            ("registered", Align::Left),
            ("by", Align::Left),
            ("bound to", Align::Left),
        ]);
        for contract in contracts {
            let (registered, by) = match contract.registered {
                Some(moment) => (human::moment(moment), contract.by.unwrap_or_default()),
                None => ("comes with Airlane".to_owned(), String::new()),
            };
            let bound: Vec<String> =
                contract.bound_to.iter().map(|(tables, mode)| format!("{tables} ({})", mode.name())).collect();
            shown.push([contract.contract, contract.version.to_string(), registered, by, bound.join(", ")]);
        }
        output::text(&shown.render())
    }
}

impl Show {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let contract = globals.connect().await?.contract(&self.name, self.version).await?;
        if globals.json {
            return output::json(&contract);
        }
        output::note(&format!("{}@{}", contract.info.contract, contract.info.version));
        output::text(&contract.document)
    }
}

impl Diff {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let client = globals.connect().await?;
        let changes = match &self.file {
            None => client.contract_changes(&self.name, self.from, self.to).await?,
            Some(file) => {
                let changes = client.contract_changes_with(&self.name, self.from, &document(file)?).await;
                changes.map_err(|error| of_document(error, file))?
            }
        };
        if globals.json {
            return output::json(&changes);
        }
        if changes.is_empty() {
            output::note("nothing changes");
            return Ok(());
        }
        output::text(&told(&changes))
    }
}

impl Bind {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        globals.connect().await?.bind_contract(&self.tables, &self.contract, self.mode).await?;
        if globals.json {
            return output::json(&serde_json::json!({
                "tables": self.tables,
                "contract": self.contract,
                "mode": self.mode,
            }));
        }
        output::note(&format!("{} keep to {} ({})", self.tables, self.contract, self.mode.name()));
        Ok(())
    }
}

impl Unbind {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let binding = globals.connect().await?.unbind_contract(&self.tables).await?;
        if globals.json {
            return output::json(&binding);
        }
        output::note(&format!("{} kept to {} ({})", self.tables, binding.contract, binding.mode.name()));
        Ok(())
    }
}

impl Bindings {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let bindings = globals.connect().await?.contract_bindings().await?;
        if globals.json {
            return output::json(&bindings);
        }
        if bindings.is_empty() {
            output::note("no contract is bound");
            return Ok(());
        }
        let mut shown = Table::new([("tables", Align::Left), ("contract", Align::Left), ("mode", Align::Left)]);
        for (tables, binding) in bindings {
            shown.push([tables, binding.contract, binding.mode.name().to_owned()]);
        }
        output::text(&shown.render())
    }
}

/// How a file is called in errors.
fn name_of(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}

/// A document that the server is to read.
fn document(file: &Path) -> Result<String> {
    let bytes = match file.to_str() {
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        _ => std::fs::read(file),
    };
    let bytes = bytes.map_err(|error| {
        Error::new(codes::FILE_FAILED, format!("the contract cannot be read: {error}")).at(name_of(file)).source(error)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let first = error.utf8_error().valid_up_to();
        Error::new(codes::CONTRACT_INVALID, format!("the document is not UTF-8 at byte {first}")).at(name_of(file))
    })
}

/// An error of the server that may be one of a file.
fn of_document(error: Error, file: &Path) -> Error {
    match error.code() {
        codes::CONTRACT_INVALID => in_file(error, &name_of(file)),
        _ => error,
    }
}

fn told(changes: &[Change]) -> String {
    let mut shown = Table::new([
        ("column", Align::Left),
        ("what", Align::Left),
        ("from", Align::Left),
        ("to", Align::Left),
        ("breaks", Align::Left),
    ]);
    for change in changes {
        let breaks = match (change.breaks_backward, change.breaks_forward) {
            (false, false) => "",
            (true, false) => "writers",
            (false, true) => "readers",
            (true, true) => "writers and readers",
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        shown.push([
            text(&change.column),
            change.what.clone(),
            text(&change.from),
            text(&change.to),
            breaks.to_owned(),
        ]);
    }
    let hints: Vec<String> = changes
        .iter()
        .filter(|change| !change.hint().is_empty())
        .map(|change| format!("{change}\n  {}\n", change.hint()))
        .collect();
    match hints.is_empty() {
        true => shown.render(),
        false => format!("{}\n{}", shown.render(), hints.concat()),
    }
}
