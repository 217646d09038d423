//! The time that a caller gives, as the header `grpc-timeout` says it.

use std::time::Duration;

use airlane_model::{Error, Result, codes};
use http::HeaderMap;

/// The timeout of a request, if it has one.
///
/// The form is at most 8 digits and a unit: `100m` is 100 milliseconds (gRPC over HTTP/2, "Requests").
///
/// # Errors
/// `option_invalid` for another form.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    match parse(value.as_bytes()) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Error::new(codes::OPTION_INVALID, format!("{value:?} is no timeout"))
            .at("header `grpc-timeout`")
            .hint("write at most 8 digits and one of the units H, M, S, m, u, n")),
    }
}

/// What a request whose time is over is answered.
pub(crate) fn exceeded(timeout: Duration) -> Error {
    Error::new(codes::DEADLINE_EXCEEDED, format!("the {timeout:?} that the caller gave are over"))
}

fn parse(text: &[u8]) -> Option<Duration> {
    const DIGITS_MAX: usize = 8;
    let (unit, digits) = text.split_last()?;
    if digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parsed(text: &'static str) -> Result<Option<Duration>> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static(text));
        timeout(&headers)
    }

    #[test]
    fn reads_every_unit() {
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("0S", Duration::ZERO),
        ] {
            assert_eq!(parsed(text).expect(text), Some(expected));
        }
        assert_eq!(timeout(&HeaderMap::new()).expect("none"), None);
    }

    #[test]
    fn refuses_other_forms() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S"] {
            assert_eq!(parsed(text).expect_err(text).code(), codes::OPTION_INVALID);
        }
    }
}
