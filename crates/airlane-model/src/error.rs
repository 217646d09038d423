//! Errors: few kinds that tell the caller what to do, a code for each cause, a place and a hint.
//!
//! `spec/errors.toml` lists the codes with cause and cure; [`ErrorKind`] is the one table that maps what a caller
//! can do to gRPC codes, HTTP statuses and exit codes.

use std::fmt;
use std::time::Duration;

pub mod codes;

/// A result whose error can be shown to a user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong: change it.
    InvalidArgument,
    /// What was asked for is not there (or not visible to the caller).
    NotFound,
    /// What was to be made is there already.
    AlreadyExists,
    /// The request is right, but not in the present state: change the state first.
    FailedPrecondition,
    /// A limit or a store is full: ask for less, or later.
    ResourceExhausted,
    /// The server cannot answer now: repeat later.
    Unavailable,
    /// The caller went away or gave up.
    Cancelled,
    /// The time the caller gave is over.
    DeadlineExceeded,
    /// Stored bytes are damaged.
    DataLoss,
    /// This version of the server does not do this.
    NotImplemented,
    /// A fault of the server.
    Internal,
    /// Who asks is not known: bring credentials, or other ones.
    Unauthenticated,
    /// Who asks may not do this.
    PermissionDenied,
}

impl ErrorKind {
    /// Every kind: (kind, gRPC code, HTTP status, exit code).
    ///
    /// gRPC codes are those of `google.rpc.Code`; exit codes start at 10 so that they never meet a shell's own.
    pub const TABLE: [(ErrorKind, i32, u16, u8); 13] = [
        (ErrorKind::InvalidArgument, 3, 400, 10),
        (ErrorKind::NotFound, 5, 404, 11),
        (ErrorKind::AlreadyExists, 6, 409, 12),
        (ErrorKind::FailedPrecondition, 9, 412, 13),
        (ErrorKind::ResourceExhausted, 8, 429, 14),
        (ErrorKind::Unavailable, 14, 503, 15),
        (ErrorKind::Cancelled, 1, 499, 16),
        (ErrorKind::DeadlineExceeded, 4, 504, 17),
        (ErrorKind::DataLoss, 15, 500, 18),
        (ErrorKind::NotImplemented, 12, 501, 19),
        (ErrorKind::Internal, 13, 500, 20),
        (ErrorKind::Unauthenticated, 16, 401, 21),
        (ErrorKind::PermissionDenied, 7, 403, 22),
    ];

    fn row(self) -> (ErrorKind, i32, u16, u8) {
        let found = Self::TABLE.iter().find(|row| row.0 == self);
        *found.unwrap_or(&(ErrorKind::Internal, 13, 500, 20))
    }

    /// Its name, as `spec/errors.toml` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::FailedPrecondition => "failed_precondition",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::DataLoss => "data_loss",
            Self::NotImplemented => "not_implemented",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
        }
    }

    /// The number of the gRPC status code.
    pub fn grpc_code(self) -> i32 {
        self.row().1
    }

    /// The kind that answers to a gRPC status code; `Internal` for codes that Airlane never sends.
    pub fn from_grpc_code(code: i32) -> Self {
        let found = Self::TABLE.iter().find(|row| row.1 == code);
        found.map_or(ErrorKind::Internal, |row| row.0)
    }

    /// The HTTP status.
    pub fn http_status(self) -> u16 {
        self.row().2
    }

    /// The exit code of the command line.
    pub fn exit_code(self) -> u8 {
        self.row().3
    }
}

/// One cause of an error, as `spec/errors.toml` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    name: &'static str,
    kind: ErrorKind,
    is_retryable: bool,
}

impl Code {
    const fn new(name: &'static str, kind: ErrorKind) -> Self {
        Self { name, kind, is_retryable: false }
    }

    const fn retryable(name: &'static str, kind: ErrorKind) -> Self {
        Self { name, kind, is_retryable: true }
    }

    /// The name, as it stands in `spec/errors.toml`, on the wire and in the reference.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What the caller can do.
    pub fn kind(self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request may succeed later without a change, and does nothing twice.
    pub fn is_retryable(self) -> bool {
        self.is_retryable
    }

    /// The code with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        codes::ALL.iter().copied().find(|code| code.name == name)
    }
}

/// An error for a user: what happened, where, and what to do about it.
///
/// `Display` prints `message`, then `at: …` and `hint: …` on lines of their own where there are any.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    message: String,
    place: Option<String>,
    hint: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of a code with a message: one sentence in lower case, no full stop, the offending value quoted.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            place: None,
            hint: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Adds where it happened: table, message, row, column, file or setting.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the time after which repeating the request is worth a try.
    #[must_use]
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Adds the inner error, for logs.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same answer for one more caller: everything but the inner error, which goes to the log once.
    #[must_use]
    pub fn again(&self) -> Self {
        let Inner { code, message, place, hint, retry_after, source: _ } = &*self.0;
        Self(Box::new(Inner {
            code: *code,
            message: message.clone(),
            place: place.clone(),
            hint: hint.clone(),
            retry_after: *retry_after,
            source: None,
        }))
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.code.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The time after which repeating the request is worth a try, where that is known.
    pub fn retry_after_time(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(place) = &self.0.place {
            write!(f, "\nat: {place}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.0.code.name)
            .field("message", &self.0.message)
            .field("place", &self.0.place)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A text of a stranger for a message: escaped, and not longer than a line.
pub fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut short: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
