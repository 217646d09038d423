//! TLS before the doors: the server's certificate, and the authorities of its clients, as files that are read again when
//! they change.
//!
//! ```text
//! certificate ─ files, or the local authority's (local) ─┐
//! clients ───── authorities and revocations (clients) ───┴─ ServerConfig → handshake → stream, and what it shows
//! ```

mod clients;
mod identity;
mod local;

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use airlane_gate::{FileWatch, Reload, Shown};
use airlane_model::{Clock, Error, Result, codes};
use futures::future::Either;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use clients::{ClientAuthorities, ClientCertificates};
use local::LocalAuthority;
pub use local::{LocalNames, authority_file};

/// How long a client may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a server speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Where the server's own certificate comes from.
    pub certificate: TlsCertificate,
    /// Whose certificates clients may show; absent: nobody's.
    pub clients: Option<ClientAuthorities>,
}

impl From<TlsFiles> for TlsOptions {
    fn from(certificate: TlsFiles) -> Self {
        Self { certificate: TlsCertificate::Files(certificate), clients: None }
    }
}

/// Where the certificate of a server comes from.
#[derive(Clone, Debug)]
pub enum TlsCertificate {
    /// Files, which are read again when they change.
    Files(TlsFiles),
    /// An authority of the server's own, in its data folder, which is made where there is none.
    Local(LocalNames),
}

/// The files of a server's certificate, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and after it those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What TLS has to know of the server that it is for.
pub(super) struct Surroundings<'a> {
    pub(super) data_dir: Option<&'a Path>,
    pub(super) listen: IpAddr,
    pub(super) clock: Arc<dyn Clock>,
    /// How often files and the clock are looked at.
    pub(super) interval: Duration,
    pub(super) reload: Reload,
}

/// Speaks TLS on connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

/// The clock that certificates of clients are judged by.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let micros = u64::try_from(self.0.now().as_micros()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_micros(micros)))
    }
}

/// What configurations are made of, beside the authorities of clients.
#[derive(Clone)]
struct Parts {
    certificate: Arc<Current>,
    clock: Arc<dyn Clock>,
}

impl Parts {
    fn config(&self, clients: Option<Arc<dyn ClientCertVerifier>>) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_details(provider, Arc::new(Time(self.clock.clone())));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::new(codes::INTERNAL, "TLS cannot be spoken").source(error))?;
        let asks = clients.is_some();
        let clients = clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(self.certificate.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if asks {
            // A session that is taken up again shows the certificate of before, which nobody would judge again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

impl Tls {
    /// Reads the files; answers the work that keeps TLS as they have it, too.
    ///
    /// # Errors
    /// `file_failed`; `config_invalid` for files that do not hold what they should.
    pub(super) fn open(
        options: TlsOptions,
        around: Surroundings<'_>,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let Surroundings { data_dir, listen, clock, interval, reload } = around;
        let (certificate, watching_certificate) = match options.certificate {
            TlsCertificate::Files(files) => {
                let watch = FileWatch::new([files.certificate.clone(), files.key.clone()]);
                let certificate = Arc::new(Current(RwLock::new(Arc::new(read(&files)?))));
                let kept = certificate.clone();
                let watching = watch.run(interval, reload.clone(), move || keep(&files, &kept));
                (certificate, Either::Left(watching))
            }
            TlsCertificate::Local(names) => {
                let authority = LocalAuthority::open(data_dir, &names, listen, clock.clone())?;
                let issued = authority.issue()?;
                let certificate = Arc::new(Current(RwLock::new(Arc::new(issued.key))));
                let watching = authority.renew(issued.at, certificate.clone(), interval, reload.clone());
                (certificate, Either::Right(watching))
            }
        };
        let parts = Parts { certificate, clock };

        let clients = options.clients.filter(|clients| clients.asked != ClientCertificates::Off);
        let clients_watch = clients.as_ref().map(|clients| FileWatch::new(clients.files()));
        let verifier = clients.as_ref().map(ClientAuthorities::read).transpose()?;
        let tls = Self { config: Arc::new(RwLock::new(parts.config(verifier)?)) };
        let kept = tls.clone();
        let watching_clients = clients_watch
            .zip(clients)
            .map(|(watch, clients)| watch.run(interval, reload, move || kept.take_clients(&parts, &clients)));
        let watching = async move {
            match watching_clients {
                Some(clients) => _ = tokio::join!(watching_certificate, clients),
                None => watching_certificate.await,
            }
        };
        Ok((tls, watching))
    }

    /// Goes by what the files of the clients' authorities hold now.
    fn take_clients(&self, parts: &Parts, clients: &ClientAuthorities) {
        let verifier = clients.read_again();
        match verifier.map(|verifier| parts.config(Some(verifier))) {
            Some(Ok(config)) => *self.config.write() = config,
            Some(Err(error)) => tracing::error!("the authorities of clients are not taken: {error}"),
            None => {}
        }
    }

    /// Does the handshake of a connection.
    pub(super) fn accept<T>(&self, stream: T) -> impl Future<Output = io::Result<(TlsStream<T>, Shown)>> + Send + use<T>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let accepting = TlsAcceptor::from(self.config.read().clone()).accept(stream);
        async move {
            let stream =
                timeout(HANDSHAKE_TIMEOUT, accepting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            let shown = identity::shown(stream.get_ref().1.peer_certificates());
            Ok((stream, shown))
        }
    }
}

/// Has new connections get the certificate that the files hold now, if they hold one.
fn keep(files: &TlsFiles, current: &Current) {
    match read(files) {
        Ok(key) => {
            *current.0.write() = Arc::new(key);
            tracing::info!(path = %files.certificate.display(), "the certificate was read again");
        }
        Err(error) => {
            let reason = error.to_string().replace('\n', ", ");
            tracing::error!("the certificate is not taken, the one from before goes on: {reason}");
        }
    }
}

/// The certificate and the key of the files. What stands in them is not in the errors.
fn read(files: &TlsFiles) -> Result<CertifiedKey> {
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?);
    let key = key.map_err(|_| invalid(&files.key, "the file holds no private key in PEM"))?;
    certified(certificates, key, &files.key)
}

/// A certificate with its own key.
fn certified(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>, path: &Path) -> Result<CertifiedKey> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| invalid(path, format!("the key cannot be used with the certificate: {error}")))
}

/// The certificates of a file: one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let certificates = certificates.map_err(|_| invalid(path, "the file is no PEM"))?;
    if certificates.is_empty() {
        return Err(invalid(path, "the file holds no certificate"));
    }
    Ok(certificates)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::new(codes::FILE_FAILED, format!("the file cannot be read: {error}"))
            .at(path.display().to_string())
            .source(error)
    })
}

fn invalid(path: &Path, message: impl Display) -> Error {
    Error::new(codes::CONFIG_INVALID, message.to_string()).at(path.display().to_string())
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
