//! One line in the log for each request: who asked for what, what it took, and how it ended.
//!
//! ```text
//! INFO request caller="ci" peer=10.0.0.7 rpc="DoGet" table=eu/prices bytes_in=11 bytes_out=16464 micros=212 outcome=ok
//! ```
//!
//! The lines have the target `airlane_audit`; those of probes, and without access control all of them, are of level debug. What
//! stands in them comes from lists of our own, but for the name of the table, which has its grammar.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use airlane_model::{Caller, Code, Trail};
use bytes::Buf;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tracing::Level;

use crate::drain::Running;
use crate::peer::Peer;

/// The target of the lines, for log filters.
const TARGET: &str = "airlane_audit";

/// The header or trailer by which every door names the code of an error.
const CODE: &str = "airlane-code";
const GRPC_STATUS: &str = "grpc-status";

/// A request that is going to be logged.
#[derive(Debug)]
pub(crate) struct Audit {
    is_guarded: bool,
    peer: Peer,
    rpc: &'static str,
    caller: Option<Caller>,
    trail: Arc<Trail>,
    begun: Instant,
    bytes_out: u64,
    outcome: Option<Outcome>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    /// An error of ours.
    Code(Code),
    /// One that a library answered.
    Grpc(u8),
    Http(StatusCode),
    /// The client went away, or the server stopped.
    CutOff,
}

impl Audit {
    /// Begins a line, if anybody wants it.
    pub(crate) fn begin(is_guarded: bool, peer: Peer, rpc: &'static str) -> Option<Self> {
        let is_wanted = match is_guarded {
            true => tracing::enabled!(target: TARGET, Level::INFO),
            false => tracing::enabled!(target: TARGET, Level::DEBUG),
        };
        is_wanted.then(|| Self {
            is_guarded,
            peer,
            rpc,
            caller: None,
            trail: Arc::default(),
            begun: Instant::now(),
            bytes_out: 0,
            outcome: None,
        })
    }

    /// Notes who asks; answers the caller with the trail of this request.
    pub(crate) fn follow(&mut self, caller: Caller) -> Caller {
        self.caller = Some(caller.clone());
        caller.on(self.trail.clone())
    }

    /// Where the request's bytes are counted.
    pub(crate) fn trail(&self) -> Arc<Trail> {
        self.trail.clone()
    }

    fn end(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    fn write(&self) {
        let caller = self.caller.as_ref().map_or("-", Caller::name);
        let table = self.trail.table().map_or("-", AsRef::as_ref);
        let (peer, rpc, bytes_in, bytes_out) = (self.peer, self.rpc, self.trail.bytes_in(), self.bytes_out);
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = self.outcome.unwrap_or(Outcome::CutOff);
        if self.is_guarded {
            tracing::info!(target: TARGET, caller, %peer, rpc, %table, bytes_in, bytes_out, micros, %outcome, "request");
        } else {
            tracing::debug!(target: TARGET, caller, %peer, rpc, %table, bytes_in, bytes_out, micros, %outcome, "request");
        }
    }
}

impl Outcome {
    /// What headers or trailers say about the end of a request.
    fn told(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(code) = text(CODE).and_then(Code::by_name) {
            return Some(Self::Code(code));
        }
        match text(GRPC_STATUS)?.parse() {
            Ok(0) => Some(Self::Ok),
            Ok(status) => Some(Self::Grpc(status)),
            Err(_) => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Code(code) => f.write_str(code.name()),
            Self::Grpc(status) => write!(f, "grpc-{status}"),
            Self::Http(status) => write!(f, "http-{}", status.as_u16()),
            Self::CutOff => f.write_str("cut_off"),
        }
    }
}

/// The body of an answer, whose end is the end of the request.
#[derive(Debug)]
pub struct Audited<B: Body> {
    body: B,
    audit: Option<Box<Audit>>,
    is_ended: bool,
    /// Let go after the body.
    _running: Option<Running>,
}

impl<B: Body> Audited<B> {
    /// Watches over an answer.
    pub(crate) fn watch(response: Response<B>, audit: Option<Audit>, running: Option<Running>) -> Response<Self> {
        let mut audit = audit.map(Box::new);
        if let Some(audit) = &mut audit {
            if let Some(outcome) = Outcome::told(response.headers()) {
                audit.end(outcome);
            } else if !response.status().is_success() {
                audit.end(Outcome::Http(response.status()));
            }
        }
        response.map(|body| Self { body, audit, is_ended: false, _running: running })
    }
}

impl<B: Body + Unpin> Body for Audited<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(audit) = &mut self.audit {
            match &frame {
                Some(Ok(frame)) => {
                    audit.bytes_out += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                    if let Some(outcome) = frame.trailers_ref().and_then(Outcome::told) {
                        audit.end(outcome);
                    }
                }
                Some(Err(_)) => audit.end(Outcome::CutOff),
                None => self.is_ended = true,
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Audited<B> {
    fn drop(&mut self) {
        let Some(mut audit) = self.audit.take() else { return };
        if self.is_ended || self.body.is_end_stream() {
            audit.end(Outcome::Ok);
        }
        audit.write();
    }
}
