//! Which door a request is for: gRPC by its content type, everything else is HTTP. The gate stands before both.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use airlane_flight::{AnswerBody, FlightDoor, Rope, Rpc};
use airlane_gate::{Audited, Drain, Gate, GateLayer, Gated, Metered, Observer, Peer, RequestName, Shown, Streams};
use airlane_model::Error;
use axum::Router;
use axum::body::Body as HttpBody;
use axum::response::Response as HttpResponse;
use bytes::Bytes;
use futures::future::{self, Map};
use futures::{FutureExt, TryFutureExt};
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, Either, Empty, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::CorsLayer;

use super::cors::Origins;
use super::readers::Delivered;

/// The doors of one port. Cloned for each request.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    pub(super) flight: FlightDoor,
    pub(super) http: Router,
}

pub(super) type AnyBody = Either<AnswerBody, UnsyncBoxBody<Rope, axum::Error>>;

impl Doors {
    /// The doors behind the gate.
    pub(super) fn behind(
        self,
        gate: Gate,
        drain: Drain,
        streams: Streams,
        observer: Option<Arc<dyn Observer>>,
    ) -> GatedDoors {
        let gated = GateLayer::new(gate, drain, self.clone()).bounded(streams).observed(observer).layer(self);
        GatedDoors { gated, cors: None }
    }
}

impl<B> Service<Request<Metered<B>>> for Doors
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError> + fmt::Display,
{
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Metered<B>>) -> Self::Future {
        if FlightDoor::takes(request.headers()) {
            let flight = self.flight.clone();
            return Box::pin(async move { Ok(flight.answer(request).await.map(Either::Left)) });
        }
        let http = self.http.clone();
        Box::pin(async move { Ok(of_http(http.oneshot(request.map(HttpBody::new)).await?)) })
    }
}

impl airlane_gate::Doors for Doors {
    type Body = AnyBody;

    fn names(&self) -> Vec<RequestName> {
        let flight = Rpc::ALL.into_iter().map(|(_, name, is_stream)| RequestName { name, is_stream });
        let http =
            airlane_http::ROUTES.into_iter().map(|route| RequestName { name: route.name, is_stream: route.is_stream });
        flight.chain(http).chain([RequestName { name: "no such path", is_stream: false }]).collect()
    }

    fn name_of(&self, head: &Parts) -> usize {
        let path = head.uri.path();
        match FlightDoor::takes(&head.headers) {
            true => Rpc::of_path(path) as usize,
            false => Rpc::ALL.len() + airlane_http::name_of(&head.method, path),
        }
    }

    fn is_grpc(&self, head: &Parts) -> bool {
        FlightDoor::takes(&head.headers)
    }

    fn is_open(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        if FlightDoor::takes(&head.headers) { airlane_flight::is_probe(path) } else { airlane_http::is_probe(path) }
    }

    fn is_answered_to_the_end(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        if FlightDoor::takes(&head.headers) { airlane_flight::is_probe(path) } else { airlane_http::is_watching(path) }
    }

    fn is_login(&self, head: &Parts) -> bool {
        FlightDoor::takes(&head.headers) && airlane_flight::is_login(head.uri.path())
    }

    fn is_stream(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        match FlightDoor::takes(&head.headers) {
            true => airlane_flight::is_data(path),
            false => airlane_http::is_stream(&head.method, path),
        }
    }

    fn refuse(&self, head: &Parts, error: &Error) -> Response<AnyBody> {
        match FlightDoor::takes(&head.headers) {
            true => self.flight.refuse_request(head, error).map(Either::Left),
            false => of_http(airlane_http::refusal(error)),
        }
    }
}

fn of_http(response: HttpResponse) -> Response<AnyBody> {
    response.map(|body| Either::Right(body.map_frame(|frame| frame.map_data(Rope::from)).boxed_unsync()))
}

/// The doors behind the gate.
#[derive(Clone, Debug)]
pub(super) struct GatedDoors {
    gated: Gated<Doors, Doors>,
    cors: Option<Arc<CorsLayer>>,
}

impl GatedDoors {
    /// Lets pages of these origins read the answers.
    pub(super) fn open_to(self, origins: &Origins) -> Self {
        Self { cors: origins.layer().map(Arc::new), ..self }
    }

    /// The doors as one connection comes to them.
    pub(super) fn at(&self, peer: Peer, shown: Shown) -> Connected {
        Connected { doors: self.clone(), peer, shown }
    }

    /// Answers a request. The gate is always ready.
    pub(super) fn call<B>(&self, request: Request<B>) -> Answering
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError> + fmt::Display,
    {
        let mut gated = self.gated.clone();
        let Some(cors) = &self.cors else {
            return future::Either::Left(gated.call(request).map(of_gate as fn(OfGate) -> Answered));
        };
        let gated =
            ServiceExt::<Request<B>>::map_response(gated, |response: Response<Audited<AnyBody>>| response.map(Some));
        let answering = cors.layer(gated).call(request);
        // The answer to a preflight has no body.
        let body = |body: Option<_>| body.map_or_else(|| Either::Right(Empty::new()), Either::Left);
        future::Either::Right(Box::pin(answering.map_ok(move |response| response.map(body))))
    }
}

/// The doors as one connection comes to them.
#[derive(Clone, Debug)]
pub(super) struct Connected {
    doors: GatedDoors,
    peer: Peer,
    shown: Shown,
}

impl hyper::service::Service<Request<Incoming>> for Connected {
    type Response = Response<Delivered<AnsweredBody>>;
    type Error = Infallible;
    type Future = Map<Answering, fn(Answered) -> Result<Self::Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.shown.clone());
        let answering = self.doors.call(request);
        answering.map(deliver as fn(Answered) -> Result<Self::Response, Infallible>)
    }
}

/// A body from behind the gate, or none, of what was answered before it.
pub(super) type AnsweredBody = Either<Audited<AnyBody>, Empty<Rope>>;
pub(super) type Answered = Result<Response<AnsweredBody>, Infallible>;
type OfGate = Result<Response<Audited<AnyBody>>, Infallible>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Answering = future::Either<Map<Boxed<OfGate>, fn(OfGate) -> Answered>, Boxed<Answered>>;

fn of_gate(answered: OfGate) -> Answered {
    answered.map(|response| response.map(Either::Left))
}

fn deliver(answered: Answered) -> Result<Response<Delivered<AnsweredBody>>, Infallible> {
    answered.map(|response| {
        response.map(|body| {
            let trail = match &body {
                Either::Left(audited) => Some(audited.trail()),
                Either::Right(_) => None,
            };
            Delivered::new(body, trail)
        })
    })
}
