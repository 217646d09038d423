//! What a request says about who sends it: the header `authorization`.
//!
//! Nothing of the header stands in an error: whoever forgets the scheme has the secret in its place.

use airlane_model::{Error, Result, Secret, codes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};

/// The header in bytes, also for HTTP/1, where nothing else bounds one header.
const HEADER_BYTES_MAX: usize = 8 << 10;
/// A user's name in bytes, more than any that is known.
const USER_BYTES_MAX: usize = 128;
/// A password in bytes: hashing takes its time from elsewhere, but no longer ones are sent by people.
const PASSWORD_BYTES_MAX: usize = 1 << 10;

/// The credentials of a request.
#[derive(Debug)]
pub(crate) enum Credential {
    /// There are none.
    None,
    /// A token.
    Bearer(Secret),
    /// A user and the password.
    Basic { user: String, password: Secret },
}

impl Credential {
    /// Takes the header apart (RFC 6750, RFC 7617).
    ///
    /// # Errors
    /// `credentials_refused` for another form.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(Self::None) };
        if values.next().is_some() {
            return Err(malformed("a request has more than one `authorization`"));
        }
        parse(value)
    }
}

fn parse(value: &HeaderValue) -> Result<Credential> {
    if value.len() > HEADER_BYTES_MAX {
        return Err(malformed("credentials are longer than 8 KiB"));
    }
    let text = value.to_str().map_err(|_| malformed("credentials are no printable ASCII"))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim_start_matches(' ');
    if rest.is_empty() {
        return Err(malformed("credentials have no scheme, or nothing after it"));
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Credential::Bearer(Secret::new(rest)));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return basic(rest);
    }
    Err(malformed("credentials are of a scheme that is not taken"))
}

fn basic(encoded: &str) -> Result<Credential> {
    let invalid = || malformed("credentials of the scheme Basic are not `user:password` in base64");
    let decoded = STANDARD.decode(encoded).map_err(|_| invalid())?;
    // The bytes go on in the text, or are overwritten with it.
    let text = Secret::new(String::from_utf8(decoded).map_err(|_| invalid())?);
    let (user, password) = text.expose().split_once(':').ok_or_else(invalid)?;
    if user.is_empty() || user.len() > USER_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        return Err(malformed("a user has 1 to 128 bytes, a password at most 1024"));
    }
    Ok(Credential::Basic { user: user.to_owned(), password: Secret::new(password) })
}

fn malformed(message: &str) -> Error {
    Error::new(codes::CREDENTIALS_REFUSED, message)
        .at("header `authorization`")
        .hint("send `Bearer` and a token, or `Basic` and `user:password` in base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(values: &[&[u8]]) -> Result<Credential> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        }
        Credential::of(&headers)
    }

    #[test]
    fn reads_both_schemes() {
        assert!(matches!(parsed(&[]), Ok(Credential::None)));
        for text in ["Bearer t0ken", "bearer  t0ken", "BEARER t0ken"] {
            let Ok(Credential::Bearer(token)) = parsed(&[text.as_bytes()]) else { panic!("{text}") };
            assert_eq!(token.expose(), "t0ken");
        }
        // ada:pass:word
        let Ok(Credential::Basic { user, password }) = parsed(&[b"Basic YWRhOnBhc3M6d29yZA=="]) else {
            panic!("no Basic");
        };
        assert_eq!((&user[..], password.expose()), ("ada", "pass:word"));
    }

    #[test]
    fn s2_s6_other_forms_are_refused_and_never_quoted() {
        let long = format!("Bearer {}canary", "x".repeat(HEADER_BYTES_MAX));
        let long_user = format!("Basic {}", STANDARD.encode(format!("{}canary:x", "u".repeat(USER_BYTES_MAX))));
        let long_password = format!("Basic {}", STANDARD.encode(format!("u:{}canary", "x".repeat(PASSWORD_BYTES_MAX))));
        let no_colon = format!("Basic {}", STANDARD.encode("canary"));
        let no_user = format!("Basic {}", STANDARD.encode(":canary"));
        for values in [
            &[&b""[..]][..],
            &[b"canary"],
            &[b"Bearer"],
            &[b"Bearer "],
            &[b"Digest canary"],
            &[b"Basic canary!"],
            &[b"Basic canary"],
            &[b"Basic /w=="],
            &[b"Bearer canary\xff"],
            &[b"Bearer canary", b"Bearer canary"],
            &[long.as_bytes()],
            &[long_user.as_bytes()],
            &[long_password.as_bytes()],
            &[no_colon.as_bytes()],
            &[no_user.as_bytes()],
        ] {
            let error = parsed(values).expect_err("another form");
            assert_eq!(error.code(), codes::CREDENTIALS_REFUSED, "{values:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
