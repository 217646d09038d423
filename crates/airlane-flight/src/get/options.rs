//! What a get is asked for beside its ticket, as request headers say it.

use airlane_model::{Error, Result, codes};
use airlane_segment::Codec;
use http::{HeaderMap, HeaderValue};

use crate::options::PREFIX;

const COMPRESSION: &str = "airlane-compression";
const TYPES: &str = "airlane-types";

/// The options of a get; what is absent takes the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GetOptions {
    /// How the buffers of the messages are compressed; not at all by default.
    pub(crate) codec: Option<Codec>,
    /// Whether the reader wants types that every reader knows instead of the table's own.
    pub(crate) is_plain: bool,
}

impl GetOptions {
    /// The options in the headers `airlane-compression` and `airlane-types`.
    ///
    /// # Errors
    /// `option_invalid` for other headers that begin with `airlane-`, and for unknown or contradicting values.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self> {
        let is_other = |name: &str| name.starts_with(PREFIX) && ![COMPRESSION, TYPES].contains(&name);
        if let Some(name) = headers.keys().find(|name| is_other(name.as_str())) {
            return Err(Error::new(codes::OPTION_INVALID, format!("a get has no header `{name}`"))
                .hint("valid headers of a get: airlane-compression, airlane-types"));
        }
        let codec = option(headers, COMPRESSION, |text| match text {
            b"none" => Ok(None),
            b"lz4" => Ok(Some(Codec::Lz4Frame)),
            b"zstd" => Ok(Some(Codec::Zstd)),
            _ => Err("valid compressions: lz4, zstd, none"),
        })?;
        Ok(Self { codec: codec.flatten(), is_plain: asks_plain_types(headers)? })
    }
}

/// Whether a request asks for types that every reader knows, which infos and schemas tell of, too.
///
/// # Errors
/// `option_invalid` for unknown or contradicting values.
pub(crate) fn asks_plain_types(headers: &HeaderMap) -> Result<bool> {
    let is_plain = option(headers, TYPES, |text| match text {
        b"plain" => Ok(true),
        b"own" => Ok(false),
        _ => Err("valid types: plain, own"),
    })?;
    Ok(is_plain.unwrap_or(false))
}

/// The value of a header, which may stand several times but must say the same. What is no value is answered a hint.
fn option<T: Copy + PartialEq>(
    headers: &HeaderMap,
    name: &str,
    parse: impl Fn(&[u8]) -> std::result::Result<T, &'static str>,
) -> Result<Option<T>> {
    let invalid = |message: String, hint: &str| {
        Error::new(codes::OPTION_INVALID, message).at(format!("header `{name}`")).hint(hint)
    };
    let mut found = None;
    for value in headers.get_all(name) {
        let parse = |value: &HeaderValue| parse(value.as_bytes());
        let parsed = parse(value).map_err(|hint| invalid(format!("there is no such value: {value:?}"), hint))?;
        if found.is_some_and(|found| found != parsed) {
            return Err(invalid("a get asks for two values of one option".to_owned(), "say it once"));
        }
        found = Some(parsed);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn parse(pairs: &[(&'static str, &'static [u8])]) -> Result<GetOptions> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_bytes(value).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        GetOptions::from_headers(&headers)
    }

    #[test]
    fn reads_the_headers() {
        for (value, codec) in [(&b"lz4"[..], Some(Codec::Lz4Frame)), (b"zstd", Some(Codec::Zstd)), (b"none", None)] {
            let headers = [("user-agent", &b"x"[..]), ("airlane-compression", value), ("airlane-compression", value)];
            assert_eq!(parse(&headers).expect("valid"), GetOptions { codec, is_plain: false });
        }
        for (value, is_plain) in [(&b"plain"[..], true), (b"own", false)] {
            assert_eq!(parse(&[("airlane-types", value)]).expect("valid"), GetOptions { codec: None, is_plain });
        }
        assert_eq!(parse(&[]).expect("valid"), GetOptions::default());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for headers in [
            &[("airlane-compression", &b"gzip"[..])][..],
            &[("airlane-compression", b"")],
            &[("airlane-compression", b"LZ4")],
            &[("airlane-compression", b"lz4 ")],
            &[("airlane-compression", b"\xff")],
            &[("airlane-compresion", b"lz4")],
            &[("airlane-types", b"old")],
            &[("airlane-mode", b"append")],
            &[("airlane-compression", b"lz4"), ("airlane-compression", b"none")],
            &[("airlane-types", b"plain"), ("airlane-types", b"own")],
        ] {
            let error = parse(headers).expect_err("unknown");
            assert_eq!(error.code(), codes::OPTION_INVALID, "{headers:?}");
            assert!(error.hint_text().is_some(), "{error}");
        }
    }
}
