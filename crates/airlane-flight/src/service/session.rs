//! The actions of the protocol that are about sessions: SetSessionOptions, GetSessionOptions and CloseSession.
//!
//! The server keeps no sessions: each call stands for itself, and what it asks for is in its descriptor, its ticket and
//! its headers. So no option can be set, none is set, and there is nothing left to close. No cookie is handed out.
//!
//! The messages are those of Arrow's `Flight.proto` from version 17 on; what an option would be set to is not looked at.

use std::collections::BTreeMap;

use airlane_model::{Result, limits};
use bytes::Bytes;
use prost::Message;

use super::body;

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsRequest {
    #[prost(btree_map = "string, message", tag = "1")]
    session_options: BTreeMap<String, SessionOptionValue>,
}

/// A value of any type.
#[derive(Clone, PartialEq, Message)]
struct SessionOptionValue {}

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsResult {
    /// The options that were not set.
    #[prost(btree_map = "string, message", tag = "1")]
    errors: BTreeMap<String, SetError>,
}

#[derive(Clone, PartialEq, Message)]
struct SetError {
    #[prost(int32, tag = "1")]
    value: i32,
}

/// `ErrorValue::INVALID_NAME`: there is no such option.
const INVALID_NAME: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `Status::CLOSED`: nothing of a session is left.
const CLOSED: i32 = 1;

/// Answers each option that it has an invalid name.
pub(super) fn set_options(body: &Bytes) -> Result<Vec<u8>> {
    let request: SetSessionOptionsRequest = decode("SetSessionOptions", body)?;
    let names = request.session_options.into_keys();
    let errors = names.map(|name| (name, SetError { value: INVALID_NAME })).collect();
    Ok(SetSessionOptionsResult { errors }.encode_to_vec())
}

/// Answers that no option is set, which takes no byte.
pub(super) fn get_options(body: &Bytes) -> Result<Vec<u8>> {
    let Empty {} = decode("GetSessionOptions", body)?;
    Ok(Vec::new())
}

/// Answers that it is closed, also when it is asked again.
pub(super) fn close(body: &Bytes) -> Result<Vec<u8>> {
    let Empty {} = decode("CloseSession", body)?;
    Ok(CloseSessionResult { status: CLOSED }.encode_to_vec())
}

fn decode<M: Message + Default>(action: &str, body: &Bytes) -> Result<M> {
    body::check_size(action, body, limits::COMMAND_BYTES_MAX, "set fewer options at a time")?;
    body::request(action, body, "send what the Flight library makes")
}

#[cfg(test)]
mod tests {
    use airlane_model::codes;

    use super::*;

    /// `{"catalog": string_value "x", "depth": int64_value 7, "": no value}`, as Flight libraries write it.
    const OPTIONS: &[u8] = b"\x0A\x0E\x0A\x07catalog\x12\x03\x0A\x01x\
        \x0A\x12\x0A\x05depth\x12\x09\x19\x07\0\0\0\0\0\0\0\
        \x0A\x02\x12\0";

    #[test]
    fn every_option_has_an_invalid_name() {
        let answer = set_options(&Bytes::from_static(OPTIONS)).expect("an answer");
        let result = SetSessionOptionsResult::decode(&answer[..]).expect("a result");
        let names: Vec<(&str, i32)> = result.errors.iter().map(|(name, error)| (&name[..], error.value)).collect();
        assert_eq!(names, [("", INVALID_NAME), ("catalog", INVALID_NAME), ("depth", INVALID_NAME)]);
        assert_eq!(set_options(&Bytes::new()).expect("nothing to set"), b"");
    }

    #[test]
    fn nothing_is_set_and_nothing_is_left() {
        assert_eq!(get_options(&Bytes::new()).expect("an answer"), b"");
        assert_eq!(close(&Bytes::new()).expect("an answer"), b"\x08\x01");
    }

    #[test]
    fn rubbish_is_refused() {
        for (act, rubbish) in [
            (set_options as fn(&Bytes) -> Result<Vec<u8>>, &b"\x0A\xFF"[..]),
            (set_options, b"\x0A\x03\x0A\x01\xFF"),
            (get_options, b"\xFF"),
            (close, b"\x0A"),
        ] {
            let error = act(&Bytes::from_static(rubbish)).expect_err("rubbish");
            assert_eq!(error.code(), codes::MESSAGE_INVALID, "{error}");
            assert!(error.place().is_some() && error.hint_text().is_some(), "{error}");
        }
        let long = Bytes::from(vec![0; limits::COMMAND_BYTES_MAX.as_usize() + 1]);
        assert_eq!(close(&long).expect_err("long").code(), codes::LIMIT_EXCEEDED);
    }
}
