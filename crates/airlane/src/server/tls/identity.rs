//! What stands in a certificate about whose it is. The handshake has verified it before; here it is only read.

use airlane_gate::{Identity, Shown};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// What the certificates that a client has shown say of it.
pub(super) fn shown(certificates: Option<&[CertificateDer<'_>]>) -> Shown {
    match certificates.and_then(<[_]>::first) {
        Some(certificate) => Shown::Certificate(identities(certificate).into()),
        None => Shown::Nothing,
    }
}

/// The URIs and DNS names among the subject alternative names. A certificate that cannot be read has none, and the name
/// of its subject is never one.
fn identities(certificate: &CertificateDer<'_>) -> Vec<Identity> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let identities = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(Identity::Uri((*uri).to_owned())),
        GeneralName::DNSName(name) => Some(Identity::Dns((*name).to_owned())),
        _ => None,
    });
    identities.collect()
}

/// Whether a certificate says in so many words that it is for clients. The absence of uses means any to the verifier.
pub(super) fn is_for_clients(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| {
        parsed.extended_key_usage().is_ok_and(|uses| uses.is_some_and(|uses| uses.value.client_auth))
    })
}
