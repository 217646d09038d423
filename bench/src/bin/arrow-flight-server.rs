//! The peer in Rust: a stock arrow-flight server that keeps the tables that are put in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use arrow_schema::SchemaRef;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status, Streaming};

type Table = (SchemaRef, Vec<RecordBatch>);

#[derive(Default)]
struct Server {
    tables: Mutex<HashMap<Vec<u8>, Arc<Table>>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn absent<T>() -> Answer<T> {
    Err(Status::unimplemented("not part of the benchmark"))
}

#[tonic::async_trait]
impl FlightService for Server {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let ticket = request.into_inner().ticket;
        let found = self.tables.lock().map_err(|_| Status::internal("poisoned"))?.get(&ticket[..]).cloned();
        let table = found.ok_or_else(|| Status::not_found("no such table"))?;
        let batches = futures::stream::iter(table.1.clone()).map(Ok::<_, FlightError>);
        let encoded = FlightDataEncoderBuilder::new()
            .with_schema(table.0.clone())
            .with_dictionary_handling(DictionaryHandling::Resend)
            .build(batches)
            .map_err(Status::from);
        Ok(Response::new(encoded.boxed()))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        let mut messages = request.into_inner().peekable();
        let first = std::pin::Pin::new(&mut messages).peek().await;
        let descriptor = match first {
            Some(Ok(message)) => message.flight_descriptor.clone(),
            _ => None,
        };
        let path = descriptor.ok_or_else(|| Status::invalid_argument("no descriptor"))?.path.join("/");
        let mut decoder = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
        let mut batches = Vec::new();
        while let Some(batch) = decoder.next().await {
            batches.push(batch.map_err(Status::from)?);
        }
        let schema = decoder.schema().cloned().ok_or_else(|| Status::invalid_argument("no schema"))?;
        let mut tables = self.tables.lock().map_err(|_| Status::internal("poisoned"))?;
        tables.insert(path.into_bytes(), Arc::new((schema, batches)));
        Ok(Response::new(futures::stream::empty().boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        absent()
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        absent()
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        absent()
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        absent()
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        absent()
    }
    async fn do_action(&self, _: Request<Action>) -> Answer<Self::DoActionStream> {
        absent()
    }
    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        absent()
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        absent()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let service = FlightServiceServer::new(Server::default()).max_decoding_message_size(usize::MAX);
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await?;
    Ok(())
}
