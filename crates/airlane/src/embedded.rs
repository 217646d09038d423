//! Airlane inside a program: its tables are in the process, and workers that it starts share them.
//!
//! ```text
//! program ── put, get ──▶ Embedded ◀── local door: shared memory ──┐
//!    └─ worker("name", rights) ─▶ WorkerPass ─ environment ─▶ a process that calls `connect()`
//! ```
//!
//! Nobody else gets in: the server asks every process for a token, and only the program gives some out.
//! `examples/embedded_worker.rs` is a program with a worker in Python, `examples/embedded_service.rs` one that has a service of
//! its own on the same port.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use airlane_exchange::{Exchange, ReadStream};
use airlane_model::caller::{Grant, NamespacePattern};
use airlane_model::{ByteSize, Caller, Error, Receipt, Result, Right, TableInfo, TableName, codes};
use airlane_segment::{TableSchema, memory_bytes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::{Stream, StreamExt};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::server::{self, Handle, IssuedToken, LocalListening, LocalSocket, MountedDoors, ServerOptions};

pub use airlane_exchange::{PutSpec, SignedPass, TicketSpec};
pub use airlane_format::ChildParser;

/// The exchange inside a program. Dropping it ends it at once; see [`stop`](Self::stop).
#[derive(Debug)]
pub struct Embedded {
    handle: Handle,
    caller: Caller,
    /// Where the socket of the local door is.
    folder: TempDir,
}

/// What an exchange is started with.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Where durable tables are kept; without one all tables are in memory.
    pub data_dir: Option<PathBuf>,
    /// The memory that tables, puts and reads may take; absent: half of what the machine or its control group has.
    pub memory: Option<ByteSize>,
    /// Where it listens for Flight and HTTP; port 0 takes a free one. Absent: the program has the [doors](Embedded::doors) in a
    /// server of its own, or none.
    pub listen: Option<SocketAddr>,
    /// Who parses Parquet files that come by HTTP, such as the command `parse-parquet` of an `airlane` that is installed; absent:
    /// they are refused, since some would end the program.
    pub parquet_parser: Option<ChildParser>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { data_dir: None, memory: None, listen: Some((Ipv4Addr::LOCALHOST, 0).into()), parquet_parser: None }
    }
}

/// Lets one process in, with some rights, until it is dropped.
#[derive(Debug)]
pub struct WorkerPass {
    token: IssuedToken,
    url: Option<String>,
    socket: Option<PathBuf>,
}

/// The rows of a read, as they lie in the process.
pub struct Rows {
    schema: SchemaRef,
    /// Away only while a thread reads on.
    stream: Option<ReadStream>,
}

impl Embedded {
    /// Starts it, within a runtime of tokio with several threads.
    ///
    /// # Errors
    /// `address_in_use`, `folder_locked`, `format_unsupported`, `storage_failed`, `file_failed`.
    pub async fn start(options: EmbeddedOptions) -> Result<Self> {
        // Only its owner may look into it.
        let folder = tempfile::Builder::new().prefix("airlane-").tempdir().map_err(|error| {
            let message = format!("no folder for the socket of the local door: {error}");
            Error::new(codes::FILE_FAILED, message).source(error)
        })?;
        let socket = LocalSocket::At(folder.path().join("local.sock"));
        let handle = server::run(ServerOptions {
            listen: options.listen,
            data_dir: options.data_dir,
            memory: options.memory,
            parquet_parser: options.parquet_parser,
            local: LocalListening { socket, ..LocalListening::default() },
            is_closed: true,
            ..ServerOptions::default()
        })
        .await?;
        Ok(Self { handle, caller: Caller::local(), folder })
    }

    /// Puts a table. When this answers `Ok` the version is kept at its durability; after an error nothing of it is, but that
    /// after `commit_unknown` it may be.
    ///
    /// # Errors
    /// `schema_invalid`, `schema_mismatch`, `durability_conflict`, `limit_exceeded`, `memory_full`, `storage_full`,
    /// `storage_failed`, `commit_unknown`, `shutting_down`. An error of the input breaks the put off.
    pub async fn put(
        &self,
        spec: PutSpec,
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send,
    ) -> Result<Receipt> {
        let mut put = self.exchange().put_batches(&self.caller, spec, TableSchema::from_arrow(&schema)?)?;
        let mut batches = std::pin::pin!(batches);
        while let Some(batch) = batches.next().await.transpose()? {
            put.room(memory_bytes(&batch)).await?;
            // A full segment of a durable table waits for the disk.
            put = elsewhere(move || put.append(&batch).map(|()| put)).await?;
        }
        put.commit().await
    }

    /// Opens what a ticket names: `prices`, `prices@7`, or the ticket of a receipt.
    ///
    /// # Errors
    /// `ticket_invalid`, `table_not_found`, `version_not_found`, `table_recreated`, `rows_out_of_range`; `ticket_refused`,
    /// `ticket_expired`, `ticket_used`, `ticket_in_use` for signed tickets and counted reads.
    pub fn get(&self, ticket: &str) -> Result<Rows> {
        let stream = self.exchange().read(&self.caller, &ticket.parse()?)?;
        Ok(Rows { schema: Arc::clone(stream.schema().arrow()), stream: Some(stream) })
    }

    /// Signs a ticket for what another ticket names, or for a part of it: whoever holds it may read that, and nothing else.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `option_invalid` for columns that are not there.
    pub fn sign(&self, ticket: &str, spec: TicketSpec) -> Result<SignedPass> {
        self.exchange().sign(&self.caller, &ticket.parse()?, spec)
    }

    /// The tables whose names begin with `prefix`, in the order of their names.
    pub fn list(&self, prefix: &str) -> Vec<TableInfo> {
        self.exchange().list(&self.caller, prefix)
    }

    /// Drops a table; running readers finish.
    ///
    /// # Errors
    /// `table_not_found`, `commit_unknown`, `shutting_down`.
    pub async fn drop_table(&self, table: &TableName) -> Result<TableInfo> {
        self.exchange().drop_table(&self.caller, table).await
    }

    /// Lets a process in that the program is about to start: under this name, with rights in namespaces (`eu`, all that begin
    /// with `eu-*`, or all: `*`). It is let in as long as the pass is held.
    ///
    /// # Errors
    /// `option_invalid` for a name that no caller can have, or what is no namespace.
    pub fn worker(&self, name: &str, rights: &[(&str, &[Right])]) -> Result<WorkerPass> {
        let grants = rights.iter().map(|(namespaces, rights)| {
            let namespaces: NamespacePattern = namespaces.parse().map_err(|_| {
                Error::new(codes::OPTION_INVALID, format!("`{}` is no namespace", namespaces.escape_debug()))
                    .hint("write `eu`, `eu-*` for all that begin so, or `*` for all")
            })?;
            Ok(Grant { namespaces, rights: rights.to_vec() })
        });
        Ok(WorkerPass {
            token: self.handle.issue_token(name, grants.collect::<Result<_>>()?)?,
            url: self.handle.address().map(|address| format!("grpc://{address}")),
            socket: self.handle.local_socket().map(Into::into),
        })
    }

    /// Where it listens for Flight and HTTP, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.handle.address()
    }

    /// All doors as a service, for a server of the program.
    pub fn doors(&self) -> MountedDoors {
        self.handle.doors()
    }

    /// What a door can ask for.
    pub fn exchange(&self) -> &Exchange {
        self.handle.exchange()
    }

    /// Lets running requests end, closes the store, and ends.
    ///
    /// # Errors
    /// `commit_unknown` when the store failed: the next start decides what was kept.
    pub async fn stop(self) -> Result<()> {
        let Self { mut handle, folder, .. } = self;
        handle.stop();
        let ended = handle.wait().await;
        drop(folder);
        ended
    }
}

impl WorkerPass {
    /// What the process needs in its environment: any client of Airlane that is told no address and no token takes them from
    /// there. `AIRLANE_TOKEN` is a secret.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![("AIRLANE_TOKEN", self.token.token().expose().into())];
        variables.extend(self.url.as_ref().map(|url| ("AIRLANE_URL", url.into())));
        variables.extend(self.socket.as_ref().map(|socket| ("AIRLANE_LOCAL_SOCKET", socket.into())));
        variables
    }
}

impl Rows {
    /// The schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch, or `None` at the end. Its arrays are the table's own memory, and keep the version.
    ///
    /// # Errors
    /// `data_damaged`; where reads are counted `storage_full`, `storage_failed`, `commit_unknown`, `shutting_down`. Nothing
    /// comes after an error.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(mut stream) = self.stream.take() else { return Ok(None) };
        let (next, stream) = match stream.may_block() {
            true => elsewhere(move || stream.next_batch().map(|next| (next, stream))).await?,
            false => (stream.next_batch()?, stream),
        };
        self.stream = next.is_some().then_some(stream);
        Ok(next)
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Does what may wait for a disk on a thread for such work.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let failed = |error| Error::new(codes::INTERNAL, format!("the work of a thread broke off: {error}"));
    spawn_blocking(work).await.map_err(failed)?
}
