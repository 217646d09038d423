//! The gate before a door that speaks no HTTP: the same callers, quotas, drain, metrics and lines as for every other one.

use std::sync::Arc;

use airlane_model::{Caller, Error, Outcome, Result, Secret, Trail};
use http::HeaderMap;

use crate::audit::{Audit, Held, line_level};
use crate::drain::Drain;
use crate::gate::Gate;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::quota::Counting;
use crate::request_metrics::{RequestMetrics, RequestName};
use crate::shown::Shown;
use crate::streams::Streams;

/// Lets calls of a door pass. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CallGate {
    gate: Gate,
    drain: Drain,
    observer: Option<Arc<dyn Observer>>,
    names: Arc<[RequestName]>,
    metrics: RequestMetrics,
    streams: Option<Streams>,
}

/// A call that may run. It counts against quotas and keeps the server from ending until it is dropped; without an
/// [end](Self::end) it was cut off.
#[derive(Debug)]
pub struct Call {
    caller: Caller,
    audit: Audit,
    _held: Held,
}

impl CallGate {
    /// Before a door with these calls.
    pub fn new(gate: Gate, drain: Drain, observer: Option<Arc<dyn Observer>>, names: &[RequestName]) -> Self {
        let metrics = RequestMetrics::new(names.iter().copied());
        Self { gate, drain, observer, names: names.into(), metrics, streams: None }
    }

    /// Carries no more streams of data than all doors together may.
    #[must_use]
    pub fn bounded(self, streams: Streams) -> Self {
        Self { streams: Some(streams), ..self }
    }

    /// Tells who is at the other end of a connection: by a token, or by what the connection shows.
    ///
    /// # Errors
    /// `credentials_missing`, `credentials_refused`.
    pub fn caller(&self, token: Option<Secret>, shown: &Shown) -> Result<Caller> {
        self.gate.caller(token, shown)
    }

    /// Whether there is access control.
    pub fn is_guarded(&self) -> bool {
        self.gate.is_guarded()
    }

    /// Begins a call, which is known by its place in the list of names. Whoever is refused is counted and logged as well.
    ///
    /// # Errors
    /// `shutting_down`, `streams_full`, `rate_limited`.
    pub fn begin(&self, name: usize, peer: Peer, caller: &Caller) -> Result<Call> {
        let mut audit = Audit::begin(line_level(self.gate.is_guarded()), peer, name, self.metrics.clone());
        if let Some(observer) = &self.observer {
            audit.observe(observer.clone(), None, &HeaderMap::new());
        }
        let caller = audit.follow(caller.clone());
        let passed = self.drain.enter().and_then(|running| {
            let toll = self.gate.toll(&caller);
            if !self.names.get(name).is_some_and(|name| name.is_stream) {
                return Ok((running, None, toll));
            }
            let stream = self.streams.as_ref().map(Streams::begin).transpose()?;
            toll.as_ref().map_or(Ok(()), |toll| toll.begin())?;
            Ok((running, stream, toll))
        });
        let (running, stream, toll) = passed.inspect_err(|error| {
            metrics::counter!("airlane_gate_refused_total", "code" => error.code().name()).increment(1);
            audit.trail().end(Outcome::Code(error.code()));
        })?;
        let caller = match &toll {
            Some(toll) => caller.counted(toll.clone()),
            None => caller,
        };
        let held = Held { running: Some(running), stream, counting: toll.map(Counting::new) };
        Ok(Call { caller, audit, _held: held })
    }
}

impl Call {
    /// It has turned out who calls.
    pub fn is_of(&mut self, caller: &Caller) {
        self.audit.follow(caller.clone());
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where bytes and rows are counted that come or go.
    pub fn trail(&self) -> Arc<Trail> {
        self.audit.trail()
    }

    /// Counts what is sent, or lent.
    pub fn sent(&mut self, bytes: u64) {
        self.audit.sent(bytes);
    }

    /// The call has ended so.
    pub fn end<T>(self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.audit.trail().end(Outcome::Ok),
            Err(error) => self.fail(error),
        }
    }

    /// The call has failed.
    pub fn fail(self, error: &Error) {
        self.audit.trail().end(Outcome::Code(error.code()));
    }
}
