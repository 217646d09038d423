//! `airlane get`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airlane_client::{Client, TableStream, TicketOptions};
use airlane_format::{Format, Packing};
use airlane_model::{Error, Result, Ticket, codes};
use tempfile::TempPath;

use super::transfer::Sink;
use super::{Globals, words};
use crate::output::progress::Progress;
use crate::output::{self, human, preview};

const PREVIEW_ROWS_MAX: u64 = 20;
const PREVIEW_COLUMNS_DEFAULT: usize = 110;
const BUFFER_BYTES: usize = 1 << 20;

/// Read a table by its ticket
///
/// With `-o FILE` the rows go to the file, which appears when it is complete. Without it they go to stdout: as the
/// first rows in readable form when that is a terminal, else as an Arrow stream, or in the format asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane get flights                          show the first rows
  airlane get flights@1 -o flights.parquet     one version, as Parquet
  airlane get 'flights?rows=0-1000' --format csv | head")]
pub(crate) struct Get {
    /// The ticket, such as `prices`, `prices@7`, `prices@7?rows=0-1000`, or what a put answered
    ticket: String,

    /// The file to write, or `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The format to write
    ///
    /// Without it: by the extension of the file's name; an Arrow stream on stdout. `arrow` is the Arrow file format,
    /// `arrows` the Arrow stream format. A name that ends with `.gz` or `.zst` has the file packed, such as
    /// `prices.csv.gz`.
    #[arg(long, value_parser = words::format())]
    format: Option<Format>,
}

impl Get {
    pub(super) async fn run(&self, globals: &Globals) -> Result<()> {
        match &self.output {
            Some(path) if path != Path::new("-") => self.to_file(globals, path).await,
            None if self.format.is_none() && io::stdout().is_terminal() => self.preview(globals).await,
            _ => self.to_stdout(globals).await,
        }
    }

    async fn to_file(&self, globals: &Globals, path: &Path) -> Result<()> {
        let format = self.format.or_else(|| Format::of_path(path)).ok_or_else(|| {
            let message = format!("the format of `{}` cannot be told from its name", path.display());
            Error::new(codes::OPTION_INVALID, message)
                .hint("name it: `--format csv`, `ndjson`, `json`, `parquet`, `arrow` or `arrows`")
        })?;
        let client = globals.connect().await?;
        let total = self.rows_total(globals, &client).await;
        let stream = client.get(&self.ticket).await?;
        let target = Target::create(path)?;
        let output = target.file.try_clone().map_err(|error| file_failed(path, error))?;
        let progress = Progress::begin(globals.json, total);
        let (_, packing) = Packing::split(path);
        let copied = copy(stream, Box::new(output), (format, packing), &progress).await;
        let moved = progress.end();
        copied?;
        target.keep()?;
        if globals.json {
            let file = path.display().to_string();
            return output::json(&serde_json::json!({ "rows": moved.rows, "file": file, "format": format.name() }));
        }
        let (rows, time) = (human::counted(moved.rows, "row"), human::duration(moved.time));
        output::note(&format!("got {rows} into {} in {time}", path.display()));
        Ok(())
    }

    async fn to_stdout(&self, globals: &Globals) -> Result<()> {
        let format = self.format.unwrap_or(Format::ArrowStream);
        let client = globals.connect().await?;
        let total = self.rows_total(globals, &client).await;
        let stream = client.get(&self.ticket).await?;
        let progress = Progress::begin(globals.json, total);
        let copied = copy(stream, Box::new(io::stdout()), (format, None), &progress).await;
        progress.end();
        copied
    }

    async fn preview(&self, globals: &Globals) -> Result<()> {
        let client = globals.connect().await?;
        // Signed, it names one version, and tells how many rows there are. What is computed nobody knows before.
        let signed = match self.ticket.parse()? {
            Ticket::Query(_) => None,
            ticket => Some(client.sign(&ticket, &for_a_while()).await?),
        };
        let mut stream = client.get(signed.as_ref().map_or(&self.ticket, |signed| &signed.ticket)).await?;
        let mut batches = Vec::new();
        let mut shown = 0;
        while shown < PREVIEW_ROWS_MAX
            && let Some(batch) = stream.next().await?
        {
            let rows = (PREVIEW_ROWS_MAX - shown).min(batch.num_rows() as u64);
            batches.push(batch.slice(0, rows as usize));
            shown += rows;
        }
        let columns_max = terminal_size::terminal_size().map_or(PREVIEW_COLUMNS_DEFAULT, |(width, _)| width.0.into());
        let mut text = preview::render(stream.schema(), &batches, columns_max)?;
        let more = signed.map_or(0, |signed| signed.rows.saturating_sub(shown));
        if more > 0 {
            text.push_str(&format!("… and {}: `-o FILE` writes all\n", human::counted(more, "more row")));
        }
        output::text(&text)
    }

    /// What gives the bar its length; not asked for when nobody watches.
    async fn rows_total(&self, globals: &Globals, client: &Client) -> Option<u64> {
        if globals.json || !io::stderr().is_terminal() {
            return None;
        }
        let ticket: Ticket = self.ticket.parse().ok()?;
        Some(client.sign(&ticket, &for_a_while()).await.ok()?.rows)
    }
}

/// A ticket that only this command uses.
fn for_a_while() -> TicketOptions {
    TicketOptions { ttl: Some(Duration::from_secs(60 * 60)), ..TicketOptions::default() }
}

async fn copy(
    mut stream: TableStream,
    output: Box<dyn Write + Send>,
    (format, packing): (Format, Option<Packing>),
    progress: &Progress,
) -> Result<()> {
    let output = Box::new(BufWriter::with_capacity(BUFFER_BYTES, output));
    let schema = stream.schema().clone();
    let sink = Sink::new(airlane_format::packed_writer(output, schema, format, packing)?);
    while let Some(batch) = stream.next().await? {
        progress.add(&batch);
        if sink.write(batch).await.is_err() {
            break;
        }
    }
    let resumptions = stream.resumptions();
    sink.finish().await?;
    if resumptions > 0 {
        let times = human::counted(resumptions, "time");
        output::note(&format!("the connection broke {times}, and the read went on where it stopped"));
    }
    Ok(())
}

/// A file that takes its name when it is complete, so that nobody meets half of it.
struct Target {
    file: File,
    /// Absent for a pipe or a device, which is written as it is.
    temporary: Option<TempPath>,
    path: PathBuf,
}

impl Target {
    fn create(path: &Path) -> Result<Self> {
        let failed = |error| file_failed(path, error);
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).map_err(failed)?;
            return Ok(Self { file, temporary: None, path: path.to_owned() });
        }
        // What a link points to is replaced, not the link.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The process's mask takes away what new files shall not allow.
        let mode = std::fs::Permissions::from_mode(0o666);
        let temporary =
            tempfile::Builder::new().prefix(".airlane-").permissions(mode).tempfile_in(folder).map_err(failed)?;
        let (file, temporary) = temporary.into_parts();
        Ok(Self { file, temporary: Some(temporary), path: path.to_owned() })
    }

    fn keep(self) -> Result<()> {
        match self.temporary {
            Some(temporary) => temporary.persist(&self.path).map_err(|error| file_failed(&self.path, error.error)),
            None => Ok(()),
        }
    }
}

fn file_failed(path: &Path, error: io::Error) -> Error {
    Error::new(codes::FILE_FAILED, error.to_string()).at(path.display().to_string()).source(error)
}
