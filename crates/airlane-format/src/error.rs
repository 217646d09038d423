//! Errors of files, from those of the libraries below.

use std::io;

use ::parquet::errors::ParquetError;
use airlane_model::{Error, codes};
use arrow_schema::ArrowError;

/// `file_invalid` with a place.
pub(crate) fn invalid(message: impl Into<String>, place: impl Into<String>) -> Error {
    Error::new(codes::FILE_INVALID, message).at(place)
}

/// `file_failed` with a place, unless the reader below has said itself what is wrong.
pub(crate) fn failed(error: io::Error, place: impl Into<String>) -> Error {
    match error.downcast::<Error>() {
        Ok(said) => said,
        Err(error) => Error::new(codes::FILE_FAILED, lower_first(&error.to_string())).at(place).source(error),
    }
}

/// An error of the Arrow libraries: `file_failed` when the operating system refused, else `file_invalid`.
pub(crate) fn from_arrow(error: ArrowError, place: impl Into<String>) -> Error {
    match error {
        ArrowError::IoError(message, inner) => from_io(inner, message, place),
        other => invalid(message_of(other), place),
    }
}

/// What the check of Arrow messages says, about a file: `file_invalid`, unless a limit is reached.
pub(crate) fn from_segment(error: Error, place: impl Into<String>) -> Error {
    let code = if error.code() == codes::LIMIT_EXCEEDED { codes::LIMIT_EXCEEDED } else { codes::FILE_INVALID };
    let place = place.into();
    let place = error.place().map_or_else(|| place.clone(), |inner| format!("{place}, {inner}"));
    let said = Error::new(code, error.message()).at(place);
    match error.hint_text() {
        Some(hint) => said.hint(hint),
        None => said,
    }
}

/// An error of the Parquet library, as [`from_arrow`].
pub(crate) fn from_parquet(error: ParquetError, place: impl Into<String>) -> Error {
    match error {
        ParquetError::General(message)
        | ParquetError::NYI(message)
        | ParquetError::EOF(message)
        | ParquetError::ArrowError(message) => invalid(lower_first(&message), place),
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(inner) => from_io(*inner, String::new(), place),
            Err(inner) => invalid(lower_first(&inner.to_string()), place),
        },
        other => invalid(lower_first(&other.to_string()), place),
    }
}

/// An error of reading: a library reports bytes that end too early as an error of input.
fn from_io(error: io::Error, message: String, place: impl Into<String>) -> Error {
    match error.kind() {
        _ if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => failed(error, place),
        io::ErrorKind::UnexpectedEof => invalid("the file ends too early", place),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            if error.raw_os_error().is_none() =>
        {
            let message = if message.is_empty() { error.to_string() } else { message };
            invalid(lower_first(&message), place)
        }
        _ => failed(error, place),
    }
}

/// The message of an error without the name of its variant.
pub(crate) fn message_of(error: ArrowError) -> String {
    let message = match error {
        ArrowError::NotYetImplemented(message)
        | ArrowError::CastError(message)
        | ArrowError::MemoryError(message)
        | ArrowError::ParseError(message)
        | ArrowError::SchemaError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ArithmeticOverflow(message)
        | ArrowError::CsvError(message)
        | ArrowError::JsonError(message)
        | ArrowError::IoError(message, _)
        | ArrowError::IpcError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::ParquetError(message) => message,
        other => other.to_string(),
    };
    lower_first(&message)
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        // Words in capitals, such as UTF-8, stay.
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            format!("{}{}", first.to_ascii_lowercase(), chars.as_str())
        }
        _ => message.to_owned(),
    }
}
