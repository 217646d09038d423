//! The façade in the domain's words. Every door calls this and nothing below it; no protocol is known here.

pub mod put;
pub mod read;

use std::future::Future;

use airlane_model::{Result, TableInfo, TableName, Ticket};
use airlane_segment::TableSchema;
use airlane_store::{PutSpec, Store};

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
    pub fn put_stream(&self, spec: PutSpec, schema_header: &[u8]) -> Result<PutStream> {
        let _ = (spec, schema_header);
        todo!()
    }

    /// Begins a put of batches made in this process.
    pub fn put_batches(&self, spec: PutSpec, schema: TableSchema) -> Result<PutStream> {
        let _ = (spec, schema);
        todo!()
    }

    /// Opens what a ticket names for reading.
    pub fn read(&self, ticket: &Ticket) -> Result<ReadStream> {
        let _ = ticket;
        todo!()
    }

    /// Plans the flights of a ticket, at most `endpoints_max` of them, none cutting a record batch.
    pub fn flights(&self, ticket: &Ticket, endpoints_max: usize) -> Result<FlightPlan> {
        let _ = (ticket, endpoints_max);
        todo!()
    }

    /// A table with its schema.
    pub fn describe(&self, ticket: &Ticket) -> Result<Description> {
        let _ = ticket;
        todo!()
    }

    /// The tables whose names begin with `prefix`.
    pub fn list(&self, prefix: &str) -> Vec<TableInfo> {
        self.store.list(prefix)
    }

    /// Drops a table everywhere.
    pub fn drop_table(&self, table: &TableName) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        self.store.drop_table(table)
    }
}
