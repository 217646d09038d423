//! The Flight service as tonic serves it: the small calls, and DoGet and DoPut for clients that compress.
//!
//! DoGet and DoPut have their low-copy way in [`get`](crate::get) and [`put`](crate::put); here they go through
//! tonic's codec, over the same exchange and the same order of messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use airlane_exchange::words::Figures;
use airlane_exchange::{Exchange, ReadStream, StreamMessage};
use airlane_frames::read::{Fields, Sink};
use airlane_model::{ByteSize, Error, Result, Ticket, codes};
use airlane_segment::{Message, TableSchema};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tonic::{Code, Request, Response, Status, Streaming, async_trait};

use crate::caller;
use crate::descriptor;
use crate::get::{self, GetOptions, METADATA_BYTES_MAX, Pull, Readers, asks_plain_types, row_offset_metadata};
use crate::metrics::{Metrics, Traffic};
use crate::options;
use crate::put::{PutMachine, in_message};
use crate::sql::{self, Prepared};
use crate::status::from_error;
use airlane_gate::Patience;

mod action;
pub(crate) mod body;
mod contract;
mod endpoint;
mod handshake;
pub(crate) mod info;
mod retention;
mod session;
mod status;
mod ticket;

/// A compressed message, before and after decompression. tonic reserves what a length prefix claims, so the bound is
/// tighter than the one of the low-copy way, which believes nothing before it is there.
pub(crate) const COMPRESSED_BYTES_MAX: ByteSize = ByteSize::mib(64);

/// The Flight service.
#[derive(Clone, Debug)]
pub(crate) struct FlightRpcs {
    exchange: Exchange,
    endpoints_max: usize,
    readers: Readers,
    patience: Patience,
    metrics: Metrics,
    figures: Arc<dyn Figures>,
    prepared: Prepared,
}

impl FlightRpcs {
    /// Over an exchange; FlightInfo offers at most `endpoints_max` endpoints.
    pub(crate) fn new(
        exchange: Exchange,
        endpoints_max: usize,
        readers: Readers,
        patience: Patience,
        metrics: Metrics,
        figures: Arc<dyn Figures>,
        prepared: Prepared,
    ) -> Self {
        Self { exchange, endpoints_max, readers, patience, metrics, figures, prepared }
    }

    async fn get(&self, request: &Request<arrow_flight::Ticket>) -> Result<ReadStream> {
        let options = GetOptions::from_headers(request.metadata().as_ref())?;
        get::read(&self.exchange, &caller::of(request.extensions()), &request.get_ref().ticket, options).await
    }

    async fn schema(&self, request: &Request<FlightDescriptor>) -> Result<TableSchema> {
        let is_plain = asks_plain_types(request.metadata().as_ref())?;
        let caller = caller::of(request.extensions());
        let schema = match sql::command(&request.get_ref().cmd)? {
            Some(command) => sql::schema(&self.exchange, &caller, &self.prepared, command).await?,
            None => match descriptor::for_read(request.get_ref())? {
                Ticket::Query(query) => self.exchange.plan_query(&caller, &query).await?.schema,
                ticket => self.exchange.schema(&caller, &ticket)?,
            },
        };
        if is_plain { Exchange::plain_schema(&schema) } else { Ok(schema) }
    }

    async fn put(&self, request: Request<Streaming<FlightData>>) -> Result<Vec<u8>> {
        let headers = options::of_headers(request.metadata().as_ref())?;
        let caller = caller::of(request.extensions());
        let traffic = self.metrics.received(&caller);
        let mut machine = PutMachine::new(self.exchange.clone(), caller, headers, self.prepared.clone());
        let mut messages = request.into_inner();
        let mut count = 0_u64;
        while let Some(message) = self.patience.for_message(messages.message()).await?.map_err(codec_error)? {
            count += 1;
            let bytes = (message.data_header.len() + message.data_body.len()) as u64;
            traffic.add_bytes(bytes);
            machine.room(bytes).await?;
            take(&mut machine, message).map_err(|error| in_message(error, count))?;
        }
        traffic.add_rows(machine.rows());
        machine.commit().await
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
        let caller = caller::of(request.extensions());
        let is_plain = asks_plain_types(request.metadata().as_ref()).map_err(|error| from_error(&error))?;
        let descriptor = request.into_inner();
        let info = match sql::command(&descriptor.cmd) {
            Ok(None) => info::of_descriptor(&self.exchange, &caller, descriptor, self.endpoints_max, is_plain).await,
            Ok(Some(command)) => {
                sql::info(&self.exchange, &caller, &self.prepared, command, descriptor, is_plain).await
            }
            Err(error) => Err(error),
        };
        info.map(Response::new).map_err(|error| from_error(&error))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        let schema = self.schema(&request).await.map_err(|error| from_error(&error))?;
        Ok(Response::new(SchemaResult { schema: info::encapsulated(&schema) }))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        let caller = caller::of(request.extensions());
        let prefix = info::prefix(&request.into_inner()).map_err(|error| from_error(&error))?;
        let flights = info::list(self.exchange.clone(), caller, &prefix, self.endpoints_max);
        Ok(Response::new(Box::pin(flights)))
    }

    async fn do_get(&self, request: Request<arrow_flight::Ticket>) -> Answer<Self::DoGetStream> {
        let traffic = self.metrics.sent(&caller::of(request.extensions()));
        let read = self.get(&request).await.map_err(|error| from_error(&error))?;
        Ok(Response::new(Box::pin(messages(read, self.readers.clone(), traffic))))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let app_metadata = self.put(request).await.map_err(|error| from_error(&error))?.into();
        Ok(Response::new(Box::pin(stream::iter([Ok(PutResult { app_metadata })]))))
    }

    async fn do_action(&self, request: Request<Action>) -> Answer<Self::DoActionStream> {
        let caller = caller::of(request.extensions());
        let action = request.into_inner();
        let body = action::run(&self.exchange, self.figures.as_ref(), &self.prepared, &caller, &action).await;
        let body = body.map_err(|error| from_error(&error))?;
        Ok(Response::new(Box::pin(stream::iter(body.map(|body| Ok(arrow_flight::Result { body: body.into() }))))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        Ok(Response::new(Box::pin(stream::iter(action::list().map(Ok)))))
    }

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        handshake::answer(request.extensions())
    }

    /// What a descriptor names is there at once: the first poll is the last.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Answer<PollInfo> {
        let info = self.get_flight_info(request).await?.into_inner();
        let poll = PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: None };
        Ok(Response::new(poll))
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
        metadata: (!message.app_metadata.is_empty()).then_some(message.app_metadata),
    };
    machine.begin(&fields, message.data_body.len() as u64)?;
    machine.body(message.data_body)?;
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

/// The messages of a read, the schema first.
fn messages(
    read: ReadStream,
    readers: Readers,
    traffic: Traffic,
) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    let app_metadata = get::schema_metadata(&read).into();
    let schema = FlightData { data_header: read.schema().message().clone(), app_metadata, ..FlightData::default() };
    let mut pull = Pull::new(read, readers);
    let next = move |cx: &mut Context<'_>| -> Poll<Option<Result<FlightData, Status>>> {
        let next = pull.poll_next(cx);
        next.map(|next| {
            next.map(|message| message.map(|message| flight_data(message, &traffic)))
                .map_err(|error| from_error(&error))
                .transpose()
        })
    };
    stream::iter([Ok(schema)]).chain(stream::poll_fn(next))
}

fn flight_data(message: StreamMessage, traffic: &Traffic) -> FlightData {
    let mut buffer = [0; METADATA_BYTES_MAX];
    let (Message { header, body }, app_metadata) = match message {
        StreamMessage::Dictionary(message) => (message, Bytes::new()),
        StreamMessage::Batch { message, row_offset, rows } => {
            traffic.add_rows(rows);
            (message, Bytes::copy_from_slice(row_offset_metadata(row_offset, &mut buffer)))
        }
    };
    traffic.add_bytes((header.len() + body.len()) as u64);
    FlightData { data_header: header, data_body: body, app_metadata, flight_descriptor: None }
}
