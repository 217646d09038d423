//! The façade in the domain's words. Every door calls this and nothing below it; no protocol is known here.
//!
//! Each operation takes who asks for it and looks at the rights first.

mod access;
pub mod blocking;
mod changes;
mod contracts;
mod enforce;
mod flights;
mod hand_in;
mod hand_out;
mod keys;
mod pause;
mod put;
mod query;
mod read;
mod refusals;
mod statistics;
mod tickets;
pub mod values;
mod window;
pub mod words;

use std::future::Future;
use std::sync::Arc;

use airlane_model::figures::TableFigures;
use airlane_model::{
    ByteSize, Caller, Chance, PlainTicket, Result, RetentionChange, RowRange, TableInfo, TableName, Ticket, Timestamp,
    VersionInfo,
};
use airlane_query::Engine;
pub use airlane_query::{CATALOG, QueryLimits};
use airlane_segment::TableSchema;
use airlane_store::{ReadSpec, Store};

pub use airlane_store::PutSpec;

pub use changes::{NumberedChange, Seen, Watch};
use contracts::Contracts;
pub use contracts::{ContractTypes, Newer};
pub use hand_in::{HandIn, Producer};
pub use hand_out::{Descriptor, HandOut, Opening, Piece, ReadEnd};
pub use keys::Rotation;
pub use pause::Pause;
pub use put::PutStream;
use put::Putting;
pub use query::QueryPlan;
use read::TableRead;
pub use read::{ReadStream, StreamMessage};
pub use refusals::RefusedTickets;
pub use statistics::{ColumnStatistics, Statistics};
pub use tickets::{COUNTED_TTL_DEFAULT, COUNTED_TTL_MAX, SignedPass, TicketSpec};
pub use window::Window;

use keys::KeyRing;
use refusals::Refusals;
use statistics::KeptStatistics;
use tickets::{Reading, count_of};

/// What a door can ask for.
#[derive(Clone, Debug)]
pub struct Exchange {
    store: Store,
    keys: Arc<KeyRing>,
    refusals: Arc<Refusals>,
    statistics: Arc<KeptStatistics>,
    contracts: Arc<Contracts>,
    queries: Engine,
}

/// A table with its schema.
#[derive(Clone, Debug)]
pub struct Description {
    /// The table, in the version asked for.
    pub info: TableInfo,
    /// Its schema.
    pub schema: TableSchema,
}

/// How to read a ticket: its schema and the flights that together give its rows, in order.
#[derive(Clone, Debug)]
pub struct FlightPlan {
    /// The table, in the version that the tickets name.
    pub info: TableInfo,
    /// The schema.
    pub schema: TableSchema,
    /// Rows of all endpoints.
    pub rows: u64,
    /// Bytes of all endpoints: the bodies that a reader receives. Not known for some of the columns.
    pub bytes: Option<u64>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// When the tickets of the endpoints are of no use any more, as things stand: they expire, or the table does.
    pub expires: Option<Timestamp>,
}

/// What a read is asked for beside its ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The first row, by its position in the version; the rows of the ticket before it are left out.
    pub row_offset: Option<u64>,
    /// Whether the reader wants a ticket by which it can go on, should the read break.
    pub is_resumable: bool,
    /// Whether the read, where it is counted, is used when the reader [confirms](Exchange::confirm) it, and not by its end.
    /// The ticket to confirm it by is the one to go on with.
    pub is_to_confirm: bool,
}

/// A part of a read that can go in parallel with the others.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The ticket of this part.
    pub ticket: Ticket,
    /// Its rows.
    pub rows: u64,
}

impl Exchange {
    /// Over a store, whose data folder keeps the keys that sign tickets.
    ///
    /// # Errors
    /// `data_damaged` when the keys cannot be read; `storage_failed`, `storage_full`.
    pub fn open(store: Store) -> Result<Self> {
        Self::with_queries(store, QueryLimits::default())
    }

    /// The same, with limits of its queries.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn with_queries(store: Store, limits: QueryLimits) -> Result<Self> {
        let keys = Arc::new(KeyRing::load(&store)?);
        let contracts = Arc::new(Contracts::load(&store)?);
        let queries = Engine::open(store.query_folder().as_deref(), store.memory_budget().clone(), limits)?;
        Ok(Self { store, keys, refusals: Arc::default(), statistics: Arc::default(), contracts, queries })
    }

    /// The source of random bytes that was handed in.
    pub fn chance(&self) -> &dyn Chance {
        self.store.chance()
    }

    /// The memory that puts can take now without waiting.
    pub fn memory_free(&self) -> ByteSize {
        let budget = self.store.memory_budget();
        ByteSize::bytes(budget.limit().as_u64().saturating_sub(budget.used().as_u64()))
    }

    /// Has tickets signed by a new key from now on; with `is_revoking` no ticket that was signed before is taken any more. Reads
    /// that run go on.
    ///
    /// # Errors
    /// `permission_denied`, `credentials_missing` to all but callers with `admin` for all namespaces; `storage_full`,
    /// `storage_failed`: all stays as it was.
    pub fn rotate_ticket_keys(&self, caller: &Caller, is_revoking: bool) -> Result<Rotation> {
        caller.check_admin()?;
        let rotation = self.keys.rotate(&self.store, is_revoking)?;
        tracing::info!(
            target: "airlane_audit",
            caller = caller.name(),
            key = rotation.key,
            revoked = rotation.revoked,
            "the keys of tickets were rotated"
        );
        Ok(rotation)
    }

    /// The signed tickets that were refused so far.
    pub fn refused_tickets(&self) -> RefusedTickets {
        self.refusals.so_far()
    }

    /// Begins a put from a stream whose schema message is given.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`, `schema_mismatch`, `durability_conflict`, `shutting_down`,
    /// `permission_denied`, `credentials_missing`, `rate_limited`, `quota_exceeded`.
    pub fn put_stream(&self, caller: &Caller, spec: PutSpec, schema_header: &[u8]) -> Result<PutStream> {
        self.putting().stream(access::begin_put(caller, spec)?, schema_header)
    }

    /// Begins a put of batches made in this process.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict`, `shutting_down`, `permission_denied`, `credentials_missing`,
    /// `rate_limited`, `quota_exceeded`.
    pub fn put_batches(&self, caller: &Caller, spec: PutSpec, schema: TableSchema) -> Result<PutStream> {
        self.putting().batches(access::begin_put(caller, spec)?, schema)
    }

    fn putting(&self) -> Putting {
        Putting { store: self.store.clone(), contracts: self.contracts.clone() }
    }

    /// Opens what a ticket names for reading. The table is not idle as long as the answer is held, unless that is of no
    /// rows. Where reads are counted, it claims one.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`, `rows_out_of_range`; `ticket_refused`,
    /// `ticket_expired`, `ticket_used` for signed tickets; `ticket_in_use`; `rate_limited`.
    pub fn read(&self, caller: &Caller, ticket: &Ticket) -> Result<ReadStream> {
        self.read_with(caller, ticket, ReadOptions::default())
    }

    /// As [`read`](Self::read), and a part of it, or so that it can be gone on with when it breaks.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(&self, caller: &Caller, ticket: &Ticket, options: ReadOptions) -> Result<ReadStream> {
        self.begin_read(caller, self.reading(caller, ticket)?, options)
    }

    /// As [`read_with`](Self::read_with), of a part of what the ticket names.
    ///
    /// # Errors
    /// As [`read`](Self::read); `option_invalid` for columns that are not there.
    pub fn read_window(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        window: &Window,
        options: ReadOptions,
    ) -> Result<ReadStream> {
        let reading = self.reading(caller, ticket)?;
        let goes_on = reading.pass.as_ref().is_some_and(|pass| pass.read.is_some());
        let start = reading.rows.start;
        let mut reading = window.of(reading)?;
        let mut options = options;
        if goes_on {
            // The rows before are those that arrived already.
            options.row_offset = Some(reading.rows.start);
            reading.rows.start = start;
        }
        self.begin_read(caller, reading, options)
    }

    /// What a ticket names: the table in the version that it reads, and the schema of the read. It is no read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn look(&self, caller: &Caller, ticket: &Ticket) -> Result<Description> {
        let reading = self.reading(caller, ticket)?;
        Ok(Description { info: reading.snapshot.info().clone(), schema: reading.schema().clone() })
    }

    /// Whether a caller may put a table: asked before its rows come.
    ///
    /// # Errors
    /// `permission_denied`, `credentials_missing`.
    pub fn check_put(&self, caller: &Caller, table: &TableName) -> Result<()> {
        access::put(caller, table)
    }

    fn begin_read(&self, caller: &Caller, mut reading: Reading, options: ReadOptions) -> Result<ReadStream> {
        let wants_ticket = options.is_resumable || options.is_to_confirm;
        let resume = if wants_ticket { Some(self.resumable(&mut reading)?) } else { None };
        if options.is_to_confirm {
            tickets::check_confirmable(&reading)?;
        }
        let mut arrived = None;
        if let Some(start) = options.row_offset {
            // What begins after the end is in no range.
            let rows = tickets::within(RowRange { start, end: reading.rows.end.max(start) }, reading.rows)?;
            arrived = Some(RowRange { start: reading.rows.start, end: start });
            reading.rows = rows;
        }
        let Reading { snapshot, rows, projection, pass } = reading;
        // What may not be read, or is not there, is answered so, whatever the quota.
        caller.begin_stream(snapshot.info().table.namespace())?;
        let (ticket, part) = (pass.as_ref().and_then(count_of), pass.and_then(|pass| pass.read));
        // A read alone begins where it was asked to.
        let arrived = arrived.filter(|_| part.is_some());
        // Whoever asks for no rows of a table that has some wants its schema: a look, and no read, unless all have arrived
        // and the end of the read is what it asks for.
        let is_look = rows.rows() == 0 && snapshot.info().rows > 0 && arrived.is_none();
        let frames = self.store.frames().clone();
        if is_look {
            return Ok(TableRead::new(snapshot, rows, projection, frames, None).resumed_by(resume).into());
        }
        let is_to_confirm = options.is_to_confirm && part.is_some();
        let counted = self.store.begin_counted(&snapshot, &ReadSpec { ticket, part, rows, arrived, is_to_confirm })?;
        let snapshot = self.store.begin_read(snapshot);
        Ok(TableRead::new(snapshot, rows, projection, frames, counted).resumed_by(resume).into())
    }

    /// Plans the flights of a ticket, at most `endpoints_max` of them. Their tickets pin the version; those of a signed
    /// ticket are signed and let read no more.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `data_damaged`.
    pub fn flights(&self, caller: &Caller, ticket: &Ticket, endpoints_max: usize) -> Result<FlightPlan> {
        let reading = self.reading(caller, ticket)?;
        let part = self.read_of(&reading);
        // A plain ticket cannot say of what read it is a part.
        let is_single = reading.pass.is_none() && reading.snapshot.info().retention.counted_reads().is_some();
        let flights = flights::plan(&reading, if is_single { 1 } else { endpoints_max })?;
        let info = reading.snapshot.info().clone();
        let is_whole = flights.len() == 1 && reading.rows == RowRange { start: 0, end: info.rows };
        let endpoints = flights.iter().map(|flight| {
            let rows = (!is_whole).then_some(flight.rows);
            let ticket = self.part_of(&reading, rows, part)?;
            Ok(Endpoint { ticket, rows: flight.rows.rows() })
        });
        let bytes = flights.iter().map(|flight| flight.bytes).sum();
        Ok(FlightPlan {
            schema: reading.schema().clone(),
            rows: reading.rows.rows(),
            bytes: reading.projection.is_none().then_some(bytes),
            endpoints: endpoints.collect::<Result<_>>()?,
            expires: reading.expires(),
            info,
        })
    }

    /// The schema of a read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn schema(&self, caller: &Caller, ticket: &Ticket) -> Result<TableSchema> {
        Ok(self.reading(caller, ticket)?.schema().clone())
    }

    /// A schema in types that every reader knows: that of a read [in plain types](ReadStream::in_plain_types).
    ///
    /// # Errors
    /// `schema_invalid`.
    pub fn plain_schema(schema: &TableSchema) -> Result<TableSchema> {
        Ok(airlane_segment::encode::plain_schema(schema)?.unwrap_or_else(|| schema.clone()))
    }

    /// A table with its schema, and with its owner where the caller may know that.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`.
    pub fn describe(&self, caller: &Caller, ticket: &PlainTicket) -> Result<Description> {
        access::read(caller, &ticket.table)?;
        let snapshot = self.store.snapshot(&ticket.table, ticket.version, ticket.table_id)?;
        let owner = snapshot.owner().filter(|owner| caller.may_know_owner(owner)).map(str::to_owned);
        let info = TableInfo { owner, ..snapshot.info().clone() };
        Ok(Description { info, schema: snapshot.schema().clone() })
    }

    /// The versions of a table that can be read, oldest first.
    ///
    /// # Errors
    /// `table_not_found`.
    pub fn versions(&self, caller: &Caller, table: &TableName) -> Result<Vec<VersionInfo>> {
        access::read(caller, table)?;
        self.store.versions(table)
    }

    /// The tables that the caller may read and whose names begin with `prefix`, in the order of their names.
    pub fn list(&self, caller: &Caller, prefix: &str) -> Vec<TableInfo> {
        let mut tables = self.store.list(prefix);
        tables.retain(|table| access::is_listed(caller, &table.table));
        tables
    }

    /// The tables that the caller may read, with their reads.
    pub fn usage(&self, caller: &Caller) -> Vec<TableFigures> {
        let mut tables = self.store.usage();
        tables.retain(|table| access::is_listed(caller, &table.info.table));
        tables
    }

    /// Drops a table everywhere; running readers finish.
    ///
    /// # Errors
    /// `table_not_found`, `commit_unknown`, `shutting_down`, `permission_denied`, `credentials_missing`.
    pub fn drop_table(
        &self,
        caller: &Caller,
        table: &TableName,
    ) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        let dropped = access::drop_table(caller, table).map(|()| self.store.drop_table(table));
        async move { dropped?.await }
    }

    /// Changes how long a table is kept.
    ///
    /// # Errors
    /// As [`drop_table`](Self::drop_table), and `storage_full`, `storage_failed`.
    pub fn set_retention(
        &self,
        caller: &Caller,
        table: &TableName,
        change: RetentionChange,
    ) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        let set = access::set_retention(caller, table).map(|()| self.store.set_retention(table, change));
        async move { set?.await }
    }
}
