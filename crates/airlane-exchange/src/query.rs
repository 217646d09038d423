//! Queries: planned over what their caller may read, computed as a read, and kept as a put.

use std::sync::Arc;

use airlane_model::{
    Caller, Error, ErrorKind, PlainTicket, PutMode, QueryTicket, Result, RowRange, StatementResult, TableInfo,
    TableName, Ticket, codes,
};
use airlane_query::{Change, Inserted, Planned, Rows, Select, Statement, TableRef, Tables};
use airlane_segment::decode::StreamDecoder;
use airlane_segment::{TableSchema, memory_bytes};
use airlane_store::{PutSpec, Snapshot};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::read::{ComputedRead, TableRead};
use crate::{Exchange, ReadOptions, ReadStream, Window, access, values};

/// A query before it is computed.
#[derive(Debug)]
pub struct QueryPlan {
    /// Its columns.
    pub schema: TableSchema,
    /// The ticket that computes it, of the versions that it was planned with.
    pub ticket: QueryTicket,
    /// Its parameters, in their order; null where the statement does not tell a type.
    pub parameters: SchemaRef,
    /// Rows and bytes, where it is a table as it lies.
    pub table: Option<TableInfo>,
}

/// The tables that a caller may read.
struct Readable {
    exchange: Exchange,
    caller: Caller,
    /// Versions that are settled already.
    at: Vec<PlainTicket>,
    /// Whether they are read, and not just looked at.
    is_read: bool,
}

impl Tables for Readable {
    fn open(&self, table: &TableRef) -> Result<Snapshot> {
        access::read(&self.caller, &table.table)?;
        let settled = self.at.iter().find(|at| at.table == table.table && table.version.is_none());
        let (version, id) = match settled {
            Some(at) => (at.version, at.table_id),
            None => (table.version, table.table_id),
        };
        let store = &self.exchange.store;
        let snapshot = store.snapshot(&table.table, version, id).map_err(|error| self.with_names(error, table))?;
        if snapshot.info().retention.counted_reads().is_some() {
            let message = format!("reads of `{}` are counted, and a query is none that counts", table.table);
            return Err(Error::new(codes::STATEMENT_REFUSED, message).hint("read the table by its ticket"));
        }
        if !self.is_read {
            return Ok(snapshot);
        }
        self.caller.begin_stream(table.table.namespace())?;
        Ok(store.begin_read(snapshot))
    }

    fn list(&self) -> Vec<TableInfo> {
        self.exchange.list(&self.caller, "")
    }
}

impl Readable {
    /// Names tables that are called alike, where there is none of a name.
    fn with_names(&self, error: Error, table: &TableRef) -> Error {
        if error.code() != codes::TABLE_NOT_FOUND {
            return error;
        }
        let wanted = table.table.as_str();
        let mut near: Vec<(usize, String)> = self
            .list()
            .into_iter()
            .map(|info| {
                let name = info.table.as_str().to_owned();
                (strsim::damerau_levenshtein(&name.to_lowercase(), wanted), name)
            })
            .collect();
        near.sort();
        near.retain(|(far, _)| *far <= NAMES_APART_MAX);
        near.truncate(NAMES_TOLD_MAX);
        let written: Vec<String> = near.iter().map(|(_, name)| in_sql(name)).collect();
        if written.is_empty() { error } else { error.hint(format!("there are: {}", written.join(", "))) }
    }
}

/// Names that differ in so many letters may be meant.
const NAMES_APART_MAX: usize = 3;
const NAMES_TOLD_MAX: usize = 5;

/// A table's name as a statement writes it.
fn in_sql(name: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_bare && !name.starts_with(|c: char| c.is_ascii_digit()) { name.to_owned() } else { format!("\"{name}\"") }
}

impl Exchange {
    /// Plans a query: what it will give, and the ticket that computes it of the versions that there are now.
    ///
    /// # Errors
    /// `sql_invalid` with the place, `statement_refused`, `statement_too_large`, `table_not_found`, `version_not_found`.
    pub async fn plan_query(&self, caller: &Caller, query: &QueryTicket) -> Result<QueryPlan> {
        let planned = self.planned(caller, query, false).await?;
        let parameters = Arc::new(Schema::new(planned.parameters().to_vec()));
        // What the statement pins itself is not to settle another mention of the table.
        let open = planned.tables().into_iter().filter(|(name, _)| name.version.is_none());
        let at = open.map(|(_, snapshot)| {
            let TableInfo { table, version, table_id, .. } = snapshot.info();
            PlainTicket { version: Some(*version), table_id: Some(*table_id), ..PlainTicket::current(table.clone()) }
        });
        let at = at.collect();
        let ticket = QueryTicket { at, ..query.clone() };
        let whole = planned.whole();
        let schema = match &whole {
            Some(snapshot) => snapshot.schema().clone(),
            None => TableSchema::from_arrow(planned.schema())?,
        };
        Ok(QueryPlan { schema, ticket, parameters, table: whole.map(|snapshot| snapshot.info().clone()) })
    }

    /// Opens what a ticket names for reading: of a table as [`read_with`](Self::read_with), and a query, which is computed
    /// while it is read.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`plan_query`](Self::plan_query); `option_invalid` for an option that is none of a query.
    pub async fn open_read(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        window: &Window,
        options: ReadOptions,
    ) -> Result<ReadStream> {
        let is_whole = *window == Window::default();
        let query = match ticket {
            Ticket::Query(query) => query,
            // A window says itself where a read goes on.
            ticket if is_whole => return self.read_with(caller, ticket, options),
            ticket => return self.read_window(caller, ticket, window, options),
        };
        let is_part = options.row_offset.is_some_and(|offset| offset > 0) || !is_whole;
        if is_part || options.is_to_confirm {
            return Err(Error::new(codes::OPTION_INVALID, "a query is computed as it stands, from its first row on")
                .hint("say in the query which columns and rows you want: SELECT a, b … OFFSET 100 LIMIT 50"));
        }
        self.compute(caller, query).await
    }

    /// Computes a query.
    ///
    /// # Errors
    /// As [`plan_query`](Self::plan_query), `rate_limited`; what is met while computing is told by the stream.
    pub async fn compute(&self, caller: &Caller, query: &QueryTicket) -> Result<ReadStream> {
        let planned = self.planned(caller, query, true).await?;
        if let Some(snapshot) = planned.whole() {
            let rows = RowRange { start: 0, end: snapshot.info().rows };
            return Ok(TableRead::new(snapshot, rows, None, self.store.frames().clone(), None).into());
        }
        Ok(ComputedRead::new(self.queries.run(planned)?, self.store.memory_budget())?.into())
    }

    /// Does what a statement says that changes tables, through the same rights and contracts as a put.
    ///
    /// # Errors
    /// As [`compute`](Self::compute), and those of a put and of a drop; `table_exists`; `statement_refused` for a statement
    /// that gives rows.
    pub async fn execute(&self, caller: &Caller, query: &QueryTicket) -> Result<StatementResult> {
        match Statement::parse(&query.sql)? {
            Statement::Rows(_) => {
                Err(Error::new(codes::STATEMENT_REFUSED, "the statement gives rows, and changes nothing")
                    .hint("read it as a query"))
            }
            Statement::Change(Change::Drop { tables, is_if_there }) => {
                self.drop_tables(caller, &tables, is_if_there).await
            }
            Statement::Change(Change::Create { table, rows, is_replacing, is_if_absent }) => {
                access::put(caller, &table)?;
                if !is_replacing && self.store.snapshot(&table, None, None).is_ok() {
                    return match is_if_absent {
                        true => Ok(StatementResult::default()),
                        false => Err(Error::new(codes::TABLE_EXISTS, format!("table `{table}` is there already"))
                            .hint("write CREATE OR REPLACE TABLE, or INSERT INTO")),
                    };
                }
                let planned = self.select(caller, query, rows, true).await?;
                self.keep(caller, PutSpec::new(table), planned).await
            }
            Statement::Change(Change::Insert { table, rows }) => {
                access::put(caller, &table)?;
                let planned = self.insert(caller, query, &table, rows, true).await?;
                self.keep(caller, PutSpec { mode: PutMode::Append, ..PutSpec::new(table) }, planned).await
            }
        }
    }

    /// Whether a statement changes tables, so that it is to be [executed](Self::execute).
    ///
    /// # Errors
    /// Those of a statement that cannot be read.
    pub fn is_change(query: &QueryTicket) -> Result<bool> {
        Ok(matches!(Statement::parse(&query.sql)?, Statement::Change(_)))
    }

    /// The parameters of a statement that changes tables. Nothing is changed.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn parameters_of_change(&self, caller: &Caller, query: &QueryTicket) -> Result<SchemaRef> {
        let planned = match Statement::parse(&query.sql)? {
            Statement::Rows(select) | Statement::Change(Change::Create { rows: select, .. }) => {
                self.select(caller, query, select, false).await?
            }
            Statement::Change(Change::Insert { table, rows }) => {
                self.insert(caller, query, &table, rows, false).await?
            }
            Statement::Change(Change::Drop { .. }) => return Ok(Arc::new(Schema::empty())),
        };
        Ok(Arc::new(Schema::new(planned.parameters().to_vec())))
    }

    /// A read of rows that are there already.
    ///
    /// # Errors
    /// `schema_invalid`.
    pub fn answer_with(&self, batch: RecordBatch) -> Result<ReadStream> {
        Ok(ComputedRead::new(Rows::of(batch), self.store.memory_budget())?.into())
    }

    /// Decodes the messages of a stream that is no put, of which the schema is given.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn decoder(&self, schema_header: &[u8]) -> Result<StreamDecoder> {
        self.store.decoder(schema_header)
    }

    async fn keep(&self, caller: &Caller, spec: PutSpec, planned: Planned) -> Result<StatementResult> {
        let schema = TableSchema::from_arrow(planned.schema())?;
        let mut put = self.put_batches(caller, spec, schema)?;
        let mut rows = self.queries.run(planned)?;
        while let Some(batch) = rows.next().await? {
            put.room(memory_bytes(&batch)).await?;
            put = append(put, batch).await?;
        }
        let rows = put.rows();
        let receipt = put.commit().await?;
        Ok(StatementResult { rows, receipt: Some(receipt), dropped: Vec::new() })
    }

    async fn drop_tables(&self, caller: &Caller, tables: &[TableName], is_if_there: bool) -> Result<StatementResult> {
        let mut dropped = Vec::with_capacity(tables.len());
        for table in tables {
            match self.drop_table(caller, table).await {
                Ok(info) => dropped.push(info.table),
                Err(error) if is_if_there && error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(StatementResult { dropped, ..StatementResult::default() })
    }

    async fn planned(&self, caller: &Caller, query: &QueryTicket, is_read: bool) -> Result<Planned> {
        match Statement::parse(&query.sql)? {
            Statement::Rows(select) => self.select(caller, query, select, is_read).await,
            Statement::Change(_) => {
                Err(Error::new(codes::STATEMENT_REFUSED, "the statement changes tables, and a read changes nothing")
                    .hint("execute it as an update"))
            }
        }
    }

    async fn insert(
        &self,
        caller: &Caller,
        query: &QueryTicket,
        table: &TableName,
        rows: Inserted,
        is_read: bool,
    ) -> Result<Planned> {
        access::read(caller, table)?;
        let schema = self.store.snapshot(table, None, None)?.schema().arrow().clone();
        let planned = self.queries.plan_insert(Arc::new(self.readable(caller, query, is_read)), rows, schema).await?;
        bound(planned, query)
    }

    fn readable(&self, caller: &Caller, query: &QueryTicket, is_read: bool) -> Readable {
        Readable { exchange: self.clone(), caller: caller.clone(), at: query.at.clone(), is_read }
    }

    async fn select(&self, caller: &Caller, query: &QueryTicket, select: Select, is_read: bool) -> Result<Planned> {
        let planned = self.queries.plan(Arc::new(self.readable(caller, query, is_read)), select).await?;
        bound(planned, query)
    }
}

/// With its values, where it has some.
fn bound(planned: Planned, query: &QueryTicket) -> Result<Planned> {
    match query.values.as_deref() {
        Some(values) => planned.bind(&values::read(values)?),
        None => Ok(planned),
    }
}

/// Laying rows out may wait for a disk.
async fn append(mut put: crate::PutStream, batch: RecordBatch) -> Result<crate::PutStream> {
    crate::blocking::run(move || put.append(&batch).map(|()| put)).await
}
