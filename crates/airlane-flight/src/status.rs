//! Errors as gRPC statuses.
//!
//! The code is that of the error's kind, the message its `Display` text. The metadata `airlane-code` carries the name
//! of the error's code, and `grpc-status-details-bin` the same as a `google.rpc.Status` with an `ErrorInfo`:
//!
//! ```text
//! google.rpc.Status { 1 code, 2 message, 3 details: google.protobuf.Any { 1 type_url, 2 value } }
//! google.rpc.ErrorInfo { 1 reason: code name, 2 domain: "airlane", 3 metadata: place, hint }
//! google.rpc.RetryInfo { 1 retry_delay: google.protobuf.Duration { 1 seconds, 2 nanos } }   where it is known
//! ```
//!
//! The shapes are those of `google/rpc/status.proto` and `google/rpc/error_details.proto`.

use airlane_frames::write::{put_varint, varint_bytes};
use airlane_model::Error;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// The metadata that carries the name of an error's code.
pub(crate) const CODE_METADATA: &str = "airlane-code";

/// Clients take 8 KiB of headers by default; texts are cut so that message and details stay well below it when a
/// message is percent-encoded and details are base64.
const TEXT_BYTES_MAX: usize = 1024;

/// The status of an error.
pub(crate) fn from_error(error: &Error) -> Status {
    let code = Code::from_i32(error.kind().grpc_code());
    let mut metadata = MetadataMap::with_capacity(1);
    metadata.insert(CODE_METADATA, MetadataValue::from_static(error.code().name()));
    let message = cut(&error.to_string()).to_owned();
    Status::with_details_and_metadata(code, message, details(error), metadata)
}

/// The trailers of a stream that ended well.
pub(crate) fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("0"));
    trailers
}

/// The trailers of a stream that ended with a status.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(4);
    if status.add_header(&mut trailers).is_err() {
        // A text that no header can carry: the code alone is better than a stream without an end.
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from(status.code() as i32));
    }
    trailers
}

fn details(error: &Error) -> Bytes {
    let mut info = BytesMut::new();
    put_field(&mut info, 1, error.code().name().as_bytes());
    put_field(&mut info, 2, b"airlane");
    for (key, text) in [("place", error.place()), ("hint", error.hint_text())] {
        let Some(text) = text else { continue };
        let mut entry = BytesMut::new();
        put_field(&mut entry, 1, key.as_bytes());
        put_field(&mut entry, 2, cut(text).as_bytes());
        put_field(&mut info, 3, &entry);
    }
    let mut status = BytesMut::new();
    put_varint(&mut status, 1 << 3);
    put_varint(&mut status, error.kind().grpc_code().unsigned_abs().into());
    put_field(&mut status, 2, cut(error.message()).as_bytes());
    put_any(&mut status, b"type.googleapis.com/google.rpc.ErrorInfo", &info);
    if let Some(time) = error.retry_after_time() {
        let (mut delay, mut info) = (BytesMut::new(), BytesMut::new());
        for (number, value) in [(1, time.as_secs()), (2, time.subsec_nanos().into())] {
            put_varint(&mut delay, number << 3);
            put_varint(&mut delay, value);
        }
        put_field(&mut info, 1, &delay);
        put_any(&mut status, b"type.googleapis.com/google.rpc.RetryInfo", &info);
    }
    status.freeze()
}

/// A detail of a `google.rpc.Status`.
fn put_any(status: &mut BytesMut, url: &[u8], value: &[u8]) {
    let mut any = BytesMut::new();
    put_field(&mut any, 1, url);
    put_field(&mut any, 2, value);
    put_field(status, 3, &any);
}

fn put_field(out: &mut BytesMut, number: u64, value: &[u8]) {
    out.reserve(1 + varint_bytes(value.len()) + value.len());
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u64);
    out.put_slice(value);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use airlane_model::{ErrorKind, codes};
    use prost::Message;

    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct RpcStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct ErrorInfo {
        #[prost(string, tag = "1")]
        reason: String,
        #[prost(string, tag = "2")]
        domain: String,
        #[prost(map = "string, string", tag = "3")]
        metadata: HashMap<String, String>,
    }

    #[test]
    fn carries_code_text_place_and_hint() {
        let error = Error::new(codes::TABLE_NOT_FOUND, "no table `p\u{e4}`").at("ticket").hint("list the tables");
        let trailers = trailers(&from_error(&error));
        let status = Status::from_header_map(&trailers).expect("a status");
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "no table `p\u{e4}`\nat: ticket\nhint: list the tables");
        assert_eq!(status.metadata().get(CODE_METADATA).expect("a code"), "table_not_found");

        let details = RpcStatus::decode(status.details()).expect("a google.rpc.Status");
        assert_eq!((details.code, &details.message[..]), (5, "no table `p\u{e4}`"));
        let [any] = &details.details[..] else { panic!("{details:?}") };
        assert_eq!(any.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        let info = ErrorInfo::decode(&any.value[..]).expect("an ErrorInfo");
        assert_eq!((&info.reason[..], &info.domain[..]), ("table_not_found", "airlane"));
        let expected = [("place", "ticket"), ("hint", "list the tables")];
        assert_eq!(info.metadata, expected.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
    }

    #[derive(Clone, PartialEq, Message)]
    struct RetryInfo {
        #[prost(message, tag = "1")]
        retry_delay: Option<prost_types::Duration>,
    }

    #[test]
    fn the_time_to_repeat_after_is_a_detail_of_its_own() {
        let error = Error::new(codes::SHUTTING_DOWN, "the server is stopping");
        let status = from_error(&error.retry_after(std::time::Duration::from_millis(1_500)));
        let details = RpcStatus::decode(status.details()).expect("a google.rpc.Status");
        let [info, retry] = &details.details[..] else { panic!("{details:?}") };
        assert_eq!(info.type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(retry.type_url, "type.googleapis.com/google.rpc.RetryInfo");
        let retry = RetryInfo::decode(&retry.value[..]).expect("a RetryInfo").retry_delay;
        assert_eq!(retry, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
    }

    #[test]
    fn every_kind_has_the_code_of_the_table() {
        for code in codes::ALL {
            let status = from_error(&Error::new(*code, "x"));
            assert_eq!(ErrorKind::from_grpc_code(status.code() as i32), code.kind());
            assert_ne!(status.code(), Code::Ok);
        }
    }

    #[test]
    fn g12_long_texts_stay_within_the_headers_that_clients_take() {
        let long = "\u{20ac}".repeat(10_000);
        let trailers = trailers(&from_error(&Error::new(codes::DATA_INVALID, &long).at(&long).hint(&long)));
        let bytes: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(bytes < 8 << 10, "{bytes} bytes of trailers");
        assert!(Status::from_header_map(&trailers).expect("a status").message().starts_with('\u{20ac}'));
    }
}
