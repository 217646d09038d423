//! `GET /docs`: the interactive page of the OpenAPI document. All of it comes from this server, and its policy lets it ask nobody else.

use airlane_model::{Error, codes};
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Airlane</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"#;

/// The checker of documents is another host, so there is none.
const START: &str = r##"SwaggerUIBundle({
  url: "v1/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
});
"##;

// Built by `build.rs`.
const BUNDLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));

/// Styles are set by the script on single elements, and icons lie in the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn page() -> Response {
    answer("text/html; charset=utf-8", None, PAGE.as_bytes())
}

pub(crate) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Ok(match name.as_str() {
        "start.js" => answer(SCRIPT, None, START.as_bytes()),
        // Every browser takes it so.
        "swagger-ui-bundle.js" => answer(SCRIPT, Some("gzip"), BUNDLE),
        "swagger-ui.css" => answer("text/css; charset=utf-8", Some("gzip"), STYLE),
        _ => {
            let error = Error::new(codes::ROUTE_NOT_FOUND, "the page has no such file");
            return Err(Problem(error.hint("the page is GET /docs")));
        }
    })
}

fn answer(media: &'static str, encoding: Option<&'static str>, body: &'static [u8]) -> Response {
    let mut response = body.into_response();
    let mut set = |name: HeaderName, text| _ = response.headers_mut().insert(name, HeaderValue::from_static(text));
    set(header::CONTENT_TYPE, media);
    set(header::CACHE_CONTROL, "private, no-cache");
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Some(encoding) = encoding {
        set(header::CONTENT_ENCODING, encoding);
    }
    response
}
