//! Which door a request is for: gRPC by its content type, everything else is HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use airlane_flight::rope::Rope;
use axum::Router;
use axum::body::Body as HttpBody;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Either, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use tower::ServiceExt;

/// The doors of one port. Cloned for each connection.
#[derive(Clone, Debug)]
pub(super) struct Doors<F> {
    pub(super) flight: F,
    pub(super) http: Router,
}

type BodyOf<F> = Either<F, UnsyncBoxBody<Rope, axum::Error>>;

impl<F, B> Service<Request<Incoming>> for Doors<F>
where
    F: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    F::Future: Send + 'static,
    B: http_body::Body<Data = Rope> + Send + 'static,
{
    type Response = Response<BodyOf<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if is_grpc(request.headers()) {
            let answer = self.flight.call(request);
            return Box::pin(async move { answer.await.map(|response| response.map(Either::Left)) });
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

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
