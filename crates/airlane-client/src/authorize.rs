//! What a client shows of itself with each call.

use std::task::{Context, Poll};
use std::time::Duration;

use airlane_model::{Error, Result, Secret, codes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, header};
use tonic::body::Body;
use tower::Service;

/// Who calls.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// Whoever has the token.
    Token(Secret),
    /// A user with a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

impl Credentials {
    /// The header `authorization`, which neither logs nor tables of headers keep.
    ///
    /// # Errors
    /// `option_invalid` for a token or a user that no header can carry.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>> {
        let text = match self {
            Self::None => return Ok(None),
            Self::Token(token) => Secret::new(format!("Bearer {}", token.expose())),
            Self::Password { user, .. } if user.contains(':') => {
                let message = format!("a user's name has no colon: `{}`", user.escape_debug());
                return Err(Error::new(codes::OPTION_INVALID, message));
            }
            Self::Password { user, password } => {
                let pair = Secret::new(format!("{user}:{}", password.expose()));
                Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
            }
        };
        let mut value = HeaderValue::from_str(text.expose())
            .map_err(|_| Error::new(codes::OPTION_INVALID, "a token is made of printable ASCII"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// A channel whose requests carry the header, and how long each may take.
#[derive(Clone, Debug)]
pub(crate) struct Authorized<S> {
    inner: S,
    header: Option<HeaderValue>,
    timeout: Option<HeaderValue>,
}

/// How long a call may take, for the server (`grpc-timeout`: at most eight digits and a unit).
const TIMEOUT: &str = "grpc-timeout";
const DIGITS_MAX: u128 = 99_999_999;

impl<S> Authorized<S> {
    pub(crate) fn new(inner: S, header: Option<HeaderValue>) -> Self {
        Self { inner, header, timeout: None }
    }

    /// Has each call end by then.
    pub(crate) fn within(self, deadline: Option<Duration>) -> Self {
        let text = deadline.map(|deadline| match deadline.as_millis() {
            millis if millis <= DIGITS_MAX => format!("{millis}m"),
            _ => format!("{}S", deadline.as_secs().min(DIGITS_MAX as u64)),
        });
        // Digits and a letter.
        Self { timeout: text.and_then(|text| HeaderValue::from_str(&text).ok()), ..self }
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Authorized<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(value) = &self.header {
            request.headers_mut().insert(header::AUTHORIZATION, value.clone());
        }
        if let Some(value) = &self.timeout {
            request.headers_mut().insert(TIMEOUT, value.clone());
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_headers_are_sensitive_and_errors_quote_no_secret() {
        let password = |user: &str, password: &str| Credentials::Password {
            user: user.to_owned(),
            password: Secret::new(password),
        };
        assert!(Credentials::None.header().expect("valid").is_none());
        for (credentials, expected) in [
            (Credentials::Token(Secret::new("t0ken")), "Bearer t0ken"),
            (password("ada", "pass:wörd"), "Basic YWRhOnBhc3M6d8O2cmQ="),
        ] {
            let value = credentials.header().expect("valid").expect("a header");
            assert_eq!(value, expected);
            assert!(value.is_sensitive());
        }
        for credentials in [Credentials::Token(Secret::new("canary\n")), password("a:b", "canary")] {
            let error = credentials.header().expect_err("no header");
            assert_eq!(error.code(), codes::OPTION_INVALID);
            assert!(!format!("{error:?} {credentials:?}").contains("canary"));
        }
    }
}
