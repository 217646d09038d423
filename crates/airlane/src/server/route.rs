//! Which door a request is for: gRPC by its content type, everything else is HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use airlane_flight::{AnswerBody, FlightDoor, Rope};
use axum::Router;
use axum::body::Body as HttpBody;
use http_body_util::{BodyExt, Either, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use tower::ServiceExt;

/// The doors of one port. Cloned for each connection.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    pub(super) flight: FlightDoor,
    pub(super) http: Router,
}

type AnyBody = Either<AnswerBody, UnsyncBoxBody<Rope, axum::Error>>;

impl Service<Request<Incoming>> for Doors {
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if FlightDoor::takes(request.headers()) {
            let flight = self.flight.clone();
            return Box::pin(async move { Ok(flight.answer(request).await.map(Either::Left)) });
        }
        let http = self.http.clone();
        Box::pin(async move {
            let response = http.oneshot(request.map(HttpBody::new)).await?;
            let body =
                |body: HttpBody| Either::Right(body.map_frame(|frame| frame.map_data(Rope::from)).boxed_unsync());
            Ok(response.map(body))
        })
    }
}
