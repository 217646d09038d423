//! The calls.

use std::time::Duration;

use airlane_client::{Client, ClientIdentity, ConnectOptions, Credentials, PutOptions, TicketOptions};
use airlane_model::{ByteSize, Error, Receipt, Result, RetentionChange, RowRange, Secret, TableName, Ticket, codes};
use arrow_array::RecordBatch;
use futures::{Stream, stream};
use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::raise;
use crate::input::{Batches, Input};
use crate::process::{self, Own};
use crate::stream::{self as reading, Count};
use crate::table::Schema;
use crate::wait::Call;

/// Batches on their way from the thread that calls to the connection.
const BATCHES_AHEAD: usize = 2;

/// A connection to a server. What it answers of tables is JSON, as the server sends it.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Connection(Own<Client>);

/// The options of a put, by name.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PutWords {
    mode: String,
    durability: Option<String>,
    retention: Vec<(String, String)>,
    key: Option<String>,
    bytes_expected: Option<u64>,
    ticket: Option<TicketWords>,
}

/// The options of a signed ticket, by name.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TicketWords {
    columns: Option<Vec<String>>,
    rows: Option<(u64, u64)>,
    ttl: Option<f64>,
    caller: Option<String>,
    reads: Option<u64>,
    at_most_once: bool,
}

/// How to connect, by name. Certificates and keys are PEM.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ConnectWords {
    token: Option<String>,
    user: Option<String>,
    password: Option<String>,
    authorities: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    key: Option<String>,
    resume_for: Option<f64>,
}

#[pymethods]
impl Connection {
    #[staticmethod]
    fn connect(py: Python<'_>, url: &str, words: ConnectWords, call: &Call) -> PyResult<Self> {
        let options = words.options().map_err(raise)?;
        let client = call.wait(py, async { Client::connect_with(url, &options).await })?;
        Ok(Self(Own::new(client)))
    }

    /// Where the server is.
    #[getter]
    fn url(&self) -> PyResult<String> {
        Ok(self.client()?.address().to_string())
    }

    fn put(&self, py: Python<'_>, table: &str, input: &Input, words: PutWords, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        let table = name(table)?;
        let options = words.options().map_err(raise)?;
        let batches = input.take().map_err(raise)?;
        json(&put(py, client, table, batches, options, call)?)
    }

    fn get(&self, py: Python<'_>, ticket: &str, call: &Call) -> PyResult<reading::Stream> {
        let client = self.client()?;
        Ok(reading::Stream::new(call.wait(py, async { client.get(ticket).await })?))
    }

    fn tables(&self, py: Python<'_>, prefix: &str, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        json(&call.wait(py, async { client.list(prefix).await })?)
    }

    fn describe(&self, py: Python<'_>, ticket: &str, call: &Call) -> PyResult<(String, Schema)> {
        let (client, ticket) = (self.client()?, parse(ticket)?);
        let (info, schema) = call.wait(py, async { client.describe(&ticket).await })?;
        Ok((json(&info)?, Schema(schema)))
    }

    fn drop(&self, py: Python<'_>, table: &str, call: &Call) -> PyResult<String> {
        let (client, table) = (self.client()?, name(table)?);
        json(&call.wait(py, async { client.drop_table(&table).await })?)
    }

    fn sign(&self, py: Python<'_>, ticket: &str, words: TicketWords, call: &Call) -> PyResult<String> {
        let (client, ticket) = (self.client()?, parse(ticket)?);
        let options = words.options().map_err(raise)?;
        json(&call.wait(py, async { client.sign(&ticket, &options).await })?)
    }

    fn retain(&self, py: Python<'_>, table: &str, rules: Vec<(String, String)>, call: &Call) -> PyResult<String> {
        let (client, table) = (self.client()?, name(table)?);
        let change = change(&rules).map_err(raise)?;
        json(&call.wait(py, async { client.set_retention(&table, change).await })?)
    }

    fn status(&self, py: Python<'_>, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        json(&call.wait(py, async { client.status().await })?)
    }

    fn contract_add(
        &self,
        py: Python<'_>,
        contract: &str,
        document: &str,
        compatibility: &str,
        call: &Call,
    ) -> PyResult<String> {
        let (client, compatibility) = (self.client()?, compatibility.parse().map_err(raise)?);
        json(&call.wait(py, async { client.add_contract(contract, document, compatibility).await })?)
    }

    fn contracts(&self, py: Python<'_>, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        json(&call.wait(py, async { client.contracts().await })?)
    }

    fn contract_show(&self, py: Python<'_>, contract: &str, version: Option<u64>, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        Ok(call.wait(py, async { client.contract(contract, version).await })?.document)
    }

    fn contract_bind(&self, py: Python<'_>, tables: &str, contract: &str, mode: &str, call: &Call) -> PyResult<()> {
        let (client, mode) = (self.client()?, mode.parse().map_err(raise)?);
        call.wait(py, async { client.bind_contract(tables, contract, mode).await })
    }

    fn contract_unbind(&self, py: Python<'_>, tables: &str, call: &Call) -> PyResult<String> {
        let client = self.client()?;
        json(&call.wait(py, async { client.unbind_contract(tables).await })?)
    }
}

impl Connection {
    fn client(&self) -> PyResult<Client> {
        self.0.get().cloned().map_err(raise)
    }
}

/// Asks for batches on this thread, where Python code may have to make them, while the runtime sends those before.
fn put(
    py: Python<'_>,
    client: Client,
    table: TableName,
    mut batches: Batches,
    options: PutOptions,
    call: &Call,
) -> PyResult<Receipt> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let schema = batches.schema.clone();
    let runtime = process::runtime().map_err(raise)?;
    let mut sending =
        AbortOnDrop(runtime.spawn(async move { client.put(&table, schema, sent(receiver), options).await }));
    let count = Count::of(call);
    loop {
        let batch = batches.next(py)?;
        let is_last = batch.is_none();
        batch.iter().for_each(|batch| count.add(batch));
        let is_taken = call.wait_telling(py, async { Ok(sender.send(batch).await.is_ok()) }, || count.get())?;
        if is_last || !is_taken {
            break;
        }
    }
    let answer = async {
        let stopped = |error| Err(Error::new(codes::INTERNAL, format!("the put stopped: {error}")));
        (&mut sending.0).await.unwrap_or_else(stopped)
    };
    let receipt = call.wait_telling(py, answer, || count.get())?;
    call.tell(py, count.get())?;
    Ok(receipt)
}

/// The batches that were sent, up to the `None` after the last. A channel that closes before it belongs to a call that broke off:
/// that is an error of the stream, so that the server keeps nothing, and not its end.
fn sent(receiver: mpsc::Receiver<Option<RecordBatch>>) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    stream::unfold(Some(receiver), async |receiver| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(batch) => Some((Ok(batch?), Some(receiver))),
            None => Some((Err(Error::new(codes::CALL_CANCELLED, "the batches of the put broke off")), None)),
        }
    })
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop(tokio::task::JoinHandle<Result<Receipt>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ConnectWords {
    fn options(self) -> Result<ConnectOptions> {
        let credentials = match (self.token, self.user, self.password) {
            (None, None, None) => Credentials::None,
            (Some(token), None, None) => Credentials::Token(Secret::new(token)),
            (None, Some(user), Some(password)) => Credentials::Password { user, password: Secret::new(password) },
            (Some(_), _, _) => return Err(invalid("there is a token, and a user or a password as well")),
            _ => return Err(invalid("a user and a password go together")),
        };
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate, key: Secret::new(key) }),
            _ => return Err(invalid("a certificate and its key go together")),
        };
        let defaults = ConnectOptions::default();
        let resume_for = self.resume_for.map(|time| seconds("resume_for", time)).transpose()?;
        Ok(ConnectOptions {
            credentials,
            authorities: self.authorities,
            identity,
            resume_for: resume_for.unwrap_or(defaults.resume_for),
            ..defaults
        })
    }
}

impl PutWords {
    fn options(self) -> Result<PutOptions> {
        Ok(PutOptions {
            mode: self.mode.parse()?,
            durability: self.durability.map(|text| text.parse()).transpose()?,
            retention: change(&self.retention)?,
            key: self.key.map(|text| text.parse()).transpose()?,
            bytes_expected: self.bytes_expected.map(ByteSize::bytes),
            ticket: self.ticket.map(TicketWords::options).transpose()?,
        })
    }
}

impl TicketWords {
    fn options(self) -> Result<TicketOptions> {
        let reads = self.reads.map(|reads| {
            reads.try_into().map_err(|_| invalid("a ticket of no reads would be of no use: `reads` is 1 or more"))
        });
        Ok(TicketOptions {
            columns: self.columns,
            rows: self.rows.map(|(start, end)| RowRange::new(start, end)).transpose()?,
            ttl: self.ttl.map(|time| seconds("ttl", time)).transpose()?,
            caller: self.caller,
            reads: reads.transpose()?,
            at_most_once: self.at_most_once,
        })
    }
}

fn change(rules: &[(String, String)]) -> Result<RetentionChange> {
    let mut change = RetentionChange::default();
    for (rule, text) in rules {
        change = change.join(RetentionChange::of(rule, text)?)?;
    }
    Ok(change)
}

fn seconds(name: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| invalid(&format!("`{name}` is no time: {seconds}")).hint("a number of seconds, zero or more"))
}

fn invalid(message: &str) -> Error {
    Error::new(codes::OPTION_INVALID, message)
}

fn name(table: &str) -> PyResult<TableName> {
    TableName::parse(table).map_err(raise)
}

fn parse(ticket: &str) -> PyResult<Ticket> {
    ticket.parse().map_err(raise)
}

fn json(answer: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(answer)
        .map_err(|error| raise(Error::new(codes::INTERNAL, format!("an answer has no JSON: {error}")).source(error)))
}
