//! The call: headers and status as gRPC over HTTP/2 has them.

use airlane_frames::write::put_ticket;
use airlane_model::Result;
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use crate::connect::Service;

const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Sends a ticket, and waits for the head of the answer. What the server says instead of an answer is a status.
///
/// # Errors
/// `limit_exceeded` for a ticket that no message can carry.
pub(super) async fn do_get(
    mut service: Service,
    ticket: &[u8],
    headers: HeaderMap,
) -> Result<std::result::Result<Body, Status>> {
    let mut message = BytesMut::new();
    put_ticket(&mut message, ticket)?;
    let mut request = Request::new(Body::new(Full::new(message.freeze())));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    // The channel adds scheme and authority.
    *request.uri_mut() = http::Uri::from_static(DO_GET);
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    request.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    let answer = match service.ready().await {
        Ok(service) => service.call(request).await,
        Err(error) => Err(error),
    };
    Ok(match answer {
        Ok(answer) => open(answer),
        Err(error) => Err(Status::from_error(error.into())),
    })
}

/// The body of an answer, unless its head says all.
fn open(answer: http::Response<Body>) -> std::result::Result<Body, Status> {
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return match status.code() {
            tonic::Code::Ok => Ok(answer.into_body()),
            _ => Err(status),
        };
    }
    if answer.status() != StatusCode::OK {
        return Err(of_http(answer.status()));
    }
    match answer.headers().get(ENCODING).filter(|encoding| *encoding != "identity") {
        // It was not asked for.
        Some(encoding) => Err(Status::unimplemented(format!("the answer is compressed, with {encoding:?}"))),
        None => Ok(answer.into_body()),
    }
}

/// How an answer ended.
pub(super) fn status_of(trailers: Option<&HeaderMap>) -> std::result::Result<(), Status> {
    match trailers.and_then(Status::from_header_map) {
        Some(status) if status.code() == tonic::Code::Ok => Ok(()),
        Some(status) => Err(status),
        // Whether all came is not known: what stands between may have ended it.
        None => Err(Status::unknown("the answer ends without a status")),
    }
}

/// What something says that is no gRPC server, by the table of the gRPC project (doc/http-grpc-status-mapping.md).
fn of_http(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::BAD_REQUEST => tonic::Code::Internal,
        StatusCode::UNAUTHORIZED => tonic::Code::Unauthenticated,
        StatusCode::FORBIDDEN => tonic::Code::PermissionDenied,
        StatusCode::NOT_FOUND => tonic::Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => tonic::Code::Unavailable,
        _ => tonic::Code::Unknown,
    };
    Status::new(code, format!("the answer is no gRPC, its HTTP status is {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(status: u16, headers: &[(&'static str, &'static str)]) -> std::result::Result<(), tonic::Code> {
        let mut answer = http::Response::new(Body::empty());
        *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
        for (name, value) in headers {
            answer.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        open(answer).map(drop).map_err(|status| status.code())
    }

    #[test]
    fn the_head_of_an_answer_is_judged() {
        assert_eq!(opened(200, &[]), Ok(()));
        assert_eq!(opened(200, &[("grpc-status", "0")]), Ok(()));
        assert_eq!(opened(200, &[("grpc-encoding", "identity")]), Ok(()));
        assert_eq!(opened(200, &[("grpc-encoding", "gzip")]), Err(tonic::Code::Unimplemented));
        assert_eq!(opened(200, &[("grpc-status", "16")]), Err(tonic::Code::Unauthenticated));
        // The word of a gRPC server counts more than the HTTP status beside it.
        assert_eq!(opened(503, &[("grpc-status", "8")]), Err(tonic::Code::ResourceExhausted));
        for (http, code) in
            [(503, tonic::Code::Unavailable), (401, tonic::Code::Unauthenticated), (500, tonic::Code::Unknown)]
        {
            assert_eq!(opened(http, &[("content-type", "text/html")]), Err(code), "{http}");
        }
    }
}
