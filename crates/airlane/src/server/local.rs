//! Where the local door listens: a Unix socket that passes descriptors, and a port of the loopback for those who cannot
//! have them.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airlane_exchange::Exchange;
use airlane_gate::{CallGate, Drain, Gate, Observer, Peer, Shown, Streams};
use airlane_handover::Channel;
use airlane_handover::bytes::Bytes;
use airlane_handover::packets::{PacketListener, is_live};
use airlane_handover::socket_default;
use airlane_local::{CALLS, LocalDoor, LocalOptions, Tokens};
use airlane_model::{ByteSize, Chance, Error, Result, codes};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::stop::Stop;
use super::unix::{self, SocketFile};

/// How long accepting pauses after a failure such as "too many open files".
const BACKOFF: Duration = Duration::from_millis(100);

/// Connections at once. Each costs a few KiB and a descriptor.
const CONNECTIONS_MAX: usize = 1024;

/// Where the local door listens.
#[derive(Clone, Debug, Default)]
pub struct LocalListening {
    /// The Unix socket.
    pub socket: LocalSocket,
    /// A file that is told port and token of a port of the loopback, where there is to be one.
    pub tcp_file: Option<PathBuf>,
    /// Whether processes of the server's own user may be trusted workers.
    pub trusts_own_user: bool,
    /// The memory that the leases of one caller may hold at once; absent: half of the budget.
    pub leased_bytes_max: Option<ByteSize>,
}

/// The Unix socket of the local door.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalSocket {
    /// None.
    #[default]
    Off,
    /// Where clients look for it, unless another server is there already.
    Auto,
    /// There.
    At(PathBuf),
}

/// What the door listens at. Dropping the files takes them away.
#[derive(Debug, Default)]
pub(super) struct LocalDoors {
    pub(super) accepting: Vec<JoinHandle<()>>,
    pub(super) socket: Option<PathBuf>,
    pub(super) files: Vec<SocketFile>,
}

/// What the door stands in.
pub(super) struct Around<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) gate: Gate,
    pub(super) drain: Drain,
    pub(super) streams: Streams,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) memory: ByteSize,
    pub(super) grace: Duration,
    pub(super) url: String,
    pub(super) connections: Stop,
}

/// Begins to listen.
///
/// # Errors
/// `address_in_use`, `storage_failed`.
pub(super) async fn listen(listening: &LocalListening, around: Around<'_>) -> Result<LocalDoors> {
    let mut doors = LocalDoors::default();
    let packets = match &listening.socket {
        LocalSocket::Off => None,
        LocalSocket::At(path) => Some(bind(path)?),
        LocalSocket::Auto => match bind(&socket_default()) {
            Ok(bound) => Some(bound),
            Err(error) => {
                tracing::info!(reason = error.message(), "no local door: it is named by `local_socket`");
                None
            }
        },
    };
    let tcp = match &listening.tcp_file {
        None => None,
        Some(file) => {
            let failed = |error| Error::new(codes::ADDRESS_IN_USE, format!("cannot listen at the loopback: {error}"));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
            let port = listener.local_addr().map_err(failed)?.port();
            Some((listener, TokenFile { path: file.clone(), port }))
        }
    };
    if packets.is_none() && tcp.is_none() {
        return Ok(doors);
    }
    let gate = CallGate::new(around.gate, around.drain.clone(), around.observer, &CALLS).bounded(around.streams);
    let tokens = Tokens::new(around.chance.clone());
    let options = LocalOptions {
        leased_bytes_max: listening.leased_bytes_max.unwrap_or(ByteSize::bytes(around.memory.as_u64() / 2)),
        trusts_own_user: listening.trusts_own_user,
        folder: tcp.as_ref().map(|(_, file)| file.folder()),
        url: around.url,
        grace: around.grace,
        ..LocalOptions::default()
    };
    let door = LocalDoor::new(around.exchange.clone(), gate, options, tokens.clone(), around.chance.as_ref())?;
    let (drain, connections, open) = (around.drain, around.connections, Arc::default());
    let served = Listening { door, drain, connections, open };
    if let Some((listener, file, path)) = packets {
        doors.accepting.push(tokio::spawn(accept_packets(listener, served.clone())));
        doors.socket = Some(path);
        doors.files.push(file);
    }
    if let Some((listener, file)) = tcp {
        file.write(&tokens)?;
        doors.files.push(SocketFile::at(file.path.clone()));
        doors.accepting.push(tokio::spawn(accept_tcp(listener, file, tokens, served)));
    }
    Ok(doors)
}

type Bound = (PacketListener, SocketFile, PathBuf);

fn bind(path: &Path) -> Result<Bound> {
    if let Some(folder) = path.parent() {
        private_folder(folder).map_err(|error| {
            let message = format!("cannot listen at the Unix socket `{}`: {error}", path.display());
            Error::new(codes::ADDRESS_IN_USE, message).source(error)
        })?;
    }
    let (listener, file) = unix::bind_with(path, is_live, PacketListener::bind)?;
    Ok((listener, file, path.to_owned()))
}

/// Makes a folder for the user alone, or sees that it is one: who could write in it could put another socket there.
fn private_folder(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let facts = std::fs::symlink_metadata(folder)?;
    let is_own = facts.is_dir() && facts.uid() == rustix::process::geteuid().as_raw();
    if is_own && facts.permissions().mode() & 0o022 == 0 {
        return Ok(());
    }
    let message = format!("others can write in the folder `{}`", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Counts a connection until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn begin(open: &Arc<AtomicUsize>) -> Option<Self> {
        let counted = Self(open.clone());
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(counted)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is served by.
#[derive(Clone)]
struct Listening {
    door: LocalDoor,
    drain: Drain,
    connections: Stop,
    open: Arc<AtomicUsize>,
}

async fn accept_packets(listener: PacketListener, listening: Listening) {
    loop {
        match listener.accept().await {
            Ok((packets, process)) => listening.serve(Channel::Packets(packets), Shown::Uid(process.uid)),
            Err(error) => failed(&error).await,
        }
    }
}

async fn accept_tcp(listener: TcpListener, file: TokenFile, tokens: Tokens, listening: Listening) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The next client needs another.
            () = tokens.used() => {
                if let Err(error) = file.write(&tokens) {
                    tracing::warn!(%error, "the token of the local port could not be written");
                }
                continue;
            }
        };
        match accepted.and_then(|(stream, _)| Bytes::new(stream)) {
            Ok(bytes) => listening.serve(Channel::Bytes(bytes), Shown::Nothing),
            Err(error) => failed(&error).await,
        }
    }
}

impl Listening {
    fn serve(&self, channel: Channel, shown: Shown) {
        let Some(counted) = Open::begin(&self.open) else { return };
        let Self { door, drain, connections, .. } = self.clone();
        self.connections.spawn(async move {
            tokio::select! {
                () = door.serve(channel, Peer::Unix, shown, drain.begun()) => {}
                // No request runs any more: what is left are leases, which nobody needs a server for.
                () = connections.requested() => {}
            }
            drop(counted);
        });
    }
}

async fn failed(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a local connection; trying again in {BACKOFF:?}");
    sleep(BACKOFF).await;
}

/// The file that tells port and token: `{"port": 40123, "token": "…"}`. Beside it lies the folder for files.
struct TokenFile {
    path: PathBuf,
    port: u16,
}

impl TokenFile {
    fn folder(&self) -> PathBuf {
        let mut folder = self.path.clone().into_os_string();
        folder.push(".d");
        folder.into()
    }

    fn write(&self, tokens: &Tokens) -> Result<()> {
        let told = serde_json::json!({ "port": self.port, "token": tokens.make().expose() });
        let staging = self.path.with_extension("tmp");
        let written = || -> io::Result<()> {
            let _ = std::fs::remove_file(&staging);
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staging)?;
            file.write_all(format!("{told}\n").as_bytes())?;
            std::fs::rename(&staging, &self.path)
        };
        written().map_err(|error| {
            let message = format!("cannot write the file `{}` of the local port: {error}", self.path.display());
            Error::new(codes::FILE_FAILED, message).source(error)
        })
    }
}
