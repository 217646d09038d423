//! A connection to an address.

use std::path::PathBuf;
use std::time::Duration;

use airlane_model::{Result, Secret};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::service_fn;

use crate::abort::Abortable;
use crate::address::Address;
use crate::authorize::{Authorized, Credentials};
use crate::error;

/// A server that is started anew is back by then.
const RESUME_FOR: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a quiet connection with a call in flight is asked whether it lives.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Windows that keep a fast link busy while a batch is being decoded. At the edge of a window a server stops, and cuts its
/// message in two.
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// A message of a server in one piece: about a MiB, and at most two, beside what describes it. In pieces of 16 KiB, the
/// default, both sides pay for each; and a frame that is a little too small makes two of every message.
const FRAME_BYTES_MAX: u32 = 4 << 20;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Who calls.
    pub credentials: Credentials,
    /// The authorities that a server is trusted by over TLS, in PEM; absent: those of the system.
    pub authorities: Option<Vec<u8>>,
    /// What to show to servers that ask who calls by certificate, over TLS.
    pub identity: Option<ClientIdentity>,
    /// How long it is tried to go on with a read whose connection broke; zero answers the break at once.
    pub resume_for: Duration,
    /// How long a call may take, a read or a put from its beginning to its end. Then it ends with `deadline_exceeded`.
    pub deadline: Option<Duration>,
    /// Whether a server of this machine is asked for shared memory, where it has that.
    pub shares_memory: bool,
    /// The socket of its local door; absent: that of the variable `AIRLANE_LOCAL_SOCKET`, else where servers have it by
    /// default.
    pub local_socket: Option<PathBuf>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            authorities: None,
            identity: None,
            resume_for: RESUME_FOR,
            deadline: None,
            shares_memory: true,
            local_socket: None,
        }
    }
}

/// A certificate of a client, in PEM.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate, and after it those that lead to an authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Secret,
}

/// What sends requests to the server.
pub(crate) type Service = Authorized<Abortable<Channel>>;

/// Connects at once, so that a wrong address is an error here and not at the first call.
pub(crate) async fn connect(address: &Address, options: &ConnectOptions) -> Result<Service> {
    let authorization = options.credentials.header()?;
    let wrap = |error| error::unreachable(address, &error);
    let channel = match address {
        Address::Tcp { host, port } => {
            endpoint(format!("http://{host}:{port}")).map_err(wrap)?.connect().await.map_err(wrap)?
        }
        Address::Tls { host, port } => {
            let endpoint = endpoint(format!("https://{host}:{port}")).map_err(wrap)?;
            let tls = match &options.authorities {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            let tls = match &options.identity {
                Some(shown) => tls.identity(Identity::from_pem(&shown.certificate, shown.key.expose())),
                None => tls,
            };
            endpoint.tls_config(tls).map_err(wrap)?.connect().await.map_err(wrap)?
        }
        Address::Unix { path } => {
            let path = path.clone();
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The authority that the request carries; the socket decides where it goes.
            let endpoint = endpoint("http://localhost".into()).map_err(wrap)?;
            endpoint.connect_with_connector(connector).await.map_err(wrap)?
        }
    };
    Ok(Authorized::new(Abortable::new(channel), authorization).within(options.deadline))
}

fn endpoint(uri: String) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri)?
        .user_agent(concat!("airlane-rust/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT))
}
