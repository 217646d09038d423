//! Who wants to hear of each request, such as an exporter of traces.

use std::fmt;
use std::time::Duration;

use airlane_model::{Outcome, TableName};
use http::{HeaderValue, Method};

use crate::peer::Peer;

/// Hears of requests.
pub trait Observer: Send + Sync + fmt::Debug {
    /// A request has just ended. Called where requests are served: it must not wait.
    fn ended(&self, request: &Ended<'_>);
}

/// A request that has ended. Nothing of it is a secret: what stands here comes from lists of our own, but for the name of the
/// table, which has its grammar, and the headers of the trace.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// What was asked for.
    pub rpc: &'static str,
    /// Who asked; `-` where that is not known.
    pub caller: &'a str,
    /// From where.
    pub peer: Peer,
    /// The first table that was asked for.
    pub table: Option<&'a TableName>,
    /// Rows that were sent or taken.
    pub rows: u64,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// How long it took.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The method, of an HTTP request that is none of gRPC.
    pub http_method: Option<&'a Method>,
    /// The HTTP status of the answer; 0 without one.
    pub http_status: u16,
    /// The header by which the request belongs to a trace, as it came.
    pub traceparent: Option<&'a HeaderValue>,
    /// What comes with it.
    pub tracestate: Option<&'a HeaderValue>,
}
