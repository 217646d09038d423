//! The bodies of actions: bounded, then read as JSON or as a message of the protocol.

use airlane_model::{ByteSize, Error, Result, codes, limits};
use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;

/// Where the errors of a body are.
pub(super) fn place(action: &str) -> String {
    format!("body of action `{action}`")
}

/// Refuses a body that is too long.
pub(crate) fn check_size(action: &str, body: &Bytes, max: ByteSize, hint: &str) -> Result<()> {
    if body.len() <= max.as_usize() {
        return Ok(());
    }
    let message = format!("a body has {} bytes, the most is {} ({max})", body.len(), max.as_u64());
    Err(Error::new(codes::LIMIT_EXCEEDED, message).at(place(action)).hint(hint))
}

/// Refuses a body where the action takes none.
pub(super) fn check_empty(action: &str, body: &[u8]) -> Result<()> {
    if body.is_empty() {
        return Ok(());
    }
    let message = format!("the action takes no body, and has one of {} bytes", body.len());
    Err(Error::new(codes::OPTION_INVALID, message).at(place(action)).hint("send none"))
}

/// Reads a body of JSON, which has at most as many bytes as a command.
pub(super) fn json<T: DeserializeOwned>(action: &str, body: &Bytes, hint: &str) -> Result<T> {
    json_up_to(limits::COMMAND_BYTES_MAX, action, body, hint)
}

/// Reads a body of JSON that may be longer than a command.
pub(super) fn json_up_to<T: DeserializeOwned>(max: ByteSize, action: &str, body: &Bytes, hint: &str) -> Result<T> {
    check_size(action, body, max, hint)?;
    serde_json::from_slice(body).map_err(|error| {
        Error::new(codes::OPTION_INVALID, format!("a body is not what the action takes: {error}"))
            .at(place(action))
            .hint(hint)
    })
}

/// Reads the request of an action of the protocol.
pub(super) fn request<M: Message + Default>(action: &str, body: &Bytes, hint: &str) -> Result<M> {
    M::decode(body.clone()).map_err(|error| {
        Error::new(codes::MESSAGE_INVALID, format!("a body is no {action}Request: {error}"))
            .at(place(action))
            .hint(hint)
            .source(error)
    })
}
