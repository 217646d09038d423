//! Which certificates clients may show: authorities and revocations from files.

use std::path::PathBuf;
use std::sync::Arc;

use airlane_model::Result;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::{bytes, certificates, identity, invalid};

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// No.
    Off,
    /// Yes, and those without one may send other credentials.
    Optional,
    /// Yes, and nobody connects without one.
    Required,
}

/// Whose certificates clients may show.
#[derive(Clone, Debug)]
pub struct ClientAuthorities {
    /// The authorities, in PEM: of certificates of clients, not of servers.
    pub authorities: PathBuf,
    /// Lists of revoked certificates, in PEM: one of each authority. Absent: nothing is revoked.
    pub revocations: Option<PathBuf>,
    /// Whether clients are asked.
    pub asked: ClientCertificates,
}

impl ClientAuthorities {
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [Some(self.authorities.clone()), self.revocations.clone()].into_iter().flatten().collect()
    }

    /// Reads the files for the first time.
    ///
    /// # Errors
    /// `file_failed`; `config_invalid` for files that do not hold what they should.
    pub(super) fn read(&self) -> Result<Arc<dyn ClientCertVerifier>> {
        let revocations = self.read_revocations()?;
        self.verifier(revocations)
    }

    /// Reads the files again. Authorities that cannot be used leave the ones from before; without the list of the
    /// revoked, no certificate is taken until it can be read, since it may be a revoked one.
    pub(super) fn read_again(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        let path = self.authorities.display();
        let revocations = match self.read_revocations() {
            Ok(revocations) => revocations,
            Err(error) => {
                let reason = error.to_string().replace('\n', ", ");
                tracing::error!("no certificate of a client is taken until the revocations can be read: {reason}");
                return Some(Arc::new(Clients { inner: None, is_mandatory: self.is_mandatory() }));
            }
        };
        match self.verifier(revocations) {
            Ok(verifier) => {
                tracing::info!(%path, "the authorities of clients were read again");
                Some(verifier)
            }
            Err(error) => {
                let reason = error.to_string().replace('\n', ", ");
                tracing::error!("the authorities of clients are not taken, those from before go on: {reason}");
                None
            }
        }
    }

    fn is_mandatory(&self) -> bool {
        self.asked == ClientCertificates::Required
    }

    fn read_revocations(&self) -> Result<Vec<CertificateRevocationListDer<'static>>> {
        let Some(path) = &self.revocations else { return Ok(Vec::new()) };
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes(path)?).collect();
        let lists = lists.map_err(|_| invalid(path, "the file is no PEM"))?;
        if lists.is_empty() {
            return Err(invalid(path, "the file holds no list of revoked certificates"));
        }
        for list in &lists {
            let parsed = webpki::OwnedCertRevocationList::from_der(list);
            parsed.map_err(|error| invalid(path, format!("a list of revoked certificates cannot be used: {error}")))?;
        }
        Ok(lists)
    }

    fn verifier(&self, revocations: Vec<CertificateRevocationListDer<'static>>) -> Result<Arc<dyn ClientCertVerifier>> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authorities)? {
            let added = roots.add(certificate);
            added.map_err(|error| invalid(&self.authorities, format!("a certificate is of no authority: {error}")))?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        // A list that is out of date may lack whoever was revoked since.
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(revocations)
            .enforce_revocation_expiration();
        if !self.is_mandatory() {
            builder = builder.allow_unauthenticated();
        }
        let inner = builder.build().map_err(|error| {
            invalid(&self.authorities, format!("clients cannot be verified: {error}")).source(error)
        })?;
        Ok(Arc::new(Clients { inner: Some(inner), is_mandatory: self.is_mandatory() }))
    }
}

/// Verifies as webpki does, and asks that a certificate is for clients. Without an inner verifier it takes none.
#[derive(Debug)]
struct Clients {
    inner: Option<Arc<dyn ClientCertVerifier>>,
    is_mandatory: bool,
}

impl Clients {
    fn inner(&self) -> Result<&Arc<dyn ClientCertVerifier>, rustls::Error> {
        self.inner.as_ref().ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownRevocationStatus))
    }
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.as_ref().map(|inner| inner.root_hint_subjects()).unwrap_or_default()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner()?.verify_client_cert(end_entity, intermediates, now)?;
        if !identity::is_for_clients(end_entity) {
            return Err(rustls::Error::InvalidCertificate(CertificateError::InvalidPurpose));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match &self.inner {
            Some(inner) => inner.supported_verify_schemes(),
            None => aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes(),
        }
    }
}
