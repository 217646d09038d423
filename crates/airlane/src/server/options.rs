//! What a server is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a server; the command line makes them from flags, environment and file.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The TCP address of all doors. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// A file that is written with the port once the server listens.
    pub port_file: Option<PathBuf>,
    /// A Unix socket that serves the same doors.
    pub unix_socket: Option<PathBuf>,
    /// Where durable tables are kept; without one the server has ephemeral tables only.
    pub data_dir: Option<PathBuf>,
    /// Why the server is not ready yet when it begins to listen; taken back by dropping a
    /// [`ReadinessHold`](super::ReadinessHold).
    pub not_ready: Option<String>,
    /// How long running requests may go on after the server was told to stop.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8815)),
            port_file: None,
            unix_socket: None,
            data_dir: None,
            not_ready: None,
            grace: Duration::from_secs(10),
        }
    }
}
