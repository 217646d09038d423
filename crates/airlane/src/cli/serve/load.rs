//! Files into tables, in the server's own process.

use std::path::Path;
use std::time::Instant;

use airlane::server::Handle;
use airlane_exchange::{Exchange, PutSpec};
use airlane_format::ReadOptions;
use airlane_model::{Caller, Durability, Error, Receipt, Result, TableName, codes};
use airlane_segment::TableSchema;

use super::folder::Files;
use crate::output::human;

/// Why the server is not ready while files are loaded.
pub(super) const NOT_READY: &str = "the files of the folder are being loaded";

/// Loads the files in the background, one after the other; until then the server is not ready. A file that cannot be
/// loaded is told and left out.
pub(super) fn spawn(handle: &Handle, files: Files, json: bool) {
    let exchange = handle.exchange().clone();
    let hold = handle.hold_readiness(NOT_READY);
    let runtime = tokio::runtime::Handle::current();
    let load = move || {
        for skipped in &files.skipped {
            super::warn(skipped, json);
        }
        let mut loaded = 0;
        for (table, path) in &files.tables {
            let begun = Instant::now();
            match load(&exchange, &runtime, table, path) {
                Ok(receipt) => {
                    loaded += 1;
                    let (rows, time) = (human::counted(receipt.rows, "row"), human::duration(begun.elapsed()));
                    tracing::info!("loaded {} with {rows} in {time}", receipt.ticket);
                }
                // The server was stopped while it loaded.
                Err(error) if error.code() == codes::SHUTTING_DOWN => return,
                Err(error) => super::warn(&error, json),
            }
        }
        let all = human::counted(files.tables.len() as u64, "file");
        tracing::info!("{loaded} of {all} loaded; ready");
        drop(hold);
    };
    tokio::task::spawn_blocking(load);
}

fn load(exchange: &Exchange, runtime: &tokio::runtime::Handle, table: &TableName, path: &Path) -> Result<Receipt> {
    let reader = airlane_format::read_path(path, &ReadOptions::default())?;
    let spec = PutSpec { durability: Some(Durability::Ephemeral), ..PutSpec::new(table.clone()) };
    let at = |error: Error| match error.place() {
        _ if error.code() == codes::DURABILITY_CONFLICT => {
            Error::new(error.code(), format!("the file is skipped: there is a durable table `{table}`"))
                .at(path.display().to_string())
                .hint(format!("put the file into it with `airlane put {table}`, or drop it first"))
        }
        None => error.at(path.display().to_string()),
        Some(_) => error,
    };
    let mut put =
        exchange.put_batches(&Caller::local(), spec, TableSchema::from_arrow(&reader.schema())?).map_err(at)?;
    for batch in reader {
        put.append(&batch?).map_err(at)?;
    }
    runtime.block_on(put.commit()).map_err(at)
}
