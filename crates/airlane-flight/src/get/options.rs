//! What a get is asked for beside its ticket, as request headers say it.

use airlane_exchange::{ReadOptions, words};
use airlane_gate::OWN_PREFIX;
use airlane_model::{Error, Result, codes};
use airlane_segment::Codec;
use http::{HeaderMap, HeaderValue};

const COMPRESSION: &str = "airlane-compression";
const TYPES: &str = "airlane-types";
const ROW_OFFSET: &str = "airlane-row-offset";
const RESUMABLE: &str = "airlane-resumable";

const CONFIRM: &str = "airlane-confirm";

const ALL: [&str; 5] = [COMPRESSION, TYPES, ROW_OFFSET, RESUMABLE, CONFIRM];

/// The options of a get; what is absent takes the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GetOptions {
    /// How the buffers of the messages are compressed; not at all by default.
    pub(crate) codec: Option<Codec>,
    /// Whether the reader wants types that every reader knows instead of the table's own.
    pub(crate) is_plain: bool,
    /// Where in the version it begins, and whether the reader wants to be able to go on.
    pub(crate) read: ReadOptions,
}

impl GetOptions {
    /// The options in the headers `airlane-compression`, `airlane-types`, `airlane-row-offset`, `airlane-resumable` and
    /// `airlane-confirm`.
    ///
    /// # Errors
    /// `option_invalid` for other headers that begin with `airlane-`, and for unknown or contradicting values.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self> {
        let is_other = |name: &str| name.starts_with(OWN_PREFIX) && !ALL.contains(&name);
        if let Some(name) = headers.keys().find(|name| is_other(name.as_str())) {
            return Err(Error::new(codes::OPTION_INVALID, format!("a get has no header `{name}`"))
                .hint(format!("valid headers of a get: {}", ALL.join(", "))));
        }
        let codec = option(headers, COMPRESSION, words::codec)?;
        let row_offset = option(headers, ROW_OFFSET, |text| {
            let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            text.and_then(|text| text.parse::<u64>().ok()).ok_or("a row offset is a whole number")
        })?;
        let is_resumable = option(headers, RESUMABLE, |text| match text {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err("valid values: true, false"),
        })?;
        let is_to_confirm = option(headers, CONFIRM, |text| match text {
            b"explicit" => Ok(true),
            b"end" => Ok(false),
            _ => Err("valid values: explicit, end"),
        })?;
        let read = ReadOptions {
            row_offset,
            is_resumable: is_resumable.unwrap_or(false),
            is_to_confirm: is_to_confirm.unwrap_or(false),
        };
        Ok(Self { codec: codec.flatten(), is_plain: asks_plain_types(headers)?, read })
    }
}

/// Whether a request asks for types that every reader knows, which infos and schemas tell of, too.
///
/// # Errors
/// `option_invalid` for unknown or contradicting values.
pub(crate) fn asks_plain_types(headers: &HeaderMap) -> Result<bool> {
    let is_plain = option(headers, TYPES, words::is_plain)?;
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
            assert_eq!(parse(&headers).expect("valid"), GetOptions { codec, ..GetOptions::default() });
        }
        for (value, is_plain) in [(&b"plain"[..], true), (b"own", false)] {
            assert_eq!(
                parse(&[("airlane-types", value)]).expect("valid"),
                GetOptions { is_plain, ..GetOptions::default() }
            );
        }
        let read = ReadOptions { row_offset: Some(12_000_000_000), is_resumable: true, is_to_confirm: true };
        let headers = [
            ("airlane-row-offset", &b"12000000000"[..]),
            ("airlane-resumable", b"true"),
            ("airlane-confirm", b"explicit"),
        ];
        assert_eq!(parse(&headers).expect("valid"), GetOptions { read, ..GetOptions::default() });
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
            &[("airlane-row-offset", b"-1")],
            &[("airlane-row-offset", b"+1")],
            &[("airlane-row-offset", b"")],
            &[("airlane-row-offset", b"18446744073709551616")],
            &[("airlane-resumable", b"yes")],
            &[("airlane-confirm", b"true")],
            &[("airlane-confirm", b"explicit"), ("airlane-confirm", b"end")],
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
