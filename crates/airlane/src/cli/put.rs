//! `airlane put`.

use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use airlane_client::{PutOptions, TicketOptions};
use airlane_format::{Format, ReadOptions};
use airlane_model::{ByteSize, Durability, IdempotencyKey, PutMode, Result, TableName, TimeSpan};

use super::csv::CsvFlags;
use super::retention::Rules;
use super::{Globals, transfer, words};
use crate::output::progress::Progress;
use crate::output::{self, human};

/// Put a file as a table
///
/// The file is read as CSV, NDJSON, JSON, Parquet or Arrow, packed with gzip or zstd or not, and becomes one new version of the table: all of it, or, when
/// anything fails, none of it. The answer is the ticket that reads this version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane put flights flights.parquet
  airlane put eu/prices prices.csv --append
  airlane put eu/sales umsatz.csv --delimiter ';' --decimal , --thousands .
  airlane put scratch/t t.parquet --ttl 1h
  airlane put orders today.csv --append --idempotency-key orders-2026-11-26
  psql -c 'copy t to stdout csv header' | airlane put t - --durability ephemeral")]
pub(crate) struct Put {
    /// The table, such as `prices` or `eu/prices`
    #[arg(value_name = "NAME")]
    table: String,

    /// The file, or `-` for stdin
    file: PathBuf,

    /// The format of the file
    ///
    /// Without it: by the extension of the file's name, else by its first bytes. `arrow` is the Arrow file format,
    /// `arrows` the Arrow stream format.
    #[arg(long, value_parser = words::format())]
    format: Option<Format>,

    /// Give the table a new content, or add rows to the one it has
    #[arg(long, value_parser = words::mode(), default_value_t, conflicts_with = "append")]
    mode: PutMode,

    /// The same as `--mode append`
    #[arg(long)]
    append: bool,

    /// What the table survives
    ///
    /// `ephemeral` is in memory only, gone with the server; `durable` is on disk before the answer. Without it: what
    /// the table has; a new table is durable.
    #[arg(long, value_parser = words::durability())]
    durability: Option<Durability>,

    #[command(flatten)]
    rules: Rules,

    /// A name for this put that makes it safe to repeat
    ///
    /// When you have put the same rows with the same key into this table before, you get that answer again and nothing
    /// is stored; other rows are refused. 1 to 255 printable characters. Remembered for a day.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// Answer a signed ticket that lives so long: 30s, 10m, 8h, 7d
    ///
    /// Whoever holds it may read this version. It takes the right to read the table.
    #[arg(long, value_name = "TIME")]
    ticket_ttl: Option<TimeSpan>,

    /// Answer a signed ticket that can be read so often
    #[arg(long, value_name = "COUNT")]
    ticket_reads: Option<NonZeroU64>,

    /// How much of a CSV, NDJSON or JSON file decides the types of its columns
    ///
    /// A value further on that does not fit is an error, never a silent change.
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    sample: ByteSize,

    #[command(flatten)]
    csv: CsvFlags,
}

impl Put {
    fn ticket(&self) -> Option<TicketOptions> {
        let (ttl, reads) = (self.ticket_ttl.map(TimeSpan::as_duration), self.ticket_reads);
        (ttl.is_some() || reads.is_some()).then(|| TicketOptions { ttl, reads, ..TicketOptions::default() })
    }

    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        let table = TableName::parse(&self.table)?;
        let retention = self.rules.change()?;
        let key = self.idempotency_key.as_deref().map(str::parse::<IdempotencyKey>).transpose()?;
        let csv = self.csv.options.clone();
        let options = ReadOptions { format: self.format, sample: self.sample, csv, ..ReadOptions::default() };
        let path = self.file.clone();
        let opened = tokio::task::spawn_blocking(move || match path == Path::new("-") {
            true => airlane_format::read_stream("stdin", Box::new(io::stdin()), &options),
            false => airlane_format::read_path(&path, &options),
        });
        let (reader, client) = tokio::join!(opened, globals.connect());
        let reader = reader.map_err(super::thread_failed)??;
        let client = client?;
        let mode = if self.append { PutMode::Append } else { self.mode };
        let put = PutOptions {
            mode,
            durability: self.durability,
            retention,
            key,
            ticket: self.ticket(),
            bytes_expected: None,
        };
        let progress = Progress::begin(globals.json, reader.rows_total());
        let (schema, batches) = (reader.schema(), transfer::stream(reader, progress.clone()));
        let receipt = client.put(&table, schema, batches, put).await;
        let moved = progress.end();
        let receipt = receipt?;
        if globals.json {
            return output::json(&receipt);
        }
        let rows = human::counted(receipt.rows_put, "row");
        let time = human::duration(moved.time);
        output::note(&format!("put {rows} into {} in {time} ({})", receipt.table, receipt.durability));
        output::text(&format!("{}\n", receipt.ticket))
    }
}
