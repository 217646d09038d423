//! TLS before the doors: certificate and key from files, which are read again when they change.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use airlane_gate::{FileWatch, Reload};
use airlane_model::{Error, Result, codes};
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a client may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The files of a server's certificate, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and after it those that lead to an authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Speaks TLS on connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tls {
    acceptor: TlsAcceptor,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Tls {
    /// Reads the files; answers the work that keeps the certificate as they have it, too.
    ///
    /// # Errors
    /// `file_failed`; `config_invalid` for files that hold no certificate, or no key of it.
    pub(super) fn open(
        files: TlsFiles,
        interval: Duration,
        reload: Reload,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        let watch = FileWatch::new([files.certificate.clone(), files.key.clone()]);
        let current = Arc::new(Current(RwLock::new(Arc::new(read(&files)?))));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::new(codes::INTERNAL, "TLS cannot be spoken").source(error))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let watching = watch.run(interval, reload, move || match read(&files) {
            Ok(key) => {
                *current.0.write() = Arc::new(key);
                tracing::info!(path = %files.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                let reason = error.to_string().replace('\n', ", ");
                tracing::error!("the certificate is not taken, the one from before goes on: {reason}");
            }
        });
        Ok((Self { acceptor: TlsAcceptor::from(Arc::new(config)) }, watching))
    }

    /// Does the handshake of a connection.
    pub(super) fn accept<T>(&self, stream: T) -> impl Future<Output = io::Result<TlsStream<T>>> + Send + use<T>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let accepting = self.acceptor.accept(stream);
        async move { timeout(HANDSHAKE_TIMEOUT, accepting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) }
    }
}

/// The certificate and the key of the files. What stands in them is not in the errors.
fn read(files: &TlsFiles) -> Result<CertifiedKey> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(&files.certificate)?).collect();
    let certificates = certificates.map_err(|_| invalid(&files.certificate, "the file is no PEM"))?;
    if certificates.is_empty() {
        return Err(invalid(&files.certificate, "the file holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?);
    let key = key.map_err(|_| invalid(&files.key, "the file holds no private key in PEM"))?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .map_err(|error| invalid(&files.key, format!("the key cannot be used with the certificate: {error}")))
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
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files =
            TlsFiles { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
        std::fs::write(&files.certificate, made.cert.pem()).expect("written");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
        files
    }

    #[tokio::test(start_paused = true)]
    async fn g7_a_client_that_does_no_handshake_is_let_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(folder.path(), "one");
        let (tls, _watching) = Tls::open(files, Duration::from_secs(3_600), Reload::default()).expect("TLS");
        let (_silent, server) = tokio::io::duplex(64);
        assert_eq!(tls.accept(server).await.expect_err("silent").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_certificate_and_its_own_key_are_taken_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (write(folder.path(), "one"), write(folder.path(), "other"));
        assert_eq!(read(&one).expect("its own key").cert.len(), 1);
        let crossed = TlsFiles { key: other.key.clone(), ..one.clone() };
        let swapped = TlsFiles { certificate: one.key.clone(), key: one.certificate.clone() };
        let absent = TlsFiles { key: folder.path().join("absent"), ..one.clone() };
        std::fs::write(&other.certificate, "canary").expect("written");
        for (files, code) in [
            (crossed, codes::CONFIG_INVALID),
            (swapped, codes::CONFIG_INVALID),
            (absent, codes::FILE_FAILED),
            (other, codes::CONFIG_INVALID),
        ] {
            let error = read(&files).expect_err("refused");
            assert_eq!(error.code(), code, "{error}");
            assert!(error.place().is_some() && !error.to_string().contains("canary"), "{error}");
        }
    }
}
