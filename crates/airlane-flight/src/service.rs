//! The Flight service as tonic serves it: the small calls, and DoGet and DoPut for clients that compress.
//!
//! DoGet and DoPut have their low-copy way in [`get`](crate::get) and [`put`](crate::put); here they go through
//! tonic's codec, over the same exchange and the same order of messages.

use std::pin::Pin;

use airlane_exchange::{Exchange, ReadStream, StreamMessage};
use airlane_model::{ByteSize, Error, Result, Ticket, codes};
use airlane_segment::Message;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult,
};
use bytes::Bytes;
use futures::{Stream, stream};
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

use crate::blocking;
use crate::descriptor;
use crate::get::{METADATA_BYTES_MAX, row_offset_metadata};
use crate::options::PutOptions;
use crate::parse::{Fields, Sink};
use crate::put::{PutMachine, receipt_json};
use crate::status::from_error;

mod action;
mod info;

/// A compressed message, before and after decompression. tonic reserves what a length prefix claims, so the bound is
/// tighter than the one of the low-copy way, which believes nothing before it is there.
pub(crate) const COMPRESSED_BYTES_MAX: ByteSize = ByteSize::mib(64);

/// The Flight service.
#[derive(Clone, Debug)]
pub(crate) struct FlightRpcs {
    exchange: Exchange,
    endpoints_max: usize,
}

impl FlightRpcs {
    /// Over an exchange; FlightInfo offers at most `endpoints_max` endpoints.
    pub(crate) fn new(exchange: Exchange, endpoints_max: usize) -> Self {
        Self { exchange, endpoints_max }
    }

    async fn put(&self, request: Request<Streaming<FlightData>>) -> Result<Vec<u8>> {
        let headers = PutOptions::from_headers(request.metadata().as_ref())?;
        let mut machine = PutMachine::new(self.exchange.clone(), headers);
        let mut messages = request.into_inner();
        let mut count = 0_u64;
        while let Some(message) = messages.message().await.map_err(codec_error)? {
            count += 1;
            take(&mut machine, message).map_err(|error| {
                let place = error.place().map_or(String::new(), |place| format!(", {place}"));
                error.at(format!("message {count} of the put{place}"))
            })?;
        }
        receipt_json(&machine.commit().await?)
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl FlightService for FlightRpcs {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        let descriptor = request.into_inner();
        let info = info::of_descriptor(&self.exchange, descriptor, self.endpoints_max).await;
        info.map(Response::new).map_err(|error| from_error(&error))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let ticket = descriptor::for_read(&request.into_inner());
        let described = ticket.and_then(|ticket| self.exchange.describe(&ticket));
        let described = described.map_err(|error| from_error(&error))?;
        Ok(Response::new(SchemaResult { schema: info::encapsulated(&described.schema) }))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        let prefix = info::prefix(&request.into_inner()).map_err(|error| from_error(&error))?;
        let flights = info::list(self.exchange.clone(), &prefix, self.endpoints_max);
        Ok(Response::new(Box::pin(flights)))
    }

    async fn do_get(&self, request: Request<arrow_flight::Ticket>) -> Answer<Self::DoGetStream> {
        let ticket = Ticket::parse_bytes(&request.into_inner().ticket);
        let read = ticket.and_then(|ticket| self.exchange.read(&ticket)).map_err(|error| from_error(&error))?;
        Ok(Response::new(Box::pin(messages(read))))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let app_metadata = self.put(request).await.map_err(|error| from_error(&error))?.into();
        Ok(Response::new(Box::pin(stream::iter([Ok(PutResult { app_metadata })]))))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let body = action::run(&self.exchange, &request.into_inner()).await.map_err(|error| from_error(&error))?;
        Ok(Response::new(Box::pin(stream::iter([Ok(arrow_flight::Result { body: body.into() })]))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        Ok(Response::new(Box::pin(stream::iter(action::list().map(Ok)))))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        Err(not_implemented("Handshake", "this server asks for no credentials: call it without"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        Err(not_implemented("PollFlightInfo", "call GetFlightInfo, which answers at once"))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        Err(not_implemented("DoExchange", "put the table with DoPut, and read it with DoGet"))
    }
}

fn not_implemented(rpc: &str, hint: &str) -> Status {
    from_error(&Error::new(codes::NOT_IMPLEMENTED, format!("{rpc} is not implemented")).hint(hint))
}

fn take(machine: &mut PutMachine, message: FlightData) -> Result<()> {
    let fields = Fields {
        descriptor: message.flight_descriptor.map(|descriptor| prost::Message::encode_to_vec(&descriptor).into()),
        header: message.data_header,
        has_metadata: !message.app_metadata.is_empty(),
    };
    machine.begin(&fields, message.data_body.len() as u64)?;
    machine.body(&message.data_body)?;
    machine.end(&fields)
}

/// What tonic's codec says about the stream of a request.
fn codec_error(status: Status) -> Error {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Error::new(codes::LIMIT_EXCEEDED, status.message())
            .hint("send smaller record batches, or send them without gRPC compression"),
        // A request body says why it ended; `Unknown` is how tonic wraps it.
        Code::Cancelled | Code::Unknown => Error::new(codes::CALL_CANCELLED, status.message()),
        _ => Error::new(codes::MESSAGE_INVALID, status.message()),
    }
}

/// The messages of a read.
fn messages(read: ReadStream) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    let schema = Some(read.schema().message().clone());
    stream::try_unfold((schema, Box::new(read)), async |(schema, mut read)| {
        if let Some(data_header) = schema {
            let message = FlightData { data_header, ..FlightData::default() };
            return Ok(Some((message, (None, read))));
        }
        let next = if read.will_open() {
            let opened = tokio::task::spawn_blocking(move || {
                let next = read.next_message();
                (read, next)
            });
            let next;
            (read, next) = blocking::joined(opened.await).map_err(|error| from_error(&error))?;
            next
        } else {
            read.next_message()
        };
        let message = next.map_err(|error| from_error(&error))?;
        Ok(message.map(|message| (flight_data(message), (None, read))))
    })
}

fn flight_data(message: StreamMessage) -> FlightData {
    let mut buffer = [0; METADATA_BYTES_MAX];
    let (Message { header, body }, app_metadata) = match message {
        StreamMessage::Dictionary(message) => (message, Bytes::new()),
        StreamMessage::Batch { message, row_offset, .. } => {
            (message, Bytes::copy_from_slice(row_offset_metadata(row_offset, &mut buffer)))
        }
    };
    FlightData { data_header: header, data_body: body, app_metadata, flight_descriptor: None }
}
