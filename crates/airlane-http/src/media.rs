//! Which format a request means, by `?format=`, `Accept` or `Content-Type`.

use airlane_format::Format;
use airlane_model::{Error, Result, codes};
use axum::http::{HeaderMap, HeaderValue, header};

/// The media type of a format.
pub(crate) fn type_of(format: Format) -> HeaderValue {
    HeaderValue::from_static(format.media_types()[0])
}

fn formats() -> impl Iterator<Item = Format> {
    Format::TABLE.into_iter().map(|row| row.0)
}

/// All media types of files, those that answers have first.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let others = formats().flat_map(|format| format.media_types().iter().skip(1).copied());
    names_of_answers().chain(others)
}

/// Those that answers have.
pub(crate) fn names_of_answers() -> impl Iterator<Item = &'static str> {
    formats().map(|format| format.media_types()[0])
}

/// The format of an answer: what `?format=` says, else what `Accept` likes best of what there is, else an Arrow stream.
///
/// # Errors
/// `option_invalid` for an unknown name, and where nothing is accepted that there is.
pub(crate) fn of_answer(named: Option<&str>, headers: &HeaderMap) -> Result<Format> {
    if let Some(name) = named {
        return Format::parse(name);
    }
    let mut best: Option<(f32, Format)> = None;
    let mut is_asked = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        for range in text.split(',') {
            is_asked = true;
            let (media, weight) = weighed(range);
            let format = match media {
                "*/*" | "application/*" => Some(Format::ArrowStream),
                "text/*" => Some(Format::Csv),
                media => Format::of_media_type(media),
            };
            if let Some(format) = format
                && weight > 0.0
                && best.is_none_or(|(most, _)| weight > most)
            {
                best = Some((weight, format));
            }
        }
    }
    match best {
        Some((_, format)) => Ok(format),
        None if is_asked => {
            let names: Vec<&str> = names().collect();
            Err(Error::new(codes::OPTION_INVALID, "nothing of what `Accept` names can be sent")
                .at("header `accept`")
                .hint(format!("there are {}", names.join(", "))))
        }
        None => Ok(Format::ArrowStream),
    }
}

/// The format of a body: what `?format=` says, else its `Content-Type`; by its bytes where neither tells.
///
/// # Errors
/// `option_invalid` for an unknown name.
pub(crate) fn of_body(named: Option<&str>, headers: &HeaderMap) -> Result<Option<Format>> {
    if let Some(name) = named {
        return Format::parse(name).map(Some);
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Ok(content_type.and_then(|text| Format::of_media_type(weighed(text).0)))
}

/// A media range without its parameters, or a content coding, and how much it is liked (RFC 9110, section 12.4.2).
pub(crate) fn weighed(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse().ok());
    (media, weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(text))])
    }

    #[test]
    fn an_answer_is_what_the_reader_likes_best() {
        for (accept, format) in [
            ("*/*", Format::ArrowStream),
            ("text/csv", Format::Csv),
            ("TEXT/CSV; charset=utf-8", Format::Csv),
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", Format::ArrowStream),
            ("application/json", Format::Json),
            ("text/csv;q=0.1, application/x-ndjson;q=0.5", Format::Ndjson),
            ("application/vnd.apache.parquet;q=0, text/csv;q=0.2", Format::Csv),
        ] {
            assert_eq!(of_answer(None, &accepting(accept)).expect(accept), format, "{accept}");
            assert_eq!(of_answer(Some("parquet"), &accepting(accept)).expect("named"), Format::Parquet);
        }
        assert_eq!(of_answer(None, &HeaderMap::new()).expect("a default"), Format::ArrowStream);
        let refused = of_answer(None, &accepting("image/png")).expect_err("no picture");
        assert_eq!(refused.code(), codes::OPTION_INVALID);
        assert_eq!(of_answer(Some("xls"), &HeaderMap::new()).expect_err("unknown").code(), codes::OPTION_INVALID);
    }

    #[test]
    fn a_body_is_what_it_says() {
        let typed = |text: &'static str| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]);
        assert_eq!(of_body(None, &typed("text/csv; charset=utf-8")).expect("known"), Some(Format::Csv));
        for packed in ["application/gzip", "application/zstd"] {
            assert_eq!(of_body(None, &typed(packed)).expect("by its bytes"), None);
        }
        assert_eq!(of_body(None, &typed("application/octet-stream")).expect("by its bytes"), None);
        assert_eq!(of_body(None, &HeaderMap::new()).expect("by its bytes"), None);
        assert_eq!(of_body(Some("ndjson"), &typed("text/csv")).expect("named"), Some(Format::Ndjson));
    }
}
