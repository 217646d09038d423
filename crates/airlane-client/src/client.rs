//! The calls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airlane_model::figures::ServerFigures;
use airlane_model::{
    ByteSize, Code, Durability, Error, IdempotencyKey, PlainTicket, PutMode, Receipt, Result, RetentionChange,
    RowRange, TableInfo, TableName, Ticket, codes,
};
use arrow_array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, FlightInfo, PutResult};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tonic::{Request, Status};

use crate::abort::AbortFlag;
use crate::address::{Address, PORT_DEFAULT};
use crate::authorize::Credentials;
use crate::connect::{ConnectOptions, Service, connect};
use crate::encode::Encoder;
use crate::error;
use crate::local::{LocalClient, Servers};
use crate::parallel::ParallelRows;
use crate::read::{FlightRows, Source};
use crate::stream::TableStream;
use crate::ticket::{KeyRotation, SignedTicketInfo, TicketOptions};

/// A connection to a server. Clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    service: Service,
    resume_for: Duration,
    local: Option<LocalClient>,
}

/// What a put is to do.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Replace or append.
    pub mode: PutMode,
    /// The durability; absent: the table's own, or durable for a new table.
    pub durability: Option<Durability>,
    /// What changes of the retention; the rest is the table's own, or what the server gives new tables of its name.
    pub retention: RetentionChange,
    /// What makes the put safe to repeat: when a put with the same key, rows and options was done before, by this caller
    /// into this table, its receipt is the answer, and nothing is done again.
    pub key: Option<IdempotencyKey>,
    /// How many bytes come, about, where that is known: then the segments of a large table are made to suit it. By shared
    /// memory its last rows are handed over so that the commit does not wait for them.
    pub bytes_expected: Option<ByteSize>,
    /// Has the receipt carry a signed ticket of this kind instead of a plain one; its columns and rows are those of the table.
    pub ticket: Option<TicketOptions>,
}

impl Client {
    /// Connects to an [`Address`], such as `grpc://127.0.0.1:8815` or `grpc+unix:///run/airlane.sock`; an empty text is the
    /// server of this machine, at the local door that is looked at by default, else at the default port.
    ///
    /// A server of this machine is asked for [shared memory](Transport::SharedMemory); [`shares_memory`](Self::shares_memory) tells
    /// whether it has that.
    ///
    /// # Errors
    /// `server_unreachable`; `option_invalid` for an address of another form.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, &ConnectOptions::default()).await
    }

    /// As [`connect`](Self::connect), with options. Credentials are shown with each call. Whether they are good is said by the
    /// first call: `credentials_missing`, `credentials_refused`, `logins_throttled`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and `option_invalid` for credentials that no header can carry.
    pub async fn connect_with(url: &str, options: &ConnectOptions) -> Result<Self> {
        let local = match url.is_empty() || options.shares_memory {
            true => find_local(url, options).await,
            false => None,
        };
        let (local, address) = match (local, url) {
            (Some((local, found)), "") => (Some(local), found.parse()?),
            (None, "") => (None, format!("grpc://127.0.0.1:{PORT_DEFAULT}").parse()?),
            (local, url) => {
                let address: Address = url.parse()?;
                let same = |(local, found): (LocalClient, String)| address.is_local(&found).then_some(local);
                (local.and_then(same), address)
            }
        };
        let local = local.filter(|_| options.shares_memory);
        let service = connect(&address, options).await?;
        Ok(Self { address, service, resume_for: options.resume_for, local })
    }

    /// Whether tables come and go by shared memory, as far as can be said before one does.
    pub fn shares_memory(&self) -> bool {
        self.local.is_some()
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Puts a table. Batches are asked for as the connection takes them. When this answers `Ok`, the version is kept
    /// as the receipt says. When it answers an error nothing of the put is kept, but that `connection_broken`,
    /// `deadline_exceeded` and `commit_unknown` may come when it was being committed: repeat it then if it has a
    /// [key](PutOptions::key), and look at the table's version if it has none.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`. An error of the input stream breaks the put off.
    pub async fn put(
        &self,
        table: &TableName,
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
        options: PutOptions,
    ) -> Result<Receipt> {
        // What the local door cannot say in its receipt goes the other way.
        if let Some(local) = self.local.as_ref().filter(|_| options.ticket.is_none()) {
            return local.put(table, schema, batches, &options).await;
        }
        let flag = AbortFlag::default();
        let failure = Failure::default();
        let encoder = Encoder::new(schema, descriptor(table, options));
        let messages = messages(encoder, batches, flag.clone(), failure.clone());
        let mut request = Request::new(messages);
        request.extensions_mut().insert(flag);
        let answered = self.answer(request).await;
        // The failure of the input explains the server's answer, which only says that the put broke off.
        if let Some(error) = failure.take() {
            return Err(error);
        }
        let last = answered.map_err(|status| self.error(&status))?;
        self.parse(last.map(|result| result.app_metadata), "PutResult")
    }

    async fn answer(
        &self,
        request: Request<impl Stream<Item = FlightData> + Send + 'static>,
    ) -> Result<Option<PutResult>, Status> {
        let mut results = self.rpcs().do_put(request).await?.into_inner();
        let mut last = None;
        while let Some(result) = results.message().await? {
            last = Some(result);
        }
        Ok(last)
    }

    /// Reads what a ticket names: `prices`, `prices@7`, `prices@7?rows=0-1000`, or the ticket of a receipt. A read that breaks
    /// [goes on](TableStream) where it stopped.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn get(&self, ticket: &str) -> Result<TableStream> {
        // What is computed has no memory to be shared.
        let is_query = || matches!(ticket.parse(), Ok(Ticket::Query(_)));
        if let Some(local) = self.local.as_ref().filter(|_| !is_query()) {
            match local.get(ticket).await {
                Ok(table) => return Ok(table.into()),
                Err(error) if STREAMED_INSTEAD.contains(&error.code()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(FlightRows::open(self.source(), ticket, None).await?.into())
    }

    /// As [`get`](Self::get), by up to so many flights at once: for tables that a single connection is too slow for. The rows come
    /// in order. By shared memory there is nothing to be gained, and it is the same.
    ///
    /// # Errors
    /// As [`get`](Self::get). A read that is counted is one read.
    pub async fn get_parallel(&self, ticket: &str, flights_max: usize) -> Result<TableStream> {
        if self.local.is_some() || flights_max < 2 {
            return self.get(ticket).await;
        }
        Ok(ParallelRows::open(self, ticket, flights_max).await?.into())
    }

    pub(crate) async fn flight_info(&self, descriptor: FlightDescriptor) -> Result<FlightInfo> {
        let answer = self.rpcs().get_flight_info(descriptor).await;
        Ok(answer.map_err(|status| self.error(&status))?.into_inner())
    }

    /// The calls that tonic makes: all but DoGet. Messages may have any size: what a server sends was asked for.
    fn rpcs(&self) -> FlightServiceClient<Service> {
        FlightServiceClient::new(self.service.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    pub(crate) fn source(&self) -> Source {
        Source { address: self.address.clone(), service: self.service.clone(), resume_for: self.resume_for }
    }

    pub(crate) fn resume_for(&self) -> Duration {
        self.resume_for
    }

    /// The tables whose names begin with `prefix`, in the order of their names.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<TableInfo>> {
        let criteria = Criteria { expression: Bytes::copy_from_slice(prefix.as_bytes()) };
        let answer = self.rpcs().list_flights(criteria).await.map_err(|status| self.error(&status))?;
        let mut flights = answer.into_inner();
        let mut tables = Vec::new();
        while let Some(flight) = flights.message().await.map_err(|status| self.error(&status))? {
            tables.push(self.parse(Some(flight.app_metadata), "FlightInfo")?);
        }
        Ok(tables)
    }

    /// A table in the version that a ticket names, and its schema.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn describe(&self, ticket: &Ticket) -> Result<(TableInfo, SchemaRef)> {
        let info: TableInfo = self.act("describe", ticket.to_string()).await?;
        // The schema comes first in every read, also in one of no rows. Naming version and id makes it the schema of
        // just this table.
        let nothing = PlainTicket {
            table: info.table.clone(),
            version: Some(info.version),
            table_id: Some(info.table_id),
            rows: Some(RowRange { start: 0, end: 0 }),
        };
        let schema = self.get(&nothing.to_string()).await?.schema().clone();
        Ok((info, schema))
    }

    /// Drops a table, everywhere, and answers what it was.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn drop_table(&self, table: &TableName) -> Result<TableInfo> {
        self.act("drop", table.to_string()).await
    }

    /// Signs a ticket for what another ticket names, or for a part of it. Whoever holds it may read that, with this
    /// client's [`get`](Self::get) or any other.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn sign(&self, ticket: &Ticket, options: &TicketOptions) -> Result<SignedTicketInfo> {
        self.act("ticket", options.request(ticket)).await
    }

    /// Has the server sign tickets by a new key from now on. Those that were signed before stay good.
    ///
    /// # Errors
    /// What the server answers, such as `permission_denied`, and `connection_broken`.
    pub async fn rotate_ticket_keys(&self) -> Result<KeyRotation> {
        self.act("rotate_ticket_keys", String::new()).await
    }

    /// The same, and no ticket that was signed before is taken any more.
    ///
    /// # Errors
    /// As [`rotate_ticket_keys`](Self::rotate_ticket_keys).
    pub async fn revoke_tickets(&self) -> Result<KeyRotation> {
        self.act("rotate_ticket_keys", serde_json::json!({ "revoke": true }).to_string()).await
    }

    /// Changes how long a table is kept, and answers what it is now.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn set_retention(&self, table: &TableName, change: RetentionChange) -> Result<TableInfo> {
        let mut body = serde_json::json!({ "table": table });
        add_rules(&mut body, change);
        self.act("retention", body.to_string()).await
    }

    /// How the server does.
    ///
    /// # Errors
    /// What the server answers, such as `permission_denied`, and `connection_broken`.
    pub async fn status(&self) -> Result<ServerFigures> {
        self.act("status", String::new()).await
    }

    pub(crate) async fn act<T: serde::de::DeserializeOwned>(&self, name: &str, body: String) -> Result<T> {
        let action = Action { r#type: name.into(), body: body.into() };
        let answer = self.rpcs().do_action(action).await.map_err(|status| self.error(&status))?;
        let result = answer.into_inner().message().await.map_err(|status| self.error(&status))?;
        self.parse(result.map(|result| result.body), name)
    }

    fn error(&self, status: &Status) -> Error {
        error::from_status(&self.address, status)
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, json: Option<Bytes>, what: &str) -> Result<T> {
        let json = json.unwrap_or_default();
        serde_json::from_slice(&json).map_err(|error| {
            Error::new(codes::MESSAGE_INVALID, format!("the answer is not what an Airlane server sends: {error}"))
                .at(format!("{what} of {}", self.address))
                .hint("is there an Airlane server of this version at the address?")
        })
    }
}

/// What the local door refuses and a stream does not: the caller's quota of mapped memory, memory for what has to be laid
/// out anew, or a door that is gone.
const STREAMED_INSTEAD: [Code; 5] = [
    codes::QUOTA_EXCEEDED,
    codes::MEMORY_FULL,
    codes::LIMIT_EXCEEDED,
    codes::CONNECTION_BROKEN,
    codes::SERVER_UNREACHABLE,
];

/// The variable by which a server is told where its local door is; clients look there too.
const LOCAL_SOCKET: &str = "AIRLANE_LOCAL_SOCKET";

/// The local door of this machine, where it is one that this caller can be known at, and the server's address.
async fn find_local(url: &str, options: &ConnectOptions) -> Option<(LocalClient, String)> {
    if !url.is_empty() && !url.parse::<Address>().ok()?.is_loopback() {
        return None;
    }
    let token = match &options.credentials {
        Credentials::None => None,
        Credentials::Token(token) => Some(token.clone()),
        // It knows nobody by these.
        Credentials::Password { .. } => return None,
    };
    if options.identity.is_some() {
        return None;
    }
    let named = std::env::var_os(LOCAL_SOCKET).map(PathBuf::from).filter(|path| path.is_absolute());
    let (path, servers) = match options.local_socket.clone().or(named) {
        Some(path) => (path, Servers::Any),
        None => (airlane_handover::socket_default(), Servers::OwnAndRoot),
    };
    LocalClient::connect(path, servers, token, options.deadline).await.ok()
}

fn descriptor(table: &TableName, options: PutOptions) -> FlightDescriptor {
    let mut command = serde_json::json!({ "path": table, "mode": options.mode });
    if let Some(durability) = options.durability {
        command["durability"] = serde_json::json!(durability);
    }
    if let Some(key) = options.key {
        command["idempotency_key"] = key.as_str().into();
    }
    if let Some(ticket) = options.ticket {
        command["ticket"] = ticket.object();
    }
    add_rules(&mut command, options.retention);
    FlightDescriptor::new_cmd(command.to_string())
}

fn add_rules(object: &mut serde_json::Value, change: RetentionChange) {
    for (rule, text) in change.rules() {
        object[rule] = text.into();
    }
}

/// Where the stream of a put leaves the error that ended it.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    fn set(&self, error: Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The messages of a put. An error raises the flag and then ends the stream.
fn messages(
    encoder: Encoder,
    batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
    flag: AbortFlag,
    failure: Failure,
) -> impl Stream<Item = FlightData> + Send + 'static {
    let state = (encoder, batches.boxed(), flag, failure);
    stream::unfold(state, async |(mut encoder, mut batches, flag, failure)| {
        loop {
            if let Some(message) = encoder.pop() {
                return Some((message, (encoder, batches, flag, failure)));
            }
            let pushed = match batches.next().await? {
                Ok(batch) => encoder.push(&batch),
                Err(error) => Err(error),
            };
            if let Err(error) = pushed {
                failure.set(error);
                flag.raise();
                return None;
            }
        }
    })
}
