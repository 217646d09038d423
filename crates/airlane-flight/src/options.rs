//! What a put is asked to do, as request headers say it.

use airlane_exchange::words::PutOptions;
use airlane_gate::{OWN_PREFIX, header_text};
use airlane_model::{Error, Result, codes};
use http::HeaderMap;

/// The options in the headers `airlane-mode`, `airlane-durability`, `airlane-idempotency-key` and those of the rules of retention,
/// such as `airlane-ttl`.
///
/// # Errors
/// `option_invalid` for other headers that begin with `airlane-`, and for unknown or contradicting values; `not_implemented` for the
/// durability `replicated`.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<PutOptions> {
    let mut options = PutOptions::default();
    for (name, value) in headers {
        let Some(option) = name.as_str().strip_prefix(OWN_PREFIX) else { continue };
        let text = header_text(name, value)?;
        let found = PutOptions::of(option, text).map_err(|error| error.at(format!("header `{name}`")))?;
        let found = found.ok_or_else(|| {
            let valid: Vec<String> = PutOptions::names().map(|name| format!("{OWN_PREFIX}{name}")).collect();
            Error::new(codes::OPTION_INVALID, format!("there is no header `{name}`"))
                .hint(format!("valid headers: {}", valid.join(", ")))
        })?;
        options = options.join(found)?;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use airlane_model::{Durability, PutMode, RetentionChange};
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn parse(pairs: &[(&'static str, &'static [u8])]) -> Result<PutOptions> {
        let pair = |(name, value): &(&'static str, &'static [u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a header value"))
        };
        let mut headers = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| _ = headers.append(name, value));
        of_headers(&headers)
    }

    #[test]
    fn reads_the_headers() {
        let headers: &[(_, &[u8])] = &[
            ("user-agent", b"x"),
            ("airlane-mode", b"append"),
            ("airlane-mode", b"append"),
            ("airlane-durability", b"ephemeral"),
            ("airlane-ttl", b"1h"),
            ("airlane-pinned", b"true"),
            ("airlane-idempotency-key", b"a run 7"),
        ];
        let retention = RetentionChange::of("ttl", "1h").expect("a rule");
        let retention = retention.join(RetentionChange::of("pinned", "true").expect("a rule")).expect("two rules");
        let expected = PutOptions {
            mode: Some(PutMode::Append),
            durability: Some(Durability::Ephemeral),
            retention,
            key: Some("a run 7".parse().expect("a key")),
            ticket: None,
        };
        assert_eq!(parse(headers).expect("valid"), expected);
        assert_eq!(parse(&[]).expect("valid"), PutOptions::default());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for headers in [
            &[("airlane-mode", &b"upsert"[..])][..],
            &[("airlane-mode", b"")],
            &[("airlane-mode", b"\xff")],
            &[("airlane-durability", b"forever")],
            &[("airlane-durabilty", b"ephemeral")],
            &[("airlane-ttl", b"soon")],
            &[("airlane-ttl", b"1h"), ("airlane-ttl", b"2h")],
            &[("airlane-tll", b"1h")],
            &[("airlane-reads", b"0")],
            &[("airlane-mode", b"append"), ("airlane-mode", b"replace")],
            &[("airlane-idempotency-key", b"")],
            &[("airlane-idempotency-key", b"a\tb")],
            &[("airlane-idempotency-key", b"\xc3\xa9")],
            &[("airlane-idempotency-key", &[b'k'; 256])],
            &[("airlane-idempotency-key", &[b'k'; 10_000])],
            &[("airlane-idempotency-key", b"a"), ("airlane-idempotency-key", b"b")],
            &[("airlane-idempotency", b"a")],
        ] {
            let error = parse(headers).expect_err("unknown");
            assert_eq!(error.code(), codes::OPTION_INVALID, "{headers:?}");
            assert!(error.place().is_some() || error.hint_text().is_some(), "{error}");
        }
        let later = parse(&[("airlane-durability", b"replicated")]).expect_err("later");
        assert_eq!(later.code(), codes::NOT_IMPLEMENTED);
        let window = parse(&[("airlane-window", b"1h")]).expect("a rule").retention;
        assert_eq!(window, RetentionChange::of("window", "1h").expect("a rule"));
    }
}
