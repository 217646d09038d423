//! `airlane serve`.

mod folder;
mod load;
mod tls;
mod welcome;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use airlane::server::{
    self, ConnectionLimits, Handle, LocalListening, QueryOptions, ReaderPatience, Reload, ServerOptions,
};
use airlane_format::ChildParser;
use airlane_model::{Error, Result, codes};

use super::{Globals, PARSE_PARQUET};
use crate::config::flags::ServerFlags;
use crate::config::value::LogFormat;
use crate::config::{ServerSettings, print};
use crate::output::report;
use crate::telemetry::Traces;
use crate::{output, telemetry};

/// Keep tables and serve them
///
/// Listens on one port for gRPC (Arrow Flight) and HTTP (`/healthz`, `/readyz`, `/metrics`), and on a Unix socket if
/// asked to. Durable tables are kept in the data folder. With a rights file each caller sees and does what it has rights
/// for. Ctrl-C or SIGTERM lets running requests end; a second one
/// stops at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  airlane serve
  airlane serve ./data                         also make a table of each file in ./data
  airlane serve --port 0 --port-file port      take a free port and tell it")]
pub(crate) struct Serve {
    /// A folder: each Parquet, CSV, NDJSON, JSON and Arrow file in it becomes an ephemeral table
    ///
    /// A table has the name of its file without the extension, and the names of the folders between as namespaces:
    /// `DIR/eu/prices.csv` becomes `eu/prices`. The tables are loaded while the server runs; `/readyz` tells when all
    /// are there.
    dir: Option<PathBuf>,

    /// Show each setting and where its value came from, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: ServerFlags,
}

impl Serve {
    pub(super) fn run(&self, globals: &Globals) -> Result<()> {
        let begun = Instant::now();
        let sources = globals.sources(self.settings.given.clone())?;
        let (settings, all) = ServerSettings::resolve(&sources)?;
        if self.print_config {
            return if globals.json { output::json(&print::json(&all)) } else { output::text(&print::toml(&all)) };
        }
        telemetry::begin(&settings.log, settings.log_format)?;
        refuse_open_doors(&settings)?;
        let files = self.dir.as_deref().map(folder::scan).transpose()?;
        let runtime = super::runtime()?;
        let ended = runtime.block_on(async {
            let signals = Signals::listen()?;
            let mut options = options(&settings)?;
            let traces = Traces::begin(|name| std::env::var(name).ok())?;
            options.observer = traces.as_ref().map(Traces::observer);
            options.not_ready = files.as_ref().map(|_| load::NOT_READY.to_owned());
            let mut handle = server::run(options).await?;
            handle.report_unreadable_files()?;
            if settings.rights_file.is_some() || settings.speaks_tls() {
                reload_on_hangup(handle.reload())?;
            }
            let address = super::address(&handle)?;
            welcome::print(&settings, &handle, address, sources.file.as_ref(), begun.elapsed());
            if let Some(files) = files {
                let json = globals.json || settings.log_format == LogFormat::Json;
                load::spawn(&handle, files, json);
            }
            let ended = until_ended(&mut handle, signals).await;
            if let Some(traces) = traces {
                // It waits for the exporter, whose connection this runtime serves.
                let _ = tokio::task::spawn_blocking(move || traces.end()).await;
            }
            ended
        });
        runtime.shutdown_background();
        ended
    }
}

fn options(settings: &ServerSettings) -> Result<ServerOptions> {
    Ok(ServerOptions {
        tls: tls::options(settings)?,
        listen: Some((settings.listen, settings.port).into()),
        port_file: settings.port_file.clone(),
        unix_socket: settings.unix_socket.clone(),
        local: LocalListening {
            socket: settings.local_socket.clone(),
            tcp_file: settings.local_tcp.clone(),
            trusts_own_user: settings.local_trust,
            leased_bytes_max: settings.local_bytes_max.map(|size| size.0),
        },
        data_dir: Some(settings.data_dir.clone()),
        memory: settings.memory.map(|size| size.0),
        spill_bytes_max: settings.spill_bytes_max.map(|size| size.0),
        frames_bytes_max: settings.frames_bytes_max.map(|size| size.0),
        retention: settings.retention.clone(),
        rights_file: settings.rights_file.clone(),
        passwords_in_clear: settings.insecure,
        not_ready: None,
        grace: settings.drain_timeout,
        body_bytes_max: settings.body_bytes_max.0,
        header_bytes_max: settings.header_bytes_max.0,
        header_list_bytes_max: settings.header_list_bytes_max.0,
        http_origins: settings.http_origins.clone(),
        connections: ConnectionLimits {
            all: settings.connections_max.0,
            per_address: settings.connections_per_address_max.0,
        },
        connection_age: settings.connection_age.0,
        streams_max: settings.streams_max.0,
        upload_expanded_bytes_max: settings.upload_expanded_bytes_max.0,
        parquet_parser: Some(ChildParser::of_this_program(
            PARSE_PARQUET,
            settings.parquet_memory_max.0,
            settings.parquet_time_max,
        )),
        readers: ReaderPatience {
            calm: settings.read_stall_max.0.unwrap_or(Duration::MAX),
            ..ReaderPatience::default()
        },
        queries: QueryOptions {
            memory: settings.query_memory.map(|size| size.0),
            disk: settings.query_disk.0,
            time: settings.query_time.0.unwrap_or(Duration::MAX),
            at_once: settings.queries_at_once.0,
        },
        ..ServerOptions::default()
    })
}

/// Without a rights file a server is for its own machine, unless somebody says otherwise in so many words.
fn refuse_open_doors(settings: &ServerSettings) -> Result<()> {
    if settings.listen.is_loopback() || settings.rights_file.is_some() || settings.insecure {
        return Ok(());
    }
    let message =
        format!("`{}` can be reached from other machines, and no rights file says who may do what", settings.listen);
    Err(Error::new(codes::CONFIG_INVALID, message)
        .at("setting `listen`")
        .hint("name one with `--rights-file`, listen on 127.0.0.1, or allow everybody with `--insecure`"))
}

/// Runs until the server ends by itself or a signal stops it.
pub(super) async fn until_ended(handle: &mut Handle, mut signals: Signals) -> Result<()> {
    tokio::select! {
        ended = handle.wait() => return ended,
        () = signals.next() => {}
    }
    tracing::info!("stopping: running requests may end; another signal cuts them off");
    handle.stop();
    tokio::select! {
        ended = handle.wait() => ended,
        () = signals.next() => Ok(()),
    }
}

/// Has the rights file and the certificate read again on each SIGHUP, for as long as the runtime lives.
fn reload_on_hangup(reload: Reload) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Error::new(codes::INTERNAL, format!("no signals can be taken: {error}")))?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reload.now();
        }
    });
    Ok(())
}

/// Ctrl-C and SIGTERM.
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals from here on, inside a runtime: whoever sees the server listen may send one.
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Error::new(codes::INTERNAL, format!("no signals can be taken: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Tells an error that does not end the server.
fn warn(error: &Error, json: bool) {
    report::print(error, json);
}
