//! gRPC-web: gRPC for clients that cannot read trailers, as in browsers, over HTTP/1.1 and HTTP/2.
//!
//! ```text
//! request   gRPC's messages, or their base64        ──tonic-web──▶  a request of gRPC, answered like any other
//! answer    gRPC's messages │ 80 len "grpc-status:0\r\n" …  ◀──tonic-web──  messages and trailers
//! ```
//!
//! | content type | what the body holds |
//! | --- | --- |
//! | `application/grpc-web`, `application/grpc-web+proto` | bytes |
//! | `application/grpc-web-text`, `application/grpc-web-text+proto` | base64; in the answer where `accept` asks for it |
//!
//! The bytes of an answer are copied once more than in gRPC. Whether a page of another origin can read the answers is said
//! elsewhere, for all doors.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use airlane_gate::outcome_of;
use bytes::{Buf, Bytes};
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use http_body_util::BodyExt;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, service_fn};

use crate::answer::AnswerBody;
use crate::caller;
use crate::request::RequestBody;
use crate::rope::Rope;
use crate::router::FlightDoor;

/// The content types, as tonic-web knows them.
const CONTENT_TYPES: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// Whether a request is one of gRPC-web.
pub(crate) fn takes(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| CONTENT_TYPES.iter().any(|name| value == name))
}

/// Answers a request as the door answers that of gRPC which it stands for.
pub(crate) async fn answer<B>(door: FlightDoor, request: Request<B>) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: fmt::Display,
{
    let has_vanished = Arc::new(AtomicBool::new(false));
    let version = request.version();
    let (trail, metrics) = (caller::of(request.extensions()).trail().cloned(), door.metrics());
    let request = request.map(|body| RequestBody::watched(body, version, has_vanished.clone()));
    let mut translated = GrpcWebLayer::new().layer(service_fn(move |request: Request<tonic::body::Body>| {
        let request = request.map(|body| RequestBody::translated(body, has_vanished.clone()));
        let (answer, trail) = (door.clone().answer_grpc(request), trail.clone());
        let joined = move |frame: http_body::Frame<Rope>| {
            // Trailers become bytes, in which nobody after this would find them.
            if let (Some(trail), Some(outcome)) = (&trail, frame.trailers_ref().and_then(outcome_of)) {
                trail.end(outcome);
            }
            joined(frame)
        };
        async move { Ok::<_, Infallible>(answer.await.map(|body| tonic::body::Body::new(body.map_frame(joined)))) }
    }));
    let Ok(response) = translated.call(request).await;
    response.map(|body| AnswerBody::translated(body, metrics))
}

fn joined(frame: http_body::Frame<Rope>) -> http_body::Frame<Bytes> {
    frame.map_data(|mut rope| rope.copy_to_bytes(rope.remaining()))
}
