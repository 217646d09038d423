//! Content codings: what a body is packed with, and what an answer is to be packed with (RFC 9110, sections 8.4 and 12.5.3).

use airlane_format::{Format, Packing};
use airlane_model::{Error, Result, codes};
use axum::http::{HeaderMap, header};

use crate::media::weighed;

/// What a request with another coding is told to send.
pub(crate) const ACCEPTED: &str = "gzip, zstd";

/// What a body says it is packed with.
///
/// # Errors
/// `encoding_unsupported` for codings that are not undone here, and for more than one.
pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Packing>> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| unsupported("the coding is no text"))?;
        let codings = text.split(',').map(str::trim);
        for coding in codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity")) {
            if found.is_some() {
                return Err(unsupported("the body has more than one coding"));
            }
            let packing = Packing::of_coding(coding);
            found =
                Some(packing.ok_or_else(|| unsupported(&format!("there is no coding `{}`", coding.escape_debug())))?);
        }
    }
    Ok(found)
}

/// Refuses a coding where there can be none.
///
/// # Errors
/// `encoding_unsupported`.
pub(crate) fn refuse(headers: &HeaderMap, what: &str, hint: &str) -> Result<()> {
    match of_body(headers)? {
        None => Ok(()),
        Some(_) => Err(unsupported(&format!("{what} has no coding")).hint(hint)),
    }
}

fn unsupported(message: &str) -> Error {
    Error::new(codes::ENCODING_UNSUPPORTED, message)
        .at("header `content-encoding`")
        .hint("send the body as it is, or packed once with gzip or zstd")
}

/// What an answer is packed with: text, with what `Accept-Encoding` likes best. Arrow and Parquet have packings of their own.
pub(crate) fn of_answer(headers: &HeaderMap, format: Format) -> Option<Packing> {
    if !format.is_text() {
        return None;
    }
    let liked = |packing: Packing| {
        let mut any = None;
        for value in headers.get_all(header::ACCEPT_ENCODING) {
            for (coding, weight) in value.to_str().unwrap_or_default().split(',').map(weighed) {
                match coding {
                    "*" => any = Some(weight),
                    coding if Packing::of_coding(coding) == Some(packing) => return weight,
                    _ => {}
                }
            }
        }
        any.unwrap_or(0.0)
    };
    // Where both are liked as well, the one that is quicker.
    let both = [Packing::Zstd, Packing::Gzip].map(|packing| (packing, liked(packing)));
    let [(zstd, zstd_weight), (gzip, gzip_weight)] = both;
    match (zstd_weight, gzip_weight) {
        (zstd_weight, gzip_weight) if zstd_weight > 0.0 && zstd_weight >= gzip_weight => Some(zstd),
        (_, gzip_weight) if gzip_weight > 0.0 => Some(gzip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_body_has_one_coding_at_most() {
        let of = |text: &'static str| {
            of_body(&HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(text))]))
        };
        for (text, packing) in [
            ("gzip", Some(Packing::Gzip)),
            ("X-GZIP", Some(Packing::Gzip)),
            ("zstd, identity", Some(Packing::Zstd)),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(of(text).expect(text), packing, "{text}");
        }
        for text in ["br", "gzip, gzip", "zstd,gzip", "gzip;q=1"] {
            assert_eq!(of(text).expect_err(text).code(), codes::ENCODING_UNSUPPORTED, "{text}");
        }
        assert_eq!(of_body(&HeaderMap::new()).expect("none"), None);
    }

    #[test]
    fn an_answer_of_text_is_packed_as_its_reader_likes() {
        let of = |text: &'static str, format| {
            of_answer(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]), format)
        };
        for (text, packing) in [
            ("gzip", Some(Packing::Gzip)),
            ("gzip, deflate, br, zstd", Some(Packing::Zstd)),
            ("zstd;q=0.5, gzip;q=0.8", Some(Packing::Gzip)),
            ("gzip;q=0, *", Some(Packing::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Packing::Gzip)),
            ("identity, br", None),
            ("gzip;q=0", None),
            ("", None),
        ] {
            for format in [Format::Csv, Format::Ndjson, Format::Json] {
                assert_eq!(of(text, format), packing, "{text}");
            }
            for format in [Format::Parquet, Format::ArrowFile, Format::ArrowStream] {
                assert_eq!(of(text, format), None, "{text}");
            }
        }
        assert_eq!(of_answer(&HeaderMap::new(), Format::Csv), None);
    }
}
