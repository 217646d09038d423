//! What the commands show to the server about who runs them.

use std::path::Path;

use airlane_client::{ClientIdentity, Credentials};
use airlane_model::{Error, Result, Secret, codes};

use crate::config::{ClientSettings, Environment};

/// The variable that holds a password: there is no flag for it, since every process of a machine sees those of others.
const PASSWORD: &str = "AIRLANE_PASSWORD";

/// The credentials of the settings.
///
/// # Errors
/// `config_invalid` for a user without a password, or beside a token.
pub(super) fn of(settings: &ClientSettings, environment: &Environment) -> Result<Credentials> {
    match (&settings.token, &settings.user) {
        (None, None) => Ok(Credentials::None),
        (Some(token), None) => Ok(Credentials::Token(token.clone())),
        (Some(_), Some(_)) => Err(Error::new(codes::CONFIG_INVALID, "there is a token, and a user as well")
            .at("settings `token` and `user`")
            .hint("give one of them; `AIRLANE_TOKEN=` counts as none")),
        (None, Some(user)) => {
            let password = environment.get(PASSWORD).ok_or_else(|| {
                Error::new(codes::CONFIG_INVALID, format!("the user `{}` has no password", user.escape_debug()))
                    .at("setting `user`")
                    .hint(format!("put it into the variable {PASSWORD}"))
            })?;
            Ok(Credentials::Password { user: user.clone(), password: Secret::new(password) })
        }
    }
}

/// The authorities of a file. It is read before anything is connected, so that a wrong path is told as one.
///
/// # Errors
/// `file_failed`.
pub(super) fn authorities(path: &Path) -> Result<Vec<u8>> {
    read(path, "the authorities")
}

/// The certificate that the settings name.
///
/// # Errors
/// `config_invalid` for a certificate without a key, or a key without one; `file_failed`.
pub(super) fn identity(settings: &ClientSettings) -> Result<Option<ClientIdentity>> {
    match (&settings.tls_client_certificate, &settings.tls_client_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let key = String::from_utf8(read(key, "the key")?)
                .map_err(|_| Error::new(codes::FILE_INVALID, "the key is no PEM").at(key.display().to_string()))?;
            Ok(Some(ClientIdentity { certificate: read(certificate, "the certificate")?, key: Secret::new(key) }))
        }
        _ => Err(Error::new(codes::CONFIG_INVALID, "a certificate and its key go together")
            .at("settings `tls_client_certificate` and `tls_client_key`")),
    }
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::new(codes::FILE_FAILED, format!("{what} cannot be read: {error}"))
            .at(path.display().to_string())
            .source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn given(variables: &[(&str, &str)]) -> Result<Credentials> {
        let environment: Environment =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { environment: environment.clone(), ..Sources::default() };
        of(&ClientSettings::resolve(&sources)?.0, &environment)
    }

    #[test]
    fn s6_a_token_or_a_user_with_a_password() {
        assert!(matches!(given(&[]), Ok(Credentials::None)));
        assert!(matches!(given(&[("AIRLANE_TOKEN", ""), (PASSWORD, "canary")]), Ok(Credentials::None)));
        assert!(matches!(given(&[("AIRLANE_TOKEN", "t")]), Ok(Credentials::Token(token)) if token.expose() == "t"));
        let Ok(Credentials::Password { user, password }) = given(&[("AIRLANE_USER", "ada"), (PASSWORD, "p")]) else {
            panic!("no user");
        };
        assert_eq!((&user[..], password.expose()), ("ada", "p"));
        for variables in [
            &[("AIRLANE_USER", "ada")][..],
            &[("AIRLANE_USER", "ada"), (PASSWORD, "")],
            &[("AIRLANE_USER", "ada"), (PASSWORD, "canary"), ("AIRLANE_TOKEN", "canary")],
        ] {
            let error = given(variables).expect_err("refused");
            assert_eq!(error.code(), codes::CONFIG_INVALID);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
