//! What a server is started with.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::QueryLimits;
use airlane_format::ChildParser;
use airlane_gate::{Observer, Patience};
use airlane_model::{ByteSize, RetentionDefaults};
use airlane_segment::DecodeLimits;

use super::connections::ConnectionLimits;
use super::cors::Origins;
use super::local::LocalListening;
use super::readers::ReaderPatience;
use super::tls::TlsOptions;

/// The settings of a server; the command line makes them from flags, environment and file.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The TCP address of all doors; port 0 takes a free one. Absent: another server of the program has them on its own
    /// port, see [`Handle::doors`](super::Handle::doors).
    pub listen: Option<SocketAddr>,
    /// A file that is written with the port once the server listens.
    pub port_file: Option<PathBuf>,
    /// A Unix socket that serves the same doors.
    pub unix_socket: Option<PathBuf>,
    /// Where the local door listens, which hands tables over without copying them.
    pub local: LocalListening,
    /// Where durable tables are kept; without one the server has ephemeral tables only.
    pub data_dir: Option<PathBuf>,
    /// The memory that tables, puts and reads may take; absent: half of what the machine or its control group has.
    pub memory: Option<ByteSize>,
    /// Bytes of ephemeral tables that may be on disk at once while memory is short; absent: the disk alone bounds them.
    pub spill_bytes_max: Option<ByteSize>,
    /// Bytes of compressed messages that are kept for the next reader; absent: an eighth of the memory.
    pub frames_bytes_max: Option<ByteSize>,
    /// How long new tables are kept that say nothing themselves.
    pub retention: RetentionDefaults,
    /// Who may do what: a rights file, which is read again when it changes. Without one everybody may do everything.
    pub rights_file: Option<PathBuf>,
    /// Whether, without a rights file, only those may do anything to whom the program
    /// [gives a token](super::Handle::issue_token).
    pub is_closed: bool,
    /// How often that file and those of TLS are looked at.
    pub rights_interval: Duration,
    /// How the TCP port speaks TLS; the files of it are read again when they change.
    pub tls: Option<TlsOptions>,
    /// Whether passwords are taken from other machines without TLS.
    pub passwords_in_clear: bool,
    /// Why the server is not ready yet when it begins to listen; taken back by dropping a
    /// [`ReadinessHold`](super::ReadinessHold).
    pub not_ready: Option<String>,
    /// How long running requests may go on after the server was told to stop.
    pub grace: Duration,
    /// The body of one message of a put.
    pub body_bytes_max: ByteSize,
    /// One header of a gRPC call, name and value together.
    pub header_bytes_max: ByteSize,
    /// All headers of a request over HTTP/2, as the protocol counts them: 32 bytes more for each. Below 4 GiB.
    pub header_list_bytes_max: ByteSize,
    /// The origins whose pages may read answers in browsers, beside the server's own.
    pub http_origins: Origins,
    /// Who hears of each request, such as an exporter of traces.
    pub observer: Option<Arc<dyn Observer>>,
    /// How long the stream of a read may say nothing: before, a record batch without rows is sent, so that no proxy
    /// takes the stream for dead.
    pub quiet_max: Duration,
    /// How long clients may take to send.
    pub patience: Patience,
    /// How long clients may take to read.
    pub readers: ReaderPatience,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
    /// How old a connection gets before it takes no more requests, within a tenth; absent: as old as its client likes.
    pub connection_age: Option<Duration>,
    /// How many streams of data there may be at once.
    pub streams_max: NonZeroU32,
    /// What an upload that is packed may unpack to, and how large a Parquet or Arrow file may be, which is on disk while it is read.
    pub upload_expanded_bytes_max: ByteSize,
    /// Who parses Parquet files that are uploaded; absent: they are refused, since some would end the process.
    pub parquet_parser: Option<ChildParser>,
    /// What queries may take.
    pub queries: QueryOptions,
}

/// What queries may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryOptions {
    /// The memory of one; a quarter of the server's when absent.
    pub memory: Option<ByteSize>,
    /// The disk of all.
    pub disk: ByteSize,
    /// How long one may run.
    pub time: Duration,
    /// How many run at a time.
    pub at_once: NonZeroU32,
}

impl Default for QueryOptions {
    fn default() -> Self {
        let QueryLimits { disk, time, at_once, .. } = QueryLimits::default();
        let at_once = u32::try_from(at_once).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        Self { memory: None, disk, time, at_once }
    }
}

impl QueryOptions {
    /// The limits in a server with so much memory.
    pub(super) fn limits(self, memory: ByteSize) -> QueryLimits {
        QueryLimits {
            memory: self.memory.unwrap_or(ByteSize::bytes(memory.as_u64() / 4)),
            disk: self.disk,
            time: self.time,
            at_once: self.at_once.get() as usize,
            ..QueryLimits::default()
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8815))),
            port_file: None,
            unix_socket: None,
            local: LocalListening::default(),
            data_dir: None,
            memory: None,
            spill_bytes_max: None,
            frames_bytes_max: None,
            retention: RetentionDefaults::default(),
            rights_file: None,
            is_closed: false,
            rights_interval: Duration::from_secs(2),
            tls: None,
            passwords_in_clear: false,
            not_ready: None,
            grace: Duration::from_secs(10),
            body_bytes_max: DecodeLimits::default().body_bytes_max,
            header_bytes_max: ByteSize::kib(8),
            header_list_bytes_max: ByteSize::kib(16),
            http_origins: Origins::None,
            observer: None,
            quiet_max: Duration::from_secs(5),
            patience: Patience::default(),
            readers: ReaderPatience::default(),
            connections: ConnectionLimits::default(),
            connection_age: Some(Duration::from_secs(3_600)),
            streams_max: NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MAX),
            upload_expanded_bytes_max: ByteSize::gib(64),
            parquet_parser: None,
            queries: QueryOptions::default(),
        }
    }
}
