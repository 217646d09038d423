//! Errors as problem documents (RFC 9457).

use airlane_model::error::Code;
use airlane_model::{Error, ErrorKind, codes};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::encoding;

/// The header that names the code of an error, as the other doors have it.
const CODE: HeaderName = HeaderName::from_static("airlane-code");

/// What a request without good credentials is told to send (RFC 9110, section 11.6.1).
const CHALLENGES: [HeaderValue; 2] = [
    HeaderValue::from_static("Bearer realm=\"airlane\""),
    HeaderValue::from_static("Basic realm=\"airlane\", charset=\"UTF-8\""),
];

/// The answer to a request that is refused before a route is looked for.
pub fn refusal(error: &Error) -> Response {
    document(error)
}

/// An error as an HTTP answer.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Error);

/// An error (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    /// The code in words.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// What is wrong.
    detail: &'a str,
    /// What programs go by.
    code: &'a str,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'a str>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        document(&self.0)
    }
}

/// The status of a code: that of its kind, but where HTTP has one that clients go by.
pub(crate) fn status_of(code: Code) -> u16 {
    match code {
        codes::ENCODING_UNSUPPORTED => StatusCode::UNSUPPORTED_MEDIA_TYPE.as_u16(),
        code => code.kind().http_status(),
    }
}

fn document(error: &Error) -> Response {
    let status = status_of(error.code());
    let title = error.code().name().replace('_', " ");
    let document = Document {
        title: &title,
        status,
        detail: error.message(),
        code: error.code().name(),
        place: error.place(),
        hint: error.hint_text(),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(document)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CODE, HeaderValue::from_static(error.code().name()));
    if let Some(time) = error.retry_after_time() {
        // Whole seconds (RFC 9110, section 10.2.3).
        headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_millis().div_ceil(1000) as u64));
    }
    if error.code() == codes::ENCODING_UNSUPPORTED {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding::ACCEPTED));
    }
    if error.kind() == ErrorKind::Unauthenticated {
        headers.extend(CHALLENGES.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    }
    response
}
