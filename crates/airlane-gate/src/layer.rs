//! The layer before all doors: no request reaches one without its caller, and none that is refused has its body read.

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use airlane_model::{Caller, Error, Secret, Trail};
use bytes::Buf;
use http::request::Parts;
use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service, ServiceExt};

use crate::audit::{Audit, Audited, Held, line_level};
use crate::drain::Drain;
use crate::gate::Gate;
use crate::observer::Observer;
use crate::peer::Peer;
use crate::quota::Counting;
use crate::request_metrics::{RequestMetrics, RequestName};
use crate::shown::Shown;
use crate::streams::Streams;

/// What the gate has to be told of the doors behind it.
pub trait Doors: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body;

    /// The requests that are told apart.
    fn names(&self) -> Vec<RequestName>;

    /// Which of those a request is, by its place in the list.
    fn name_of(&self, head: &Parts) -> usize;

    /// Whether a request is one of gRPC, also in its form for browsers.
    fn is_grpc(&self, head: &Parts) -> bool;

    /// Whether a request is answered to everybody, such as those of probes.
    fn is_open(&self, head: &Parts) -> bool;

    /// Whether a request is answered although the server is stopping: those of probes and of who watches it.
    fn is_answered_to_the_end(&self, head: &Parts) -> bool;

    /// Whether a request is a login, whose answer is a [`SessionToken`].
    fn is_login(&self, head: &Parts) -> bool;

    /// Whether a request is a stream of data, one way or the other.
    fn is_stream(&self, head: &Parts) -> bool;

    /// Writes a refusal in the protocol of the request.
    fn refuse(&self, head: &Parts, error: &Error) -> Response<Self::Body>;
}

/// The answer to a login, in the extensions of its request.
#[derive(Clone, Debug)]
pub struct SessionToken(pub Secret);

/// Puts the gate before the doors.
#[derive(Clone, Debug)]
pub struct GateLayer<D> {
    gate: Gate,
    drain: Drain,
    observer: Option<Arc<dyn Observer>>,
    metrics: RequestMetrics,
    streams: Option<Streams>,
    doors: D,
}

impl<D: Doors> GateLayer<D> {
    /// The gate before these doors.
    pub fn new(gate: Gate, drain: Drain, doors: D) -> Self {
        Self { gate, drain, observer: None, metrics: RequestMetrics::new(doors.names()), streams: None, doors }
    }

    /// Carries so many streams of data at once, and no more.
    #[must_use]
    pub fn bounded(mut self, streams: Streams) -> Self {
        self.streams = Some(streams);
        self
    }

    /// Somebody hears of each request but those of probes.
    #[must_use]
    pub fn observed(mut self, observer: Option<Arc<dyn Observer>>) -> Self {
        self.observer = observer;
        self
    }
}

impl<S, D: Clone> Layer<S> for GateLayer<D> {
    type Service = Gated<S, D>;

    fn layer(&self, inner: S) -> Gated<S, D> {
        Gated {
            inner,
            gate: self.gate.clone(),
            drain: self.drain.clone(),
            observer: self.observer.clone(),
            metrics: self.metrics.clone(),
            streams: self.streams.clone(),
            doors: self.doors.clone(),
        }
    }
}

/// Doors behind the gate. The [`Peer`] of a request stands in its extensions, without one it comes from nowhere near, and
/// what its connection [shows](Shown).
///
/// A door finds the [`Caller`] in the extensions of each request, and the credentials nowhere.
#[derive(Clone, Debug)]
pub struct Gated<S, D> {
    inner: S,
    gate: Gate,
    drain: Drain,
    observer: Option<Arc<dyn Observer>>,
    metrics: RequestMetrics,
    streams: Option<Streams>,
    doors: D,
}

impl<S, D, B> Service<Request<B>> for Gated<S, D>
where
    S: Service<Request<Metered<B>>, Response = Response<D::Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    D: Doors,
    B: Send + 'static,
{
    type Response = Response<Audited<D::Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The inner service is waited for when the request may pass.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gated = self.clone();
        Box::pin(gated.answer(request))
    }
}

impl<S, D: Doors> Gated<S, D> {
    async fn answer<B>(self, request: Request<B>) -> Result<Response<Audited<D::Body>>, Infallible>
    where
        S: Service<Request<Metered<B>>, Response = Response<D::Body>, Error = Infallible>,
    {
        let (mut head, body) = request.into_parts();
        let peer = head.extensions.get().copied().unwrap_or(Peer::Ip(Ipv4Addr::UNSPECIFIED.into()));
        let is_open = self.doors.is_open(&head);
        // Probes come all the time, and say nothing of anybody.
        let line = line_level(self.gate.is_guarded() && !is_open);
        let mut audit = Audit::begin(line, peer, self.doors.name_of(&head), self.metrics);
        if let Some(observer) = self.observer.filter(|_| !is_open) {
            let http_method = (!self.doors.is_grpc(&head)).then(|| head.method.clone());
            audit.observe(observer, http_method, &head.headers);
        }
        let running = match self.drain.enter() {
            _ if self.doors.is_answered_to_the_end(&head) => None,
            Ok(running) => Some(running),
            Err(error) => return Ok(Audited::watch(self.doors.refuse(&head, &error), audit, Held::default())),
        };
        let caller = if is_open {
            Caller::nobody()
        } else {
            let shown = head.extensions.remove::<Shown>().unwrap_or_default();
            match self.gate.admit(&head.headers, peer, &shown).await {
                Ok(admitted) => {
                    if self.doors.is_login(&head)
                        && let Some(token) = self.gate.session(&admitted)
                    {
                        head.extensions.insert(SessionToken(token));
                    }
                    admitted.caller
                }
                Err(error) => return Ok(refuse(&self.doors, &head, &error, audit)),
            }
        };
        let stream = match self.streams.as_ref().filter(|_| self.doors.is_stream(&head)).map(Streams::begin) {
            Some(Err(error)) => {
                audit.follow(caller);
                return Ok(refuse(&self.doors, &head, &error, audit));
            }
            Some(Ok(stream)) => Some(stream),
            None => None,
        };
        // Probes are nobody's.
        let toll = if is_open { None } else { self.gate.toll(&caller) };
        if let Some(toll) = &toll
            && self.doors.is_stream(&head)
            && let Err(error) = toll.begin()
        {
            audit.follow(caller);
            return Ok(refuse(&self.doors, &head, &error, audit));
        }
        // Whoever logs a request, by intent or by accident, logs no secret.
        head.headers.remove(header::AUTHORIZATION);
        let trail = audit.trail();
        let caller = audit.follow(caller);
        head.extensions.insert(match &toll {
            Some(toll) => caller.counted(toll.clone()),
            None => caller,
        });
        let held = Held { running, stream, counting: toll.map(Counting::new) };
        let response = self.inner.oneshot(Request::from_parts(head, Metered { body, trail })).await?;
        Ok(Audited::watch(response, audit, held))
    }
}

/// Refuses a request before its body is read.
fn refuse<D: Doors>(doors: &D, head: &Parts, error: &Error, audit: Audit) -> Response<Audited<D::Body>> {
    metrics::counter!("airlane_gate_refused_total", "code" => error.code().name()).increment(1);
    Audited::watch(doors.refuse(head, error), audit, Held::default())
}

/// The body of a request, whose bytes are counted.
#[derive(Debug)]
pub struct Metered<B> {
    body: B,
    trail: Arc<Trail>,
}

impl<B: Body + Unpin> Body for Metered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.trail.receive(data.remaining() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
