//! The server under the client: arrow-flight's own service trait and nothing of Airlane's server.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use airlane_model::{
    Durability, Error, Receipt, Result, Retention, TableId, TableInfo, TableName, Timestamp, Version, codes,
};
use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::*;
use arrow_schema::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming, async_trait};

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// How the last put ended, as the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Open,
    Complete,
    Broken,
}

type Content = (SchemaRef, Vec<RecordBatch>);

#[derive(Clone)]
struct Service {
    tables: Arc<Mutex<BTreeMap<TableName, Content>>>,
    commands: Arc<Mutex<Vec<String>>>,
    verdict: watch::Sender<Verdict>,
}

pub(crate) struct Server {
    url: String,
    service: Service,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let url = format!("grpc://{}", listener.local_addr().expect("address"));
        Self::run(url, move || {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            tokio_stream::wrappers::TcpListenerStream::new(listener)
        })
    }

    pub(crate) async fn start_unix(path: &Path) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(path).expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        Self::run(format!("grpc+unix://{}", path.display()), move || {
            let listener = tokio::net::UnixListener::from_std(listener).expect("listener");
            tokio_stream::wrappers::UnixListenerStream::new(listener)
        })
    }

    fn run<S, T>(url: String, incoming: impl FnOnce() -> S + Send + 'static) -> Self
    where
        S: Stream<Item = std::io::Result<T>> + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        T: tonic::transport::server::Connected,
    {
        let (verdict, _) = watch::channel(Verdict::Open);
        let service = Service { tables: Arc::default(), commands: Arc::default(), verdict };
        // A runtime of its own, so that stopping it cuts every connection.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let flight = FlightServiceServer::new(service.clone()).max_decoding_message_size(usize::MAX);
        runtime.spawn(async move {
            tonic::transport::Server::builder().add_service(flight).serve_with_incoming(incoming()).await
        });
        Self { url, service, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.service.commands.lock().expect("lock").clone()
    }

    pub(crate) fn has(&self, table: &TableName) -> bool {
        self.service.tables.lock().expect("lock").contains_key(table)
    }

    /// Waits until the put has ended, and tells how.
    pub(crate) async fn verdict(&self) -> Verdict {
        let mut verdict = self.service.verdict.subscribe();
        *verdict.wait_for(|verdict| *verdict != Verdict::Open).await.expect("sender")
    }

    pub(crate) fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn status(error: Error) -> Status {
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert("airlane-code", error.code().name().parse().expect("ascii"));
    Status::with_metadata(error.kind().grpc_code().into(), error.to_string(), metadata)
}

fn no_table(name: &str) -> Status {
    status(Error::new(codes::TABLE_NOT_FOUND, format!("no table `{name}`")).hint("list the tables"))
}

fn info(table: &TableName, batches: &[RecordBatch]) -> TableInfo {
    TableInfo {
        table: table.clone(),
        table_id: TableId::from_bytes([7; 16]),
        version: Version::FIRST,
        rows: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        bytes: 0,
        segments: 1,
        durability: Durability::Ephemeral,
        created: Timestamp::default(),
        committed: Timestamp::default(),
        retention: Retention::default(),
        expires: None,
        owner: None,
        ticket: format!("{table}@1"),
    }
}

impl Service {
    fn find(&self, ticket: &str) -> Result<(TableName, SchemaRef, Vec<RecordBatch>), Status> {
        let ticket: airlane_model::PlainTicket = ticket.parse().map_err(status)?;
        let tables = self.tables.lock().expect("lock");
        let (schema, batches) = tables.get(&ticket.table).ok_or_else(|| no_table(ticket.table.as_str()))?;
        let batches = if ticket.rows.is_some_and(|rows| rows.rows() == 0) { Vec::new() } else { batches.clone() };
        Ok((ticket.table, schema.clone(), batches))
    }
}

#[async_trait]
impl FlightService for Service {
    type HandshakeStream = Answer<HandshakeResponse>;
    type ListFlightsStream = Answer<FlightInfo>;
    type DoGetStream = Answer<FlightData>;
    type DoPutStream = Answer<PutResult>;
    type DoActionStream = Answer<arrow_flight::Result>;
    type ListActionsStream = Answer<ActionType>;
    type DoExchangeStream = Answer<FlightData>;

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let mut messages = request.into_inner().peekable();
        let first = Pin::new(&mut messages).peek().await.expect("a message").clone()?;
        let command = first.flight_descriptor.expect("descriptor").cmd;
        let command = String::from_utf8(command.to_vec()).expect("text");
        let path: serde_json::Value = serde_json::from_str(&command).expect("JSON");
        let table: TableName = path["path"].as_str().expect("path").parse().map_err(status)?;
        self.commands.lock().expect("lock").push(command);
        if table.as_str() == "refused" {
            let error = Error::new(codes::SCHEMA_MISMATCH, "column n differs").at("column \"n\"").hint("cast it");
            return Err(status(error));
        }
        let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut decoder = FlightRecordBatchStream::new_from_flight_data(messages);
        let mut batches = Vec::new();
        let mut guard = Guard { verdict: self.verdict.clone(), complete: false };
        while let Some(batch) = decoder.next().await {
            batches.push(batch.map_err(|error| Status::internal(error.to_string()))?);
        }
        guard.complete = true;
        let TableInfo { table_id, version, rows, bytes, durability, ticket, .. } = info(&table, &batches);
        let receipt = Receipt {
            table: table.clone(),
            table_id,
            version,
            rows,
            bytes,
            rows_put: rows,
            durability,
            ticket,
            contract: None,
        };
        let schema = decoder.schema().expect("schema").clone();
        let is_answered = table.as_str() != "unanswered";
        self.tables.lock().expect("lock").insert(table, (schema, batches));
        if !is_answered {
            drop(guard);
            std::future::pending::<()>().await;
        }
        let results =
            [PutResult::default(), PutResult { app_metadata: serde_json::to_vec(&receipt).expect("JSON").into() }];
        Ok(Response::new(stream::iter(results.map(Ok)).boxed()))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ticket = String::from_utf8(request.into_inner().ticket.to_vec()).expect("text");
        let batch = |n: i64| {
            let column = arrow_array::Int64Array::from_iter_values(n..n + 1000);
            RecordBatch::try_from_iter([("n", Arc::new(column) as _)]).expect("batch")
        };
        if ticket == "endless" {
            let endless = stream::iter(0..).map(move |n| Ok(batch(n)));
            let encoded = FlightDataEncoderBuilder::new().build(endless).map_err(Status::from);
            return Ok(Response::new(encoded.boxed()));
        }
        if ticket == "quiet" {
            let (first, second) = (batch(0), batch(1));
            let batches = vec![first.slice(0, 0), first.clone(), first.slice(0, 0), second, first.slice(0, 0)];
            let messages = utils::batches_to_flight_data(&first.schema(), batches).expect("encoded");
            return Ok(Response::new(stream::iter(messages.into_iter().map(Ok)).boxed()));
        }
        let (_, schema, batches) = self.find(&ticket)?;
        let encoder = FlightDataEncoderBuilder::new().with_schema(schema);
        Ok(Response::new(encoder.build(stream::iter(batches.into_iter().map(Ok))).map_err(Status::from).boxed()))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let prefix = String::from_utf8(request.into_inner().expression.to_vec()).expect("text");
        let tables = self.tables.lock().expect("lock");
        let flights: Vec<_> = tables
            .iter()
            .filter(|(table, _)| table.as_str().starts_with(&prefix))
            .map(|(table, (_, batches))| {
                let app_metadata = serde_json::to_vec(&info(table, batches)).expect("JSON").into();
                Ok(FlightInfo { app_metadata, ..FlightInfo::default() })
            })
            .collect();
        Ok(Response::new(stream::iter(flights).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let action = request.into_inner();
        let ticket = String::from_utf8(action.body.to_vec()).expect("text");
        let (table, _, batches) = self.find(&ticket)?;
        if action.r#type == "drop" {
            self.tables.lock().expect("lock").remove(&table);
        }
        let body = serde_json::to_vec(&info(&table, &batches)).expect("JSON").into();
        Ok(Response::new(stream::iter([Ok(arrow_flight::Result { body })]).boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(Status::unimplemented("handshake"))
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Err(Status::unimplemented("get_flight_info"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(Status::unimplemented("poll_flight_info"))
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Err(Status::unimplemented("get_schema"))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Err(Status::unimplemented("list_actions"))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("do_exchange"))
    }
}

struct Guard {
    verdict: watch::Sender<Verdict>,
    complete: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.verdict.send_replace(if self.complete { Verdict::Complete } else { Verdict::Broken });
    }
}
