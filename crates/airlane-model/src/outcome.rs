//! How a request ended, as logs, metrics and traces name it.

use std::fmt;

use crate::error::{Code, ErrorKind};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Ok,
    /// By an error of ours.
    Code(Code),
    /// By a gRPC status that a library answered.
    Grpc(u8),
    /// By an HTTP status that a library answered.
    Http(u16),
    /// The client went away, or the server stopped.
    CutOff,
}

impl Outcome {
    /// The kind of error; `ok` without one.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Code(code) => code.kind().name(),
            Self::Grpc(status) => ErrorKind::from_grpc_code(status.into()).name(),
            Self::Http(500..) => ErrorKind::Internal.name(),
            Self::Http(_) => ErrorKind::InvalidArgument.name(),
            Self::CutOff => ErrorKind::Cancelled.name(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Code(code) => f.write_str(code.name()),
            Self::Grpc(status) => write!(f, "grpc-{status}"),
            Self::Http(status) => write!(f, "http-{status}"),
            Self::CutOff => f.write_str("cut_off"),
        }
    }
}
