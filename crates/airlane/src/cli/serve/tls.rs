//! How the settings say that TLS is spoken.

use airlane::server::{ClientAuthorities, ClientCertificates, LocalNames, TlsCertificate, TlsFiles, TlsOptions};
use airlane_model::{Error, Result, codes};

use crate::config::ServerSettings;
use crate::config::value::{HostNames, TlsMode};

/// The options of TLS; none without a certificate.
///
/// # Errors
/// `config_invalid` for settings that lack another one.
pub(super) fn options(settings: &ServerSettings) -> Result<Option<TlsOptions>> {
    let clients = clients(settings)?;
    let certificate = match (settings.tls_certificate.clone(), settings.tls_key.clone(), settings.tls) {
        (None, None, None) if clients.is_some() => return Err(lacks("tls_client_ca", "tls_certificate")),
        (None, None, None) if settings.tls_names != HostNames::default() => return Err(lacks("tls_names", "tls")),
        (None, None, None) => return Ok(None),
        (None, None, Some(TlsMode::Auto)) => TlsCertificate::Local(LocalNames { names: settings.tls_names.0.clone() }),
        (Some(certificate), Some(key), None) => TlsCertificate::Files(TlsFiles { certificate, key }),
        (_, _, Some(TlsMode::Auto)) => {
            let message = "`tls = \"auto\"` makes a certificate, and there is one by `tls_certificate` or `tls_key`";
            return Err(Error::new(codes::CONFIG_INVALID, message).hint("choose one of them"));
        }
        (Some(_), None, None) => return Err(lacks("tls_certificate", "tls_key")),
        (None, Some(_), None) => return Err(lacks("tls_key", "tls_certificate")),
    };
    Ok(Some(TlsOptions { certificate, clients }))
}

fn clients(settings: &ServerSettings) -> Result<Option<ClientAuthorities>> {
    let Some(authorities) = settings.tls_client_ca.clone() else {
        let asked = settings.tls_client_auth.filter(|asked| asked.0 != ClientCertificates::Off);
        return match (asked, &settings.tls_client_crl) {
            (Some(_), _) => Err(lacks("tls_client_auth", "tls_client_ca")),
            (None, Some(_)) => Err(lacks("tls_client_crl", "tls_client_ca")),
            (None, None) => Ok(None),
        };
    };
    let asked = settings.tls_client_auth.map_or(ClientCertificates::Optional, |asked| asked.0);
    Ok(Some(ClientAuthorities { authorities, revocations: settings.tls_client_crl.clone(), asked }))
}

fn lacks(there: &str, missing: &str) -> Error {
    let message = format!("there is `{there}`, and no `{missing}`");
    Error::new(codes::CONFIG_INVALID, message).hint("the one takes the other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn given(flags: &[(&str, &str)]) -> Result<Option<TlsOptions>> {
        let flags = flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        options(&ServerSettings::resolve(&Sources { flags, ..Sources::default() })?.0)
    }

    const FILES: [(&str, &str); 2] = [("tls_certificate", "c"), ("tls_key", "k")];

    #[test]
    fn clients_are_asked_when_there_are_authorities_or_when_it_is_said() {
        assert!(given(&[]).expect("plain").is_none());
        assert!(given(&FILES).expect("TLS").expect("TLS").clients.is_none());
        for (said, due) in [
            (None, ClientCertificates::Optional),
            (Some("off"), ClientCertificates::Off),
            (Some("optional"), ClientCertificates::Optional),
            (Some("required"), ClientCertificates::Required),
        ] {
            let mut flags = FILES.to_vec();
            flags.push(("tls_client_ca", "ca"));
            flags.extend(said.map(|said| ("tls_client_auth", said)));
            let clients = given(&flags).expect("TLS").expect("TLS").clients.expect("authorities");
            assert_eq!(clients.asked, due);
        }
    }

    #[test]
    fn an_authority_of_its_own_is_for_the_names_that_are_said() {
        let made =
            given(&[("tls", "auto"), ("tls_names", "data.example.org, 10.0.0.7,::2")]).expect("TLS").expect("TLS");
        let TlsCertificate::Local(names) = made.certificate else { panic!("files") };
        assert_eq!(names.names, ["data.example.org", "10.0.0.7", "::2"]);
    }

    #[test]
    fn half_of_tls_is_no_start() {
        for flags in [
            &FILES[..1],
            &FILES[1..],
            &[("tls_client_ca", "ca")][..],
            &[FILES[0], FILES[1], ("tls_client_auth", "required")],
            &[FILES[0], FILES[1], ("tls_client_crl", "crl")],
            &[FILES[0], FILES[1], ("tls", "auto")],
            &[FILES[1], ("tls", "auto")],
            &[("tls", "yes")],
            &[("tls_names", "data.example.org")],
            &[("tls", "auto"), ("tls_names", "a,,b")],
            &[("tls", "auto"), ("tls_names", "*.example.org")],
        ] {
            assert_eq!(given(flags).expect_err("half").code(), codes::CONFIG_INVALID, "{flags:?}");
        }
        let error = given(&[FILES[0], FILES[1], ("tls_client_ca", "ca"), ("tls_client_auth", "maybe")]);
        assert_eq!(error.expect_err("no word").code(), codes::CONFIG_INVALID);
    }
}
