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
use futures::FutureExt;
use futures::future::Map;
use http::request::Parts;
use http_body::Body;
use http_body_util::{BodyExt, Either, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tower::{Layer, Service, ServiceExt};

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
        GatedDoors(GateLayer::new(gate, drain, self.clone()).bounded(streams).observed(observer).layer(self))
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
pub(super) struct GatedDoors(Gated<Doors, Doors>);

impl GatedDoors {
    /// The doors as one connection comes to them.
    pub(super) fn at(&self, peer: Peer, shown: Shown) -> Connected {
        Connected { doors: self.0.clone(), peer, shown }
    }

    /// Answers a request that came by another server. The gate is always ready.
    pub(super) fn call(&self, request: Request<HttpBody>) -> Answering {
        self.0.clone().call(request)
    }
}

/// The doors as one connection comes to them.
#[derive(Clone, Debug)]
pub(super) struct Connected {
    doors: Gated<Doors, Doors>,
    peer: Peer,
    shown: Shown,
}

impl hyper::service::Service<Request<Incoming>> for Connected {
    type Response = Response<Delivered<Audited<AnyBody>>>;
    type Error = Infallible;
    type Future = Map<Answering, fn(Answered) -> Result<Self::Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.shown.clone());
        // The gate is always ready.
        let answering = self.doors.clone().call(request);
        answering.map(deliver as fn(Answered) -> Result<Self::Response, Infallible>)
    }
}

pub(super) type Answered = Result<Response<Audited<AnyBody>>, Infallible>;
pub(super) type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

fn deliver(answered: Answered) -> Result<Response<Delivered<Audited<AnyBody>>>, Infallible> {
    answered.map(|response| {
        response.map(|body| {
            let trail = body.trail();
            Delivered::new(body, Some(trail))
        })
    })
}
