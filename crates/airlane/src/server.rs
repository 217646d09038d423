//! The server: one listener for every door, from start to graceful end.
//!
//! ```text
//! run       store opened → listening → port file → Handle
//! requests  listener → connection → gate → Doors (gRPC: Flight; else: HTTP)
//! stop      new requests refused → running ones finish within the grace → listeners closed → GOAWAY → store closed
//! ```

mod age;
mod authority;
mod budget;
mod connection;
mod connections;
mod cors;
mod executor;
mod figures;
mod joined;
mod listener;
mod local;
mod memory;
mod metrics;
mod mounted;
mod opened;
mod options;
mod port_file;
mod readers;
mod route;
mod running;
mod status;
mod stop;
mod tls;
mod unix;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlane_exchange::Exchange;
use airlane_gate::Gate;
use airlane_model::caller::Grant;
use airlane_model::{Chance, Error, Result, codes};
use airlane_segment::home::sigbus;
use airlane_store::{Recovery, Store, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use age::Ages;
pub use airlane_gate::{IssuedToken, Patience, Reload};
use connection::{Builders, Serving};
pub use connections::ConnectionLimits;
use connections::Connections;
pub use cors::Origins;
pub use local::{LocalListening, LocalSocket};
pub use metrics::{METRICS, Metric, MetricKind};
pub use mounted::MountedDoors;
use opened::Opened;
pub use options::{QueryOptions, ServerOptions};
pub use readers::ReaderPatience;
use readers::Readers;
use route::GatedDoors;
use running::Running;
use status::ServerStatus;
use stop::Stop;
pub use tls::{
    ClientAuthorities, ClientCertificates, LocalNames, TlsCertificate, TlsFiles, TlsOptions, authority_file,
};
use tls::{Surroundings, Tls};

/// A running server. Dropping the handle stops it without grace.
#[derive(Debug)]
pub struct Handle {
    address: Option<SocketAddr>,
    local_socket: Option<PathBuf>,
    recovery: Recovery,
    exchange: Exchange,
    store: Store,
    status: Arc<ServerStatus>,
    stop: watch::Sender<bool>,
    reload: Reload,
    task: JoinHandle<Result<()>>,
    doors: GatedDoors,
    gate: Gate,
    chance: Arc<dyn Chance>,
}

impl Handle {
    /// The address that the server listens at, where it has a port of its own.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// All doors as a service, for a server of the program to have beside its own: gRPC and HTTP behind the gate. The bounds of
    /// connections and of readers that stop are then those of that server.
    pub fn doors(&self) -> MountedDoors {
        MountedDoors::new(self.doors.clone())
    }

    /// A token for a process that the program starts: it may do so much and no more, until the answer is dropped.
    ///
    /// # Errors
    /// `option_invalid` for a name that no caller can have, and where there is no access control.
    pub fn issue_token(&self, name: &str, grants: Vec<Grant>) -> Result<IssuedToken> {
        self.gate.issue(name, grants, self.chance.as_ref())
    }

    /// The Unix socket of the local door, where it has one.
    pub fn local_socket(&self) -> Option<&Path> {
        self.local_socket.as_deref()
    }

    /// What opening the data folder found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The server's tables, for programs that run it in their own process.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Marks the server as not ready for a reason, until the answer is dropped.
    pub fn hold_readiness(&self, reason: impl Into<String>) -> ReadinessHold {
        self.status.wait_for("program", reason.into());
        ReadinessHold { status: self.status.clone() }
    }

    /// Has an unreadable file end the process in order: a failed read of a mapped file raises SIGBUS, whose handler, which
    /// belongs to the whole process, notes the file for the next start and exits with code 86. For programs whose only
    /// server this is.
    ///
    /// # Errors
    /// `storage_failed`.
    pub fn report_unreadable_files(&self) -> Result<()> {
        let Some(path) = self.store.damage_report_file() else { return Ok(()) };
        let report = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        report.and_then(sigbus::install).map_err(|error| {
            let message = format!("cannot watch for unreadable files by `{}`: {error}", path.display());
            Error::new(codes::STORAGE_FAILED, message).source(error)
        })
    }

    /// What has the rights file and the certificate read again, if the server has them; the log says what comes of it.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Tells the server to stop; [`wait`](Self::wait) answers when it has.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end of the server; may be given up and called again.
    ///
    /// # Errors
    /// `commit_unknown` when the store failed: the process must be started again, which decides what was kept.
    pub async fn wait(&mut self) -> Result<()> {
        match (&mut self.task).await {
            Ok(ended) => ended,
            Err(error) => Err(Error::new(codes::INTERNAL, format!("the server ended unexpectedly: {error}"))),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a server from being ready; dropping it lets it be.
#[derive(Debug)]
pub struct ReadinessHold {
    status: Arc<ServerStatus>,
}

impl Drop for ReadinessHold {
    fn drop(&mut self) {
        self.status.done("program");
    }
}

/// Starts a server.
///
/// # Errors
/// `address_in_use`, `folder_locked`, `format_unsupported`, `storage_failed`, `file_failed`; `config_invalid` for the
/// rights file and those of TLS.
pub async fn run(options: ServerOptions) -> Result<Handle> {
    let mut store = StoreOptions::new(options.data_dir.clone());
    store.limits.body_bytes_max = options.body_bytes_max;
    store.retention = options.retention.clone();
    store.memory.limit = options.memory.unwrap_or_else(budget::default_limit);
    store.memory.spill_max = options.spill_bytes_max;
    store.memory.frames_max = options.frames_bytes_max;
    run_over(store, options).await
}

/// Starts a server over a store with options of its own: another clock or disk, other limits. Its folder and
/// its limits count, not those of `options`.
///
/// # Errors
/// As [`run`].
pub async fn run_over(store: StoreOptions, options: ServerOptions) -> Result<Handle> {
    let reload = Reload::default();
    let Opened {
        store,
        recovery,
        exchange,
        status,
        gate,
        doors,
        flight,
        drain,
        streams,
        data_dir,
        clock,
        chance,
        watching,
    } = Opened::open(store, &options, &reload)?;
    let around = Surroundings {
        // The folder is this server's now.
        data_dir: data_dir.as_deref(),
        listen: options.listen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |listen| listen.ip()),
        clock: clock.clone(),
        interval: options.rights_interval,
        reload: reload.clone(),
    };
    let tls = options.tls.clone().map(|tls| Tls::open(tls, around)).transpose()?;
    if let Some(path) = &options.port_file {
        port_file::clear(path)?;
    }
    let tcp = match options.listen {
        None => None,
        Some(listen) => Some(bind(listen).await?),
    };
    let address = tcp.as_ref().map(|(_, address)| *address);
    let unix = options.unix_socket.as_deref().map(unix::bind).transpose()?;

    let connections = Connections::new(options.connections, clock);
    let readers = Readers::new(options.readers);
    let builders = Builders::new(readers.clone()).with_header_list(options.header_list_bytes_max);
    let ages = Ages::new(options.connection_age, chance.clone());
    let serving = Serving { builders, ages, stop: Stop::default() };
    let scheme = if tls.is_some() { "grpc+tls" } else { "grpc" };
    let around = local::Around {
        exchange: &exchange,
        gate: gate.clone(),
        drain: drain.clone(),
        streams: streams.clone(),
        observer: options.observer.clone(),
        chance: chance.clone(),
        memory: store.memory().limit,
        grace: options.grace,
        url: address.map(|address| format!("{scheme}://{address}")).unwrap_or_default(),
        connections: serving.stop.clone(),
    };
    let mut local = local::listen(&options.local, around).await?;
    let mut accepting: Vec<_> = watching.into_iter().collect();
    if let Some((tcp, _)) = tcp {
        let served = (doors.clone(), connections.clone(), serving.clone());
        match tls {
            None => accepting.push(tokio::spawn(listener::accept_loop(tcp, served.0, served.1, served.2))),
            Some((tls, watching)) => {
                let listener = listener::TlsListener { tcp, tls };
                accepting.push(tokio::spawn(listener::accept_loop(listener, served.0, served.1, served.2)));
                accepting.push(tokio::spawn(watching));
            }
        }
    }
    let mut socket_file = None;
    if let Some((listener, file)) = unix {
        let (doors, serving) = (doors.clone(), serving.clone());
        accepting.push(tokio::spawn(listener::accept_loop(listener, doors, connections, serving)));
        socket_file = Some(file);
    }
    accepting.append(&mut local.accepting);
    if let (Some(path), Some(address)) = (&options.port_file, address) {
        port_file::write(path, address.port())?;
    }

    let (stop, stopped) = watch::channel(false);
    let running = Running {
        store: store.clone(),
        flight,
        status: status.clone(),
        drain,
        streams,
        readers,
        connections: serving.stop,
        accepting,
        socket_file,
        local_files: local.files,
        grace: options.grace,
    };
    let task = tokio::spawn(running.until_stopped(stopped));
    let local_socket = local.socket;
    Ok(Handle { address, local_socket, recovery, exchange, store, status, stop, reload, task, doors, gate, chance })
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(listen).await.and_then(|tcp| tcp.local_addr().map(|address| (tcp, address)));
    bound.map_err(|error| {
        Error::new(codes::ADDRESS_IN_USE, format!("cannot listen at {listen}: {error}"))
            .hint("choose another port with `--port`; `--port 0` takes a free one")
            .source(error)
    })
}
