//! Which code answers a request.
//!
//! | request | answered by |
//! | --- | --- |
//! | gRPC-web | [`web`](crate::web), which makes one of the following of it |
//! | `DoGet`, `DoPut` without compression | the low-copy bodies |
//! | all else that Flight, health and reflection have | tonic |
//! | any other path | `UNIMPLEMENTED` |

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::Exchange;
use airlane_exchange::words::Figures;
use airlane_frames::read::{Limits, Parser};
use airlane_model::{ByteSize, Error, Result, codes};
use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::Bytes;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tower::Service;

use crate::answer::{AnswerBody, Content, Deadline, code_of, fault};
use crate::caller;
use crate::deadline;
use crate::get::{self, GetBody, GetOptions, Readers};
use crate::metrics::Metrics;
use crate::options;
use crate::paths::Rpc;
use crate::put::{PutBody, PutMachine, Putter};
use crate::reflection::Health;
use crate::request::{RequestBody, read_message};
use crate::service::{COMPRESSED_BYTES_MAX, FlightRpcs};
use crate::sql::Prepared;
use crate::status;
use crate::web;
use airlane_gate::Patience;

/// The settings of the door.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// The body of one message of a put.
    pub body_bytes_max: ByteSize,
    /// One header of a call, name and value together.
    pub header_bytes_max: ByteSize,
    /// The endpoints that one FlightInfo offers.
    pub endpoints_max: usize,
    /// How long the stream of a read may be quiet: before, a record batch without rows is sent.
    pub quiet_max: Duration,
    /// How long clients may take to send.
    pub patience: Patience,
}

/// The Flight door. Cheap to clone.
#[derive(Clone)]
pub struct FlightDoor(Arc<Inner>);

struct Inner {
    exchange: Exchange,
    limits: Limits,
    header_bytes_max: ByteSize,
    readers: Readers,
    patience: Patience,
    metrics: Metrics,
    prepared: Prepared,
    routes: Routes,
    health: Health,
}

impl FlightDoor {
    /// Over an exchange.
    ///
    /// # Errors
    /// `internal`.
    pub fn new(exchange: Exchange, options: &FlightOptions, figures: Arc<dyn Figures>) -> Result<Self> {
        let compressed_bytes_max = options.body_bytes_max.min(COMPRESSED_BYTES_MAX).as_usize();
        let readers = Readers::new(options.quiet_max);
        let metrics = Metrics::default();
        let prepared = Prepared::default();
        let rpcs = FlightRpcs::new(
            exchange.clone(),
            options.endpoints_max,
            readers.clone(),
            options.patience,
            metrics.clone(),
            figures,
            prepared.clone(),
        );
        let rpcs = FlightServiceServer::new(rpcs)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .max_decoding_message_size(compressed_bytes_max)
            .max_encoding_message_size(usize::MAX);
        let (routes, health) = Health::add_to(Routes::new(rpcs))?;
        let limits = Limits::for_bodies(options.body_bytes_max, SMALLER);
        Ok(Self(Arc::new(Inner {
            exchange,
            limits,
            header_bytes_max: options.header_bytes_max,
            readers,
            patience: options.patience,
            metrics,
            prepared,
            routes: routes.prepare(),
            health,
        })))
    }

    /// From now on health checks hear that the server does not serve.
    pub fn set_not_serving(&self) {
        self.0.health.set_not_serving();
    }

    /// Ends health checks that wait for a change, so that their connections can end.
    pub fn end_health_checks(&self) {
        self.0.health.end();
    }

    /// Whether a request is for this door: gRPC or gRPC-web.
    pub fn takes(headers: &HeaderMap) -> bool {
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' '))) || web::takes(headers)
    }

    /// Answers a request with a refusal, by whoever has looked at it before this door.
    pub fn refuse_request(&self, head: &Parts, error: &Error) -> Response<AnswerBody> {
        let mut response = self.refuse(error);
        // Without messages the form of gRPC-web differs in its name alone.
        if let Some(content_type) = head.headers.get(header::CONTENT_TYPE).filter(|_| web::takes(&head.headers)) {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        response
    }

    /// Answers a request. It is from the caller in its extensions; without one there it may do nothing.
    pub async fn answer<B>(self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        if web::takes(request.headers()) {
            return web::answer(self, request).await;
        }
        self.answer_grpc(request.map(RequestBody::new)).await
    }

    /// Answers a request of gRPC.
    pub(crate) async fn answer_grpc<B>(self, request: Request<RequestBody<B>>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        let rpc = Rpc::of_path(request.uri().path());
        let deadline = check_headers(request.headers(), self.0.header_bytes_max)
            .and_then(|()| deadline::timeout(request.headers()));
        let deadline = match deadline.map(|timeout| timeout.and_then(Deadline::after)) {
            Ok(deadline) => deadline,
            Err(error) => return self.refuse(&error),
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
            Ok(Ok(response)) => response.map(|content| AnswerBody::new(content, deadline, self.0.metrics.clone())),
            Ok(Err(error)) => self.refuse(&error),
            Err(panic) => {
                self.0.metrics.count_panic();
                self.refuse(&fault(panic.as_ref()))
            }
        }
    }
}

impl FlightDoor {
    async fn route<B>(&self, rpc: Rpc, request: Request<RequestBody<B>>) -> Result<Response<Content>>
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
                let Ok(response) = routes.call(request).await;
                // tonic says nothing about a path that it does not have.
                let is_unknown = code_of(response.headers()) == tonic::Code::Unimplemented
                    && !response.headers().contains_key(tonic::Status::GRPC_MESSAGE);
                if is_unknown {
                    let message = format!("there is no RPC `{}`", path.escape_debug());
                    return Err(Error::new(codes::NOT_IMPLEMENTED, message)
                        .hint("ask the reflection service for the RPCs there are"));
                }
                if let Some(error) = refused_by_tonic(response.headers()) {
                    return Err(error);
                }
                Ok(response.map(Content::Tonic))
            }
        }
    }

    async fn get<B>(&self, request: Request<RequestBody<B>>) -> Result<GetBody>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: fmt::Display,
    {
        let caller = caller::of(request.extensions());
        let options = GetOptions::from_headers(request.headers())?;
        let message = self.0.patience.for_request(read_message(&mut request.into_body())).await?;
        let ticket = arrow_flight::Ticket::decode(message)
            .map_err(|error| Error::new(codes::MESSAGE_INVALID, "a request is no Ticket").source(error))?;
        let stream = get::read(&self.0.exchange, &caller, &ticket.ticket, options).await?;
        Ok(GetBody::new(stream, self.0.readers.clone(), self.0.metrics.sent(&caller)))
    }

    async fn put<B>(&self, request: Request<RequestBody<B>>) -> Result<PutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: fmt::Display,
    {
        // From here on the put is a task: to take a message may last, and the connection serves other calls too.
        tokio::task::yield_now().await;
        let headers = options::of_headers(request.headers())?;
        let caller = caller::of(request.extensions());
        let traffic = self.0.metrics.received(&caller);
        let machine = PutMachine::new(self.0.exchange.clone(), caller, headers, self.0.prepared.clone());
        let parser = Parser::new(self.0.limits.clone());
        let mut putter = Putter::new(parser, machine, request.into_body(), traffic, self.0.patience);
        // Refused here, a put is answered by a status alone, and pyarrow and others show it at once.
        putter.open().await?;
        if putter.is_received() {
            // Nothing is left to be told before the receipt: head, receipt and trailers leave in one write.
            return putter.finish().await.map(PutBody::of);
        }
        Ok(PutBody::new(putter.finish()))
    }

    /// The metrics, for answers that are made elsewhere.
    pub(crate) fn metrics(&self) -> Metrics {
        self.0.metrics.clone()
    }

    fn refuse(&self, error: &Error) -> Response<AnswerBody> {
        let status = status::from_error(error);
        let mut response = ok(AnswerBody::new(Content::Empty, None, self.0.metrics.clone()));
        response.headers_mut().extend(status::trailers(&status));
        response
    }
}

const SMALLER: &str = "send smaller record batches, or raise the server's setting `body_bytes_max`";

fn ok<T>(body: T) -> Response<T> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Refuses a header above the limit. What all of them have together is bounded by the listener.
fn check_headers(headers: &HeaderMap, bytes_max: ByteSize) -> Result<()> {
    let bytes = |(name, value): &(&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    match headers.iter().find(|header| bytes(header) > bytes_max.as_usize()) {
        None => Ok(()),
        Some(header) => {
            let (max, name) = (bytes_max.as_u64(), header.0);
            let message = format!("the header `{name}` has {} bytes, the most is {max} ({bytes_max})", bytes(&header));
            Err(Error::new(codes::LIMIT_EXCEEDED, message)
                .hint("shorten it, or raise the server's setting `header_bytes_max`"))
        }
    }
}

/// What tonic refused before anything of ours saw it: a request that is no message, which it takes for a fault of the
/// server, or one that is too long.
fn refused_by_tonic(answer: &HeaderMap) -> Option<Error> {
    let code = match code_of(answer) {
        _ if answer.contains_key(status::CODE_METADATA) => return None,
        tonic::Code::Internal => codes::MESSAGE_INVALID,
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => codes::LIMIT_EXCEEDED,
        _ => return None,
    };
    let status = tonic::Status::from_header_map(answer)?;
    let message = format!("a request cannot be read: {}", status.message());
    Some(Error::new(code, message).hint("send the message that the protocol has for this RPC"))
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get("grpc-encoding").is_some_and(|encoding| encoding != "identity")
}

impl fmt::Debug for FlightDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightDoor").finish_non_exhaustive()
    }
}
