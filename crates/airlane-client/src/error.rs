//! What a server answers, as an error of the model.

use airlane_model::{Code, Error, ErrorKind, codes};
use tonic::Status;

use crate::address::Address;

/// The response header that carries the code's name.
const CODE_HEADER: &str = "airlane-code";

/// No server answers at the address.
pub(crate) fn unreachable(address: &Address, cause: &(dyn std::error::Error + 'static)) -> Error {
    let reason = root(cause).to_string();
    // What rustls says of a certificate that it does not take.
    if reason.contains("invalid peer certificate") {
        let message = format!("the server at {address} is not trusted: {reason}");
        return Error::new(codes::SERVER_UNREACHABLE, message).hint(
            "name the authority of its certificate with `--tls-ca` or AIRLANE_TLS_CA; `airlane doctor` tells more",
        );
    }
    Error::new(codes::SERVER_UNREACHABLE, format!("no server answers at {address}: {reason}"))
        .hint("start one with `airlane serve`, or name another with `--url` or AIRLANE_URL")
}

/// The error of a call. The text of an Airlane server is split into its parts again.
pub(crate) fn from_status(address: &Address, status: &Status) -> Error {
    let code = status.metadata().get(CODE_HEADER).and_then(|value| value.to_str().ok()).and_then(Code::by_name);
    if code.is_none()
        && let Some(source) = std::error::Error::source(status)
    {
        // A status with a source was made on this side, from a broken connection.
        return Error::new(codes::CONNECTION_BROKEN, format!("the connection to {address} broke: {}", root(source)))
            .hint(
                "repeat a read, and a put with an idempotency key; another put may have been kept: look at the table's \
                 version before you repeat it",
            );
    }
    let kind = ErrorKind::from_grpc_code(status.code() as i32);
    let code = code.unwrap_or_else(|| code_of(kind));
    let (message, place, hint) = split(status.message());
    let mut error = Error::new(code, if message.is_empty() { status.code().description() } else { message });
    if let Some(place) = place {
        error = error.at(place);
    }
    if let Some(hint) = hint {
        error = error.hint(hint);
    }
    error
}

/// An error of a message of an answer, which no program on this side can mend.
pub(crate) fn of_message(address: &Address, message: u64, error: &Error) -> Error {
    let place = error.place().map_or(String::new(), |place| format!(", {place}"));
    let code = match error.code() {
        codes::LIMIT_EXCEEDED => codes::LIMIT_EXCEEDED,
        codes::STORAGE_FULL | codes::MEMORY_FULL => codes::MEMORY_FULL,
        _ => codes::MESSAGE_INVALID,
    };
    Error::new(code, error.message()).at(format!("message {message} of an answer of {address}{place}")).hint(
        error
            .hint_text()
            .filter(|_| code != codes::MESSAGE_INVALID)
            .unwrap_or("read it again; should it be the same, the server is at fault"),
    )
}

/// The code that stands for a kind when a server, or a proxy before it, sends none.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument => codes::OPTION_INVALID,
        ErrorKind::NotFound => codes::TABLE_NOT_FOUND,
        ErrorKind::ResourceExhausted => codes::LIMIT_EXCEEDED,
        // Something in between may have given up when the server had not.
        ErrorKind::Unavailable => codes::CONNECTION_BROKEN,
        ErrorKind::Cancelled => codes::CALL_CANCELLED,
        ErrorKind::DeadlineExceeded => codes::DEADLINE_EXCEEDED,
        ErrorKind::NotImplemented => codes::NOT_IMPLEMENTED,
        ErrorKind::DataLoss => codes::DATA_DAMAGED,
        ErrorKind::Unauthenticated => codes::CREDENTIALS_REFUSED,
        ErrorKind::PermissionDenied => codes::PERMISSION_DENIED,
        _ => codes::INTERNAL,
    }
}

/// Message, place and hint, as `Error` displays them.
fn split(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (text, hint) = text.split_once("\nhint: ").map_or((text, None), |(text, hint)| (text, Some(hint)));
    let (text, place) = text.split_once("\nat: ").map_or((text, None), |(text, place)| (text, Some(place)));
    (text, place, hint)
}

/// The innermost cause: the outer ones say "transport error" and the like.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    fn address() -> Address {
        "localhost:1".parse().expect("address")
    }

    #[test]
    fn a_server_error_comes_back_whole() {
        for error in [
            Error::new(codes::DATA_INVALID, "offset 9 is before offset 12").at("row 3").hint("write it anew"),
            Error::new(codes::TABLE_NOT_FOUND, "no table `x`").hint("list them"),
            Error::new(codes::STORAGE_FULL, "the disk is full").at("/data"),
            Error::new(codes::INTERNAL, "oops"),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert(CODE_HEADER, error.code().name().parse().expect("ascii"));
            let status = Status::with_metadata(error.kind().grpc_code().into(), error.to_string(), metadata);
            let back = from_status(&address(), &status);
            assert_eq!(format!("{back:?}"), format!("{error:?}"));
        }
    }

    #[test]
    fn a_status_without_a_code_keeps_its_kind_where_it_can() {
        let error = from_status(&address(), &Status::not_found("gone"));
        assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "gone"));
        let error = from_status(&address(), &Status::unavailable("proxy"));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = from_status(&address(), &Status::permission_denied(""));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let error = from_status(&address(), &Status::aborted(""));
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(!error.message().is_empty());
    }
}
