//! Small bodies of JSON.

use airlane_gate::Patience;
use airlane_model::{Error, Result, codes, limits};
use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

/// Reads a body whole, of at most as many bytes as a command has.
///
/// # Errors
/// `option_invalid` for what is not asked for, `limit_exceeded`, `request_stalled`, `connection_broken`.
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body, patience: &Patience, hint: &str) -> Result<T> {
    let max = limits::COMMAND_BYTES_MAX;
    let collected = async {
        let limited = Limited::new(body, max.as_usize());
        limited.collect().await.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => Error::new(codes::LIMIT_EXCEEDED, format!("a body has more than {max}")).at("the body").hint(hint),
            false => Error::new(codes::CONNECTION_BROKEN, format!("the body broke off: {error}")),
        })
    };
    let bytes = patience.for_request(collected).await?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body is not what is asked for: {error}");
        Error::new(codes::OPTION_INVALID, message).at("the body").hint(hint)
    })
}
