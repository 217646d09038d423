//! Request headers of our own, as all doors read them.

use airlane_model::{Error, Result, codes};
use http::{HeaderName, HeaderValue};

/// What their names begin with.
pub const OWN_PREFIX: &str = "airlane-";

/// The value of a header as text.
///
/// # Errors
/// `option_invalid`.
pub fn header_text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str> {
    value.to_str().map_err(|_| {
        Error::new(codes::OPTION_INVALID, format!("a value is no text: {value:?}"))
            .at(format!("header `{name}`"))
            .hint("use printable ASCII")
    })
}
