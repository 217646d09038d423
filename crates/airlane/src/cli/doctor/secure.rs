//! TLS and the certificate: the chain is looked at even where it is not trusted, so that the reason can be told. No
//! credential goes over such a connection.

use std::io;
use std::sync::Arc;

use airlane_client::{ClientIdentity, ConnectOptions};
use airlane_model::{Clock, SystemClock, Timestamp};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::findings::{Findings, Patience};
use super::wire::{self, Io, Route, Spoken};
use crate::output::human;

/// A certificate that ends sooner is told of.
const ENDS_SOON_SECONDS: i64 = 3 * 24 * 60 * 60;

/// Does the handshake and judges what the server shows. Answers whether it is trusted.
pub(super) async fn examine(
    route: &Route,
    host: &str,
    options: &ConnectOptions,
    patience: Patience,
    findings: &mut Findings,
) -> Option<bool> {
    let shown = Arc::new(Shown::default());
    let Ok(name) = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) else {
        let message = format!("no certificate can be for `{host}`, which is neither a DNS name nor an address");
        findings.fail("certificate", message, "use another name of the server");
        return None;
    };
    let connected = match patience.wait(handshake(route, name.clone(), options, shown.clone())).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            no_tls(route, &error, patience, findings).await;
            return None;
        }
        None => {
            let hint = "this is another service, or one that is stuck";
            let message =
                format!("the server says nothing to a handshake of TLS within {}", human::duration(patience.each));
            findings.fail("protocol", message, hint);
            return None;
        }
    };
    let session = connected.get_ref().1;
    let version = if session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_2) { "1.2" } else { "1.3" };
    findings.ok("protocol", format!("TLS {version}"));
    let is_trusted = certificate(&shown.chain.lock(), &name, options, findings);
    match session.alpn_protocol() {
        Some(b"h2") => findings.ok("http2", "agreed on by ALPN"),
        _ => {
            let hint =
                "the proxy in front of the server has to offer HTTP/2 (`h2`); deploy/ has configurations that do";
            findings.fail("http2", "the server does not offer HTTP/2 by ALPN, which gRPC needs", hint);
            return None;
        }
    }
    Some(is_trusted)
}

async fn no_tls(route: &Route, error: &io::Error, patience: Patience, findings: &mut Findings) {
    let is_plain = matches!(wire::spoken(route, patience).await, Spoken::Http2 | Spoken::Http1);
    if is_plain {
        let hint = "write grpc:// instead of grpc+tls://; is a proxy in front that should speak TLS?";
        return findings.fail("protocol", "the server speaks no TLS, and the address says that it does", hint);
    }
    findings.fail(
        "protocol",
        format!("the handshake of TLS fails: {error}"),
        "look at the port, and at the server's log",
    );
}

/// Whether a server does as much of a handshake as shows that it speaks TLS.
pub(super) async fn answers_tls(route: &Route, patience: Patience) -> bool {
    let shown = Arc::new(Shown::default());
    let Ok(name) = ServerName::try_from("localhost") else { return false };
    let options = ConnectOptions::default();
    let tried = handshake(route, name, &options, shown.clone());
    patience.wait(tried).await.is_some_and(|tried| tried.is_ok()) || !shown.chain.lock().is_empty()
}

/// A connection by TLS whose certificate nobody has judged.
pub(super) async fn handshake(
    route: &Route,
    name: ServerName<'static>,
    options: &ConnectOptions,
    shown: Arc<Shown>,
) -> io::Result<TlsStream<Box<dyn Io>>> {
    let config = config(shown, options.identity.as_ref()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, route.connect().await?).await
}

fn config(
    shown: Arc<Shown>,
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(shown);
    let mut config = match identity {
        Some(identity) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&identity.certificate).collect();
            builder.with_client_auth_cert(chain?, PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Judges a chain as a client would. Answers whether it is trusted.
fn certificate(
    chain: &[CertificateDer<'static>],
    name: &ServerName<'_>,
    options: &ConnectOptions,
    findings: &mut Findings,
) -> bool {
    const CHECK: &str = "certificate";
    let Some((leaf, intermediates)) = chain.split_first() else {
        findings.fail(CHECK, "the server shows no certificate", "look at the server's log");
        return false;
    };
    let verifier = match verifier(options) {
        Ok(verifier) => verifier,
        Err(reason) => {
            findings.fail(CHECK, reason, "`--tls-ca` takes a file of authorities in PEM");
            return false;
        }
    };
    let now = SystemClock.now();
    let micros = u64::try_from(now.as_micros()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_micros(micros));
    let (names, until) = of(leaf);
    match verifier.verify_server_cert(leaf, intermediates, name, &[], time) {
        Ok(_) => {
            let left = until.map_or(i64::MAX, |until| (until.as_micros() - now.as_micros()) / 1_000_000);
            let until = until.map(human::moment).unwrap_or_default();
            if left < ENDS_SOON_SECONDS {
                findings.warn(
                    CHECK,
                    format!("trusted, and it ends soon: {until}"),
                    "renew it; the server takes the new file by itself",
                );
            } else {
                findings.ok(CHECK, format!("trusted, until {until}"));
            }
            true
        }
        Err(error) => {
            let (message, hint) = reason(&error, name, &names, until, options.authorities.is_some());
            findings.fail(CHECK, message, hint);
            false
        }
    }
}

fn reason(
    error: &rustls::Error,
    name: &ServerName<'_>,
    names: &[String],
    until: Option<Timestamp>,
    own: bool,
) -> (String, &'static str) {
    let until = until.map(human::moment).unwrap_or_default();
    let rustls::Error::InvalidCertificate(error) = error else {
        return (format!("it cannot be verified: {error}"), "look at the server's certificate");
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (format!("it has expired: it was good until {until}"), "renew it; the server takes the new file by itself")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("it is not good yet".into(), "is the clock of this machine right?")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("it is not for `{}`, but for {}", name.to_str(), names.join(", ")),
            "use one of its names in the address, or have one made for this name (`--tls-names` with `--tls auto`)",
        ),
        // A signature that does not fit is of an authority of the same name: one that was made anew.
        CertificateError::UnknownIssuer | CertificateError::BadSignature if own => (
            "none of the authorities of `--tls-ca` has signed it".into(),
            "name the file of the authority that has; with `--tls auto` it is tls/authority.pem in the server's data folder",
        ),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "no authority that this system trusts has signed it".into(),
            "name the file of its authority with `--tls-ca`; with `--tls auto` it is tls/authority.pem in the server's data folder",
        ),
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "it is that of an authority, and a server's may not be one".into(),
            "have the authority sign one for the server, or make one that is none (openssl: basicConstraints=CA:FALSE)",
        ),
        other => (format!("it is not trusted: {other}"), "look at the server's certificate"),
    }
}

fn verifier(options: &ConnectOptions) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    match &options.authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| "the file of authorities is no PEM".to_owned())?;
                roots.add(certificate).map_err(|error| format!("an authority cannot be used: {error}"))?;
            }
        }
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    built.map_err(|error| format!("there are no authorities to trust: {error}"))
}

/// The names and the end of a certificate.
fn of(certificate: &CertificateDer<'_>) -> (Vec<String>, Option<Timestamp>) {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return (Vec::new(), None) };
    let names = parsed.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    let names = names.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).escape_debug().to_string()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    });
    let until = Timestamp::from_micros(parsed.validity().not_after.timestamp().saturating_mul(1_000_000));
    (names.collect(), Some(until))
}

/// Keeps what a server shows, and judges nothing.
#[derive(Debug, Default)]
pub(super) struct Shown {
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(leaf).chain(intermediates).map(|certificate| certificate.clone().into_owned());
        *self.chain.lock() = chain.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
