//! A server on a free port, and a stock arrow-flight client of it.

use std::os::unix::fs::MetadataExt;

use airlane::server::{Handle, ServerOptions, run_over};
use airlane_format::ChildParser;
use airlane_format::child::{MEMORY_DEFAULT, TIME_DEFAULT};
use airlane_model::Receipt;
use airlane_store::StoreOptions;
use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, PutResult, Ticket};
use arrow_schema::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub(crate) type Client = FlightServiceClient<Channel>;

/// A server with a folder of its own. Dropping it stops it.
pub(crate) struct TestServer {
    pub(crate) handle: Handle,
    pub(crate) folder: TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_, _| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut StoreOptions, &mut ServerOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = StoreOptions::new(Some(folder.path().join("data")));
        let mut options = options();
        change(&mut store, &mut options);
        let handle = run_over(store, options).await.expect("a server");
        Self { handle, folder }
    }

    /// Stops it and starts another over its folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { mut handle, folder } = self;
        handle.stop();
        handle.wait().await.expect("stopped");
        let store = StoreOptions::new(Some(folder.path().join("data")));
        let handle = run_over(store, options()).await.expect("a server");
        Self { handle, folder }
    }

    pub(crate) fn address(&self) -> String {
        self.handle.address().expect("a port").to_string()
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> Client {
        client_of(&self.address()).await
    }

    /// The names of all tables.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.handle
            .exchange()
            .list(&airlane_model::Caller::local(), "")
            .into_iter()
            .map(|info| info.table.to_string())
            .collect()
    }
}

fn options() -> ServerOptions {
    let binary = crate::cli::binary().to_owned();
    let parser = ChildParser::new(binary, vec!["parse-parquet".into()], MEMORY_DEFAULT, TIME_DEFAULT);
    let listen = Some(([127, 0, 0, 1], 0).into());
    ServerOptions { listen, parquet_parser: Some(parser), ..ServerOptions::default() }
}

/// A stock client of any server, such as a process of its own.
pub(crate) async fn client_of(address: &str) -> Client {
    let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
    Client::new(channel.connect().await.expect("a connection"))
}

pub(crate) fn by_path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![name.to_owned()])
}

/// The messages of a put, as a stock client encodes them; dictionaries stay dictionaries.
pub(crate) fn encode(
    descriptor: FlightDescriptor,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
) -> impl Stream<Item = FlightData> + Send + 'static {
    FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(descriptor))
        .with_schema(schema)
        .build(stream::iter(batches.into_iter().map(Ok)))
        .map(|message| message.expect("encoded"))
}

/// The messages of a put as a list, to be taken apart.
pub(crate) async fn encoded(name: &str, batches: &[RecordBatch]) -> Vec<FlightData> {
    encode(by_path(name), batches[0].schema(), batches.to_vec()).collect().await
}

/// Sends messages as a put; the receipt is that of the last result.
pub(crate) async fn put_messages(
    client: &mut Client,
    messages: impl Stream<Item = FlightData> + Send + 'static,
) -> Result<Receipt, Status> {
    put_request(client, Request::new(messages)).await
}

pub(crate) async fn put_request(
    client: &mut Client,
    request: Request<impl Stream<Item = FlightData> + Send + 'static>,
) -> Result<Receipt, Status> {
    let results: Vec<PutResult> = client.do_put(request).await?.into_inner().try_collect().await?;
    let last = results.last().expect("a result");
    Ok(serde_json::from_slice(&last.app_metadata).expect("a receipt"))
}

pub(crate) async fn put(client: &mut Client, name: &str, batches: &[RecordBatch]) -> Result<Receipt, Status> {
    put_messages(client, encode(by_path(name), batches[0].schema(), batches.to_vec())).await
}

/// What a ticket names: its schema and batches.
pub(crate) async fn get(client: &mut Client, ticket: &str) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
    let messages = client.do_get(Ticket::new(ticket.to_owned())).await?.into_inner();
    decode(messages).await
}

pub(crate) async fn decode(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => panic!("{other}"),
        })?);
    }
    Ok((stream.schema().expect("the schema comes first").clone(), batches))
}

/// All messages of a read, as they came.
pub(crate) async fn get_messages(client: &mut Client, ticket: &str) -> Result<Vec<FlightData>, Status> {
    client.do_get(Ticket::new(ticket.to_owned())).await?.into_inner().try_collect().await
}

/// The name of the error's code, as the metadata of a status carries it.
pub(crate) fn code_name(status: &Status) -> &str {
    status.metadata().get("airlane-code").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What a process holds in memory, in bytes: private pages, and the pages and blocks of its memory files.
pub(crate) fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().expect("a number") << 10
    };
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors").flatten();
    let memory_files = descriptors.filter(|entry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        target.to_string_lossy().starts_with("/memfd:")
    });
    let blocks = memory_files.filter_map(|entry| Some(std::fs::metadata(entry.path()).ok()?.blocks() * 512));
    of("RssAnon:") + of("RssShmem:") + blocks.sum::<u64>()
}

/// Waits until something becomes true, which it must within a minute, on the slowest machine.
pub(crate) async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("this did not come true: {what}");
}
