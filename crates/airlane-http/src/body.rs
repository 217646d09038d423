//! Small bodies, which are read whole.

use airlane_gate::Patience;
use airlane_model::{ByteSize, Error, Result, codes, limits};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// Reads a body of at most so many bytes.
///
/// # Errors
/// `limit_exceeded`, `request_stalled`, `connection_broken`.
pub(crate) async fn read_whole(body: Body, max: ByteSize, patience: &Patience) -> Result<Bytes> {
    let collected = async {
        Limited::new(body, max.as_usize()).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
            true => Error::new(codes::LIMIT_EXCEEDED, format!("a body has more than {max}")).at("the body"),
            false => Error::new(codes::CONNECTION_BROKEN, format!("the body broke off: {error}")),
        })
    };
    Ok(patience.for_request(collected).await?.to_bytes())
}

/// Reads a body of JSON, of at most as many bytes as a command has.
///
/// # Errors
/// `option_invalid` for what is not asked for, and as [`read_whole`].
pub(crate) async fn read_json<T: DeserializeOwned>(body: Body, patience: &Patience, hint: &str) -> Result<T> {
    let whole = read_whole(body, limits::COMMAND_BYTES_MAX, patience).await;
    let bytes = whole.map_err(|error| match error.code() {
        codes::LIMIT_EXCEEDED => error.hint(hint),
        _ => error,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("the body is not what is asked for: {error}");
        Error::new(codes::OPTION_INVALID, message).at("the body").hint(hint)
    })
}
