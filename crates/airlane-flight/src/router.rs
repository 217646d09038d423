//! Which code answers a request.
//!
//! | request | answered by |
//! | --- | --- |
//! | `DoGet`, `DoPut` without compression | the low-copy bodies |
//! | all else that Flight, health and reflection have | tonic |
//! | any other path | `UNIMPLEMENTED` |

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use airlane_exchange::Exchange;
use airlane_model::{ByteSize, Error, Result, Ticket, codes};
use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tower::Service;

use crate::answer::{AnswerBody, Content, Deadline, code_of, fault};
use crate::deadline;
use crate::get::GetBody;
use crate::metrics::{Call, Metrics, Rpc};
use crate::options::PutOptions;
use crate::parse::{ParseLimits, Parser};
use crate::put::{PutBody, PutMachine, Putter};
use crate::reflection::Health;
use crate::request::{RequestBody, read_message};
use crate::service::{COMPRESSED_BYTES_MAX, FlightRpcs};
use crate::status;

/// The settings of the door.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// The body of one message of a put.
    pub body_bytes_max: ByteSize,
    /// The endpoints that one FlightInfo offers.
    pub endpoints_max: usize,
}

/// The Flight door. Cheap to clone.
#[derive(Clone)]
pub struct FlightDoor(Arc<Inner>);

struct Inner {
    exchange: Exchange,
    limits: ParseLimits,
    metrics: Arc<Metrics>,
    routes: Routes,
    health: Health,
}

impl FlightDoor {
    /// Over an exchange.
    ///
    /// # Errors
    /// `internal`.
    pub fn new(exchange: Exchange, options: &FlightOptions) -> Result<Self> {
        let compressed_bytes_max = options.body_bytes_max.min(COMPRESSED_BYTES_MAX).as_usize();
        let rpcs = FlightServiceServer::new(FlightRpcs::new(exchange.clone(), options.endpoints_max))
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(compressed_bytes_max)
            .max_encoding_message_size(usize::MAX);
        let (routes, health) = Health::add_to(Routes::new(rpcs))?;
        let limits = ParseLimits::for_bodies(options.body_bytes_max);
        let routes = routes.prepare();
        Ok(Self(Arc::new(Inner { exchange, limits, metrics: Arc::default(), routes, health })))
    }

    /// From now on health checks hear that the server does not serve.
    pub fn set_not_serving(&self) {
        self.0.health.set_not_serving();
    }

    /// Whether a request is for this door: gRPC, and not gRPC-web.
    pub fn takes(headers: &HeaderMap) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
    }

    /// Answers a request.
    pub async fn answer<B>(self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let rpc = Rpc::of_path(request.uri().path());
        let call = self.0.metrics.begin(rpc);
        let deadline = deadline::timeout(request.headers());
        let deadline = match deadline.map(|timeout| timeout.and_then(Deadline::after)) {
            Ok(deadline) => deadline,
            Err(error) => return self.refuse(&error, call),
        };
        let answering = AssertUnwindSafe(self.route(rpc, request)).catch_unwind();
        let answered = match deadline {
            None => answering.await,
            Some(Deadline { at, timeout }) => match tokio::time::timeout_at(at, answering).await {
                Ok(answered) => answered,
                Err(_) => Ok(Err(deadline::exceeded(timeout))),
            },
        };
        match answered {
            Ok(Ok(response)) => self.complete(response, deadline, call),
            Ok(Err(error)) => self.refuse(&error, call),
            Err(panic) => {
                call.count_panic();
                self.refuse(&fault(panic.as_ref()), call)
            }
        }
    }
}

impl FlightDoor {
    async fn route<B>(&self, rpc: Rpc, request: Request<B>) -> Result<Response<Content>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let low_copy = request.method() == Method::POST && !is_compressed(request.headers());
        match rpc {
            Rpc::DoGet if low_copy => self.get(request).await.map(|body| ok(Content::Get(body))),
            Rpc::DoPut if low_copy => self.put(request).await.map(|body| ok(Content::Put(body))),
            _ => {
                let path = request.uri().path().to_owned();
                let mut routes = self.0.routes.clone();
                let Ok(response) = routes.call(request.map(RequestBody::new)).await;
                // tonic says nothing about a path that it does not have.
                let is_unknown = code_of(response.headers()) == tonic::Code::Unimplemented
                    && !response.headers().contains_key(tonic::Status::GRPC_MESSAGE);
                if is_unknown {
                    let message = format!("there is no RPC `{}`", path.escape_debug());
                    return Err(Error::new(codes::NOT_IMPLEMENTED, message)
                        .hint("ask the reflection service for the RPCs there are"));
                }
                Ok(response.map(Content::Tonic))
            }
        }
    }

    async fn get<B>(&self, request: Request<B>) -> Result<GetBody>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        let message = read_message(&mut RequestBody::new(request.into_body())).await?;
        let ticket = arrow_flight::Ticket::decode(message)
            .map_err(|error| Error::new(codes::MESSAGE_INVALID, "a request is no Ticket").source(error))?;
        let stream = self.0.exchange.read(&Ticket::parse_bytes(&ticket.ticket)?)?;
        Ok(GetBody::new(stream, self.0.metrics.sent()))
    }

    async fn put<B>(&self, request: Request<B>) -> Result<PutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let headers = PutOptions::from_headers(request.headers())?;
        let machine = PutMachine::new(self.0.exchange.clone(), headers);
        let body = RequestBody::new(request.into_body());
        let mut putter = Putter::new(Parser::new(self.0.limits.clone()), machine, body, self.0.metrics.received());
        // Refused here, a put is answered by a status alone, and pyarrow and others show it at once.
        putter.open().await?;
        Ok(PutBody::new(putter.finish()))
    }

    fn complete(
        &self,
        response: Response<Content>,
        deadline: Option<Deadline>,
        mut call: Call,
    ) -> Response<AnswerBody> {
        if response.headers().contains_key(tonic::Status::GRPC_STATUS) {
            call.end(code_of(response.headers()));
        }
        response.map(|content| AnswerBody::new(content, deadline, call))
    }

    fn refuse(&self, error: &Error, mut call: Call) -> Response<AnswerBody> {
        let status = status::from_error(error);
        call.end(status.code());
        let mut response = ok(AnswerBody::new(Content::Empty, None, call));
        response.headers_mut().extend(status::trailers(&status));
        response
    }
}

fn ok<T>(body: T) -> Response<T> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity")
}

impl fmt::Debug for FlightDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightDoor").finish_non_exhaustive()
    }
}
