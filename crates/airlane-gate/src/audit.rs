//! What is told of each request when it has ended: a line in the log, the metrics, and a span where somebody traces.
//!
//! ```text
//! INFO request caller="ci" peer=10.0.0.7 rpc="DoGet" table=eu/prices bytes_in=11 bytes_out=16464 micros=212 outcome=ok
//! ```
//!
//! The lines have the target `airlane_audit`; those of probes, and without access control all of them, are of level debug. What
//! stands in them comes from lists of our own, but for the name of the table, which has its grammar.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use airlane_model::{Caller, Code, Outcome, Trail};
use bytes::Buf;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::{Body, Frame, SizeHint};
use tracing::Level;

use crate::drain::Running;
use crate::observer::{Ended, Observer};
use crate::peer::Peer;
use crate::quota::Counting;
use crate::request_metrics::RequestMetrics;
use crate::streams::Stream;

/// The target of the lines of requests, for log filters.
pub const AUDIT_TARGET: &str = "airlane_audit";

/// The header or trailer by which every door names the code of an error.
const CODE: &str = "airlane-code";
const GRPC_STATUS: &str = "grpc-status";

/// A request that runs: what it is counted and logged by, and what a trace tells of it.
#[derive(Debug)]
pub(crate) struct Audit {
    /// The level of its line, if anybody wants that.
    line: Option<Level>,
    peer: Peer,
    rpc: usize,
    caller: Option<Caller>,
    trail: Arc<Trail>,
    begun: Instant,
    first_message: Option<Duration>,
    bytes_out: u64,
    outcome: Option<Outcome>,
    metrics: RequestMetrics,
    observed: Option<Observed>,
}

/// Who hears of a request's end, and the headers by which it belongs to a trace.
#[derive(Debug)]
struct Observed {
    observer: Arc<dyn Observer>,
    http_method: Option<Method>,
    http_status: u16,
    traceparent: Option<HeaderValue>,
    tracestate: Option<HeaderValue>,
}

impl Audit {
    /// Begins with a request.
    pub(crate) fn begin(line: Option<Level>, peer: Peer, rpc: usize, metrics: RequestMetrics) -> Self {
        metrics.begin(rpc);
        Self {
            line,
            peer,
            rpc,
            caller: None,
            trail: Arc::new(Trail::from_address(peer.network().address())),
            begun: Instant::now(),
            first_message: None,
            bytes_out: 0,
            outcome: None,
            metrics,
            observed: None,
        }
    }

    /// Tells an observer of the end.
    pub(crate) fn observe(&mut self, observer: Arc<dyn Observer>, http_method: Option<Method>, headers: &HeaderMap) {
        let (traceparent, tracestate) = (headers.get("traceparent").cloned(), headers.get("tracestate").cloned());
        self.observed = Some(Observed { observer, http_method, http_status: 0, traceparent, tracestate });
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

    /// Counts bytes of the answer.
    pub(crate) fn sent(&mut self, bytes: u64) {
        if self.bytes_out == 0 && bytes > 0 {
            self.first_message = Some(self.begun.elapsed());
        }
        self.bytes_out += bytes;
    }

    fn write(&self, ended: &Ended<'_>) {
        let Ended { rpc, caller, bytes_in, bytes_out, outcome, .. } = *ended;
        let table = ended.table.map_or("-", AsRef::as_ref);
        let peer = self.peer;
        let micros = u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX);
        if self.line == Some(Level::INFO) {
            tracing::info!(target: AUDIT_TARGET, caller, %peer, rpc, %table, bytes_in, bytes_out, micros, %outcome, "request");
        } else {
            tracing::debug!(target: AUDIT_TARGET, caller, %peer, rpc, %table, bytes_in, bytes_out, micros, %outcome, "request");
        }
    }
}

/// A request that was cut off before it had an answer ends here too.
impl Drop for Audit {
    fn drop(&mut self) {
        let ended = Ended {
            rpc: self.metrics.name(self.rpc),
            caller: self.caller.as_ref().map_or("-", Caller::name),
            peer: self.peer,
            table: self.trail.table(),
            rows: self.trail.rows(),
            bytes_in: self.trail.bytes_in(),
            bytes_out: self.bytes_out,
            duration: self.begun.elapsed(),
            outcome: self.trail.outcome().or(self.outcome).unwrap_or(Outcome::CutOff),
            http_method: self.observed.as_ref().and_then(|observed| observed.http_method.as_ref()),
            http_status: self.observed.as_ref().map_or(0, |observed| observed.http_status),
            traceparent: self.observed.as_ref().and_then(|observed| observed.traceparent.as_ref()),
            tracestate: self.observed.as_ref().and_then(|observed| observed.tracestate.as_ref()),
        };
        self.metrics.end(self.rpc, ended.outcome, ended.duration, self.first_message);
        if let Some(Observed { observer, .. }) = &self.observed {
            observer.ended(&ended);
        }
        if self.line.is_some() {
            self.write(&ended);
        }
    }
}

/// The level at which the line of a request is written, if anybody wants it.
pub(crate) fn line_level(is_guarded: bool) -> Option<Level> {
    match is_guarded {
        true => tracing::enabled!(target: AUDIT_TARGET, Level::INFO).then_some(Level::INFO),
        false => tracing::enabled!(target: AUDIT_TARGET, Level::DEBUG).then_some(Level::DEBUG),
    }
}

/// What headers or trailers say about the end of a request.
pub fn outcome_of(headers: &HeaderMap) -> Option<Outcome> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(code) = text(CODE).and_then(Code::by_name) {
        return Some(Outcome::Code(code));
    }
    match text(GRPC_STATUS)?.parse() {
        Ok(0) => Some(Outcome::Ok),
        Ok(status) => Some(Outcome::Grpc(status)),
        Err(_) => None,
    }
}

/// The body of an answer, whose end is the end of the request.
#[derive(Debug)]
pub struct Audited<B: Body> {
    body: B,
    audit: Box<Audit>,
    is_ended: bool,
    /// Let go after the body.
    _held: Held,
}

/// What lasts as long as a request.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "they count while they are there")]
pub(crate) struct Held {
    /// It keeps the server from ending.
    pub(crate) running: Option<Running>,
    /// It is one of those that the server carries at once.
    pub(crate) stream: Option<Stream>,
    /// It counts against quotas.
    pub(crate) counting: Option<Counting>,
}

impl<B: Body> Audited<B> {
    /// Watches over an answer.
    pub(crate) fn watch(response: Response<B>, audit: Audit, held: Held) -> Response<Self> {
        let mut audit = Box::new(audit);
        if let Some(observed) = &mut audit.observed {
            observed.http_status = response.status().as_u16();
        }
        if let Some(outcome) = outcome_of(response.headers()) {
            audit.end(outcome);
        } else if !response.status().is_success() {
            audit.end(Outcome::Http(response.status().as_u16()));
        }
        response.map(|body| Self { body, audit, is_ended: false, _held: held })
    }
}

impl<B: Body> Audited<B> {
    /// The trail of the request, for who ends it otherwise than by its answer.
    pub fn trail(&self) -> Arc<Trail> {
        self.audit.trail()
    }
}

impl<B: Body + Unpin> Body for Audited<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.audit.sent(frame.data_ref().map_or(0, |data| data.remaining() as u64));
                if let Some(outcome) = frame.trailers_ref().and_then(outcome_of) {
                    self.audit.end(outcome);
                }
            }
            Some(Err(_)) => self.audit.end(Outcome::CutOff),
            None => self.is_ended = true,
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
        if self.is_ended || self.body.is_end_stream() {
            self.audit.end(Outcome::Ok);
        }
    }
}
