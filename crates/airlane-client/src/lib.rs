//! The Rust client: tables put, read, listed and dropped at a server over Arrow Flight.
//!
//! No type of tonic or arrow-flight is part of this crate's public API.

use airlane_model::{Durability, PutMode, Receipt, Result, TableInfo, TableName, Ticket};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::Stream;

/// A connection to a server.
#[derive(Clone, Debug)]
pub struct Client {}

/// What a put is to do.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Replace or append.
    pub mode: PutMode,
    /// The durability; absent: the table's own, or durable for a new table.
    pub durability: Option<Durability>,
}

impl Client {
    /// Connects to `grpc://host:port`, `grpc+tcp://host:port`, `http://host:port`, `host:port` or
    /// `grpc+unix:///path`.
    ///
    /// # Errors
    /// `server_unreachable`; `option_invalid` for an address of another form.
    pub async fn connect(url: &str) -> Result<Self> {
        let _ = url;
        todo!()
    }

    /// Puts a table. `progress` is told the rows and bytes (of the batches' memory) sent so far.
    ///
    /// # Errors
    /// What the server answers, and `server_unreachable`. An error of the input stream aborts the put.
    pub async fn put(
        &self,
        table: &TableName,
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
        options: PutOptions,
    ) -> Result<Receipt> {
        let _ = (table, schema, batches, options);
        todo!()
    }

    /// Reads what a ticket names.
    ///
    /// # Errors
    /// What the server answers, and `server_unreachable`.
    pub async fn get(&self, ticket: &str) -> Result<TableStream> {
        let _ = ticket;
        todo!()
    }

    /// The tables whose names begin with `prefix`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<TableInfo>> {
        let _ = prefix;
        todo!()
    }

    /// A table and its schema.
    pub async fn describe(&self, ticket: &Ticket) -> Result<(TableInfo, SchemaRef)> {
        let _ = ticket;
        todo!()
    }

    /// Drops a table.
    pub async fn drop_table(&self, table: &TableName) -> Result<TableInfo> {
        let _ = table;
        todo!()
    }
}

/// The rows of a read, as they arrive. Dropping it cancels the read.
pub struct TableStream {}

impl TableStream {
    /// The schema.
    pub fn schema(&self) -> &SchemaRef {
        todo!()
    }

    /// The rows that the read gives in all, where the server told.
    pub fn rows(&self) -> Option<u64> {
        todo!()
    }

    /// The next batch, or `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        todo!()
    }
}
