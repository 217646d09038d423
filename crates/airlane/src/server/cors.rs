//! Pages of other origins that may read what the server answers: cross-origin resource sharing, as browsers go by it
//! (Fetch Standard, "HTTP CORS protocol").
//!
//! ```text
//! OPTIONS  ─▶ here ─▶ what a page may ask for       a preflight shows no credentials, so that the gate never sees it
//! others   ─▶ here ─▶ gate ─▶ door ─▶ here ─▶ who may read the answer, also that of a refusal
//! ```

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may remember what a preflight was answered.
const MAX_AGE: Duration = Duration::from_secs(3_600);

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];

/// What pages may read of the head of an answer, beside what they always may.
const EXPOSED: [HeaderName; 17] = [
    header::ETAG,
    header::LOCATION,
    header::CONTENT_LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("airlane-code"),
    HeaderName::from_static("airlane-table-id"),
    HeaderName::from_static("airlane-version"),
    HeaderName::from_static("airlane-rows"),
    HeaderName::from_static("airlane-row-offset"),
    HeaderName::from_static("airlane-ticket"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-complete"),
];

/// The origins whose pages may read answers, beside the server's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None.
    #[default]
    None,
    /// Every one, without what the browser itself knows of the user.
    Any,
    /// These, as browsers write them: `https://app.example.org`.
    These(Vec<HeaderValue>),
}

impl Origins {
    /// Reads `*`, or origins with commas between them; an empty text is none.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Ok(Self::None),
            "*" => Ok(Self::Any),
            list => list.split(',').map(str::trim).map(origin).collect::<Result<_, _>>().map(Self::These),
        }
    }

    /// As [`parse`](Self::parse) reads it.
    pub fn to_text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Any => "*".to_owned(),
            Self::These(origins) => {
                let texts: Vec<&str> = origins.iter().filter_map(|origin| origin.to_str().ok()).collect();
                texts.join(",")
            }
        }
    }

    /// What stands before the gate; nothing where no page of another origin may read anything.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_methods(METHODS)
            // Options of puts and reads are headers too, and gRPC has metadata of any name.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE);
        match self {
            Self::None => None,
            Self::Any => Some(layer.allow_origin(AllowOrigin::any())),
            Self::These(origins) => {
                Some(layer.allow_origin(AllowOrigin::list(origins.iter().cloned())).allow_credentials(true))
            }
        }
    }
}

/// An origin as a browser sends it, which is compared byte by byte.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = text.split_once("://").is_some_and(|(_, authority)| {
        let is_own = text.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some_and(|own| own.as_str() == authority));
        is_own && !authority.contains(['@', '*']) && !text.bytes().any(|b| b.is_ascii_uppercase())
    });
    let expected = "expected `*`, or origins as browsers send them, in lower case and without a `/` behind them, such as \
                    https://app.example.org,http://localhost:5173";
    match is_origin {
        true => HeaderValue::from_str(text).map_err(|_| expected.to_owned()),
        false => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_send_them() {
        for text in ["", "*", "https://app.example.org", "http://localhost:5173,https://a.example,http://[::1]:8080"] {
            assert_eq!(Origins::parse(text).expect(text).to_text(), text);
        }
        assert_eq!(
            Origins::parse(" http://a.example , http://b.example").expect("two").to_text(),
            "http://a.example,http://b.example"
        );
        for text in [
            "app.example.org",
            "https://",
            "https://app.example.org/",
            "https://app.example.org/page",
            "https://App.example.org",
            "https://*.example.org",
            "https://user@example.org",
            "https://a.example,*",
            "https://a.example,,https://b.example",
            "null",
        ] {
            assert!(Origins::parse(text).is_err(), "{text}");
        }
    }
}
