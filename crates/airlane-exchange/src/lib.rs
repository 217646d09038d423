//! The façade in the domain's words. Every door calls this and nothing below it; no protocol is known here.
//!
//! Each operation takes who asks for it and looks at the rights first.

mod access;
mod flights;
mod pause;
mod put;
mod read;

use std::future::Future;

use airlane_model::{Caller, Result, TableInfo, TableName, Ticket};
use airlane_segment::TableSchema;
use airlane_store::{Snapshot, Store};

pub use airlane_store::PutSpec;

pub use pause::Pause;
pub use put::PutStream;
pub use read::{ReadStream, StreamMessage};

/// What a door can ask for.
#[derive(Clone, Debug)]
pub struct Exchange {
    store: Store,
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
    /// Bytes of all endpoints: the bodies that a reader receives.
    pub bytes: u64,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
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
    /// Over a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Begins a put from a stream whose schema message is given.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`, `schema_mismatch`, `durability_conflict`, `shutting_down`,
    /// `permission_denied`, `credentials_missing`.
    pub fn put_stream(&self, caller: &Caller, spec: PutSpec, schema_header: &[u8]) -> Result<PutStream> {
        access::put(caller, &spec.table)?;
        self.store.put_stream(spec, schema_header).map(PutStream::new)
    }

    /// Begins a put of batches made in this process.
    ///
    /// # Errors
    /// `schema_mismatch`, `durability_conflict`, `shutting_down`, `permission_denied`, `credentials_missing`.
    pub fn put_batches(&self, caller: &Caller, spec: PutSpec, schema: TableSchema) -> Result<PutStream> {
        access::put(caller, &spec.table)?;
        self.store.put_batches(spec, schema).map(PutStream::new)
    }

    /// Opens what a ticket names for reading.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`, `rows_out_of_range`.
    pub fn read(&self, caller: &Caller, ticket: &Ticket) -> Result<ReadStream> {
        let snapshot = self.snapshot(caller, ticket)?;
        let rows = flights::rows_of(&snapshot, ticket)?;
        Ok(ReadStream::new(snapshot, rows))
    }

    /// Plans the flights of a ticket, at most `endpoints_max` of them. Their tickets pin the version.
    ///
    /// # Errors
    /// As [`read`](Self::read), and `data_damaged`.
    pub fn flights(&self, caller: &Caller, ticket: &Ticket, endpoints_max: usize) -> Result<FlightPlan> {
        let snapshot = self.snapshot(caller, ticket)?;
        flights::plan(&snapshot, ticket, endpoints_max)
    }

    /// A schema in types that every reader knows: that of a read [in plain types](ReadStream::in_plain_types).
    ///
    /// # Errors
    /// `schema_invalid`.
    pub fn plain_schema(schema: &TableSchema) -> Result<TableSchema> {
        Ok(airlane_segment::encode::plain_schema(schema)?.unwrap_or_else(|| schema.clone()))
    }

    /// A table with its schema.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`.
    pub fn describe(&self, caller: &Caller, ticket: &Ticket) -> Result<Description> {
        let snapshot = self.snapshot(caller, ticket)?;
        Ok(Description { info: snapshot.info().clone(), schema: snapshot.schema().clone() })
    }

    /// The tables that the caller may read and whose names begin with `prefix`, in the order of their names.
    pub fn list(&self, caller: &Caller, prefix: &str) -> Vec<TableInfo> {
        let mut tables = self.store.list(prefix);
        tables.retain(|table| access::is_listed(caller, &table.table));
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

    fn snapshot(&self, caller: &Caller, ticket: &Ticket) -> Result<Snapshot> {
        access::read(caller, &ticket.table)?;
        self.store.snapshot(&ticket.table, ticket.version, ticket.table_id)
    }
}
