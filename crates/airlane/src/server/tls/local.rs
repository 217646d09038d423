//! An authority of the server's own, kept in its data folder, and the certificates that it signs for the server.
//!
//! ```text
//! <data folder>/tls/authority.key   its private key, for the owner alone
//! <data folder>/tls/authority.pem   its certificate, which clients trust
//! ```
//!
//! Both are made once, and what is there is never written again. The certificate of the server lives in memory: a new
//! key and a new certificate at each start, each day, and when it is asked for.

use std::future::Future;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use airlane_gate::{FileWatch, Reload};
use airlane_model::{Clock, Error, Result, Timestamp, codes};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Current, certificates, certified, invalid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// As long as a machine is likely to be used: clients have to be told of another authority.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3_650);
/// A server that sleeps for a week wakes with a certificate that still holds until it has made another.
const SERVER_LIFETIME: Duration = DAY.saturating_mul(8);
const SERVER_RENEWED_AFTER: Duration = DAY;
/// How far the clock of a client may be behind.
const BACKDATED: Duration = DAY;

/// Where the certificate of a server's own authority lies in its data folder.
pub fn authority_file(data_dir: &Path) -> PathBuf {
    data_dir.join("tls/authority.pem")
}

/// What a certificate of the local authority is for.
#[derive(Clone, Debug, Default)]
pub struct LocalNames {
    /// DNS names and addresses that clients know the server by, beside those that it finds itself.
    pub names: Vec<String>,
}

/// The authority, ready to sign.
pub(super) struct LocalAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    ends: Timestamp,
    names: Vec<String>,
    file: PathBuf,
    clock: Arc<dyn Clock>,
}

impl LocalAuthority {
    /// Opens the authority of a data folder, which is made where there is none.
    ///
    /// # Errors
    /// `storage_failed` when it cannot be kept; `config_invalid` for files that are no authority, for one without the
    /// other, and for an authority whose time is over.
    pub(super) fn open(
        data_dir: Option<&Path>,
        names: &LocalNames,
        listen: IpAddr,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let data_dir = data_dir.ok_or_else(|| {
            Error::new(codes::CONFIG_INVALID, "a server without a data folder cannot keep an authority of its own")
        })?;
        let file = authority_file(data_dir);
        let key_file = file.with_extension("key");
        let failed = |error: io::Error| failed(&file, &error);
        let folder = file.parent().unwrap_or(data_dir);
        let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
        made.or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) }).map_err(failed)?;
        let key = match std::fs::read_to_string(&key_file) {
            Ok(text) => {
                for_owner_alone(&key_file)?;
                let parsed = KeyPair::from_pem(&text);
                parsed.map_err(|_| invalid(&key_file, "the file holds no private key in PEM"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.exists() => {
                return Err(invalid(&file, "the key of this authority is missing").hint(
                    "put `authority.key` back beside it, or take this file away: then another authority is made",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(internal)?;
                write_new(&key_file, &key.serialize_pem(), 0o600).map_err(failed)?;
                key
            }
            Err(error) => return Err(failed(error)),
        };
        // A start that ended before this has left a key that nobody has seen a certificate of.
        if !file.try_exists().map_err(failed)? {
            let certificate = authority_params(clock.now())?.self_signed(&key).map_err(internal)?;
            write_new(&file, &certificate.pem(), 0o644).map_err(failed)?;
        }
        let certificate = certificates(&file)?.swap_remove(0);
        // Tells whether the key is that of the certificate.
        certified(vec![certificate.clone()], private(&key), &key_file)?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| invalid(&file, "the certificate cannot be read"))?;
        let ends = Timestamp::from_micros(parsed.validity().not_after.timestamp().saturating_mul(1_000_000));
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| invalid(&file, format!("the certificate is of no authority: {error}")))?;
        let names = names_of(listen, &names.names);
        Ok(Self { issuer, certificate, ends, names, file, clock })
    }

    /// A certificate for the server that is good from now on for some days.
    ///
    /// # Errors
    /// `config_invalid` when the authority's time is over, or a name is none.
    pub(super) fn issue(&self) -> Result<Issued> {
        let now = self.clock.now();
        if now >= self.ends {
            return Err(invalid(&self.file, "the time of this authority is over").hint(
                "take `authority.pem` and `authority.key` away: then another is made, which clients have to trust",
            ));
        }
        let mut params = CertificateParams::new(self.names.clone())
            .map_err(|error| Error::new(codes::CONFIG_INVALID, format!("a name of the server is none: {error}")))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Airlane server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let ends = now.saturating_add(SERVER_LIFETIME).min(self.ends);
        (params.not_before, params.not_after) = (moment(before(now))?, moment(ends)?);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(internal)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(internal)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(Issued { key: certified(chain, private(&key), &self.file)?, at: now })
    }

    /// Keeps the certificate new, for as long as this is polled. The clock is looked at now and then: the machine may
    /// have slept, and somebody may have set it.
    pub(super) fn renew(
        self,
        mut issued: Timestamp,
        current: Arc<Current>,
        interval: Duration,
        reload: Reload,
    ) -> impl Future<Output = ()> + Send + use<> {
        // Watching no file hears whoever asks, and nothing else.
        let (ask, mut asked) = tokio::sync::mpsc::channel(1);
        let hearing = FileWatch::new([]).run(Duration::MAX, reload, move || _ = ask.try_send(()));
        let renewing = async move {
            loop {
                let is_asked = tokio::select! {
                    asked = asked.recv() => asked.is_some(),
                    () = tokio::time::sleep(interval) => false,
                };
                let now = self.clock.now();
                let is_due = now < issued || now.saturating_since(issued) >= SERVER_RENEWED_AFTER;
                if !is_asked && !is_due {
                    continue;
                }
                // Not again at every look, where it fails.
                issued = now;
                match self.issue() {
                    Ok(new) => {
                        *current.0.write() = Arc::new(new.key);
                        tracing::info!("the certificate of the server was made anew");
                    }
                    Err(error) => {
                        let reason = error.to_string().replace('\n', ", ");
                        tracing::error!("no new certificate, the one from before goes on: {reason}");
                    }
                }
            }
        };
        async move { _ = tokio::join!(hearing, renewing) }
    }
}

/// A certificate, and when it was made.
pub(super) struct Issued {
    pub(super) key: CertifiedKey,
    pub(super) at: Timestamp,
}

fn authority_params(now: Timestamp) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Airlane local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (moment(before(now))?, moment(now.saturating_add(AUTHORITY_LIFETIME))?);
    Ok(params)
}

fn before(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_sub(BACKDATED.as_micros() as i64))
}

fn moment(at: Timestamp) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.as_micros().div_euclid(1_000_000)).map_err(internal)
}

/// What the server can be called by: this machine, the address that it listens at or all those that it has, and what the
/// settings add.
fn names_of(listen: IpAddr, more: &[String]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(more.iter().cloned());
    if listen.is_unspecified() {
        let addresses = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        });
        names.extend(addresses.map(|address| address.to_string()));
    } else {
        names.push(listen.to_string());
    }
    if !listen.is_loopback() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        names.extend(Some(host).filter(|host| is_name && !host.is_empty()));
    }
    names.sort();
    names.dedup();
    names
}

fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

/// Writes a file that is not there yet, whole or not at all, so that it survives a power cut.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let staging = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&staging);
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&staging)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // Unlike a rename this fails where somebody's file is.
        std::fs::hard_link(&staging, path)
    })();
    let _ = std::fs::remove_file(&staging);
    written?;
    std::fs::File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn for_owner_alone(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| failed(path, &error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(invalid(path, "others than the owner may read the key of the authority").hint("`chmod 600` it"))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(codes::STORAGE_FAILED, format!("the authority of `--tls auto` cannot be kept: {error}"))
        .at(path.display().to_string())
        .hint("it needs a data folder that can be written, with a few kilobytes free")
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(codes::INTERNAL, format!("a certificate cannot be made: {error}")).source(error)
}

#[cfg(test)]
mod tests;
