//! What drivers put: statements, values of parameters, and tables.

use std::time::Instant;

use airlane_exchange::{CATALOG, Exchange, PutSpec};
use airlane_model::name::NAMESPACE_DEFAULT;
use airlane_model::{ByteSize, Caller, Durability, Error, PlainTicket, PutMode, QueryTicket, Result, TableName, codes};
use airlane_segment::decode::StreamDecoder;
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_flight::sql::{
    Command, CommandStatementIngest, DoPutPreparedStatementResult, DoPutUpdateResult, TableExistsOption,
    TableNotExistOption,
};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use prost::Message as _;

use super::not_implemented;
use super::prepared::{Prepared, ticket};

/// What values of parameters may take.
const VALUES_BYTES_MAX: ByteSize = ByteSize::mib(16);

/// A command that is put.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Rows for a table.
    Table(PutSpec),
    /// Anything else.
    Other(Box<Put>),
}

/// A statement, or values for one, as it comes.
#[derive(Debug)]
pub(crate) struct Put {
    what: What,
    decoder: Option<StreamDecoder>,
    header: Bytes,
    body: MutableBuffer,
    rows: Vec<RecordBatch>,
    bytes: u64,
}

#[derive(Debug)]
enum What {
    Statement(String),
    Values(Bytes),
    Update(Bytes),
}

/// Begins what a command says.
///
/// # Errors
/// `table_exists`, `table_not_found`, `table_name_invalid` for an ingest; `not_implemented` for a command that is not put.
pub(crate) fn begin(exchange: &Exchange, caller: &Caller, command: Command) -> Result<Begun> {
    let other = |what| {
        let (decoder, rows) = (None, Vec::new());
        let (header, body) = (Bytes::new(), MutableBuffer::new(0));
        Ok(Begun::Other(Box::new(Put { what, decoder, header, body, rows, bytes: 0 })))
    };
    match command {
        Command::CommandStatementIngest(ingest) => ingested(exchange, caller, &ingest).map(Begun::Table),
        Command::CommandStatementUpdate(update) => other(What::Statement(update.query)),
        Command::CommandPreparedStatementQuery(query) => other(What::Values(query.prepared_statement_handle)),
        Command::CommandPreparedStatementUpdate(update) => other(What::Update(update.prepared_statement_handle)),
        _ => Err(not_implemented("puts of this command of Flight SQL")),
    }
}

/// The put of an ingest.
fn ingested(exchange: &Exchange, caller: &Caller, ingest: &CommandStatementIngest) -> Result<PutSpec> {
    if ingest.catalog.as_deref().is_some_and(|catalog| !catalog.is_empty() && catalog != CATALOG) {
        return Err(Error::new(codes::TABLE_NOT_FOUND, "there is one catalog").hint(format!("leave it out: {CATALOG}")));
    }
    let table = match ingest.schema.as_deref() {
        None | Some("" | NAMESPACE_DEFAULT) => TableName::parse(&ingest.table)?,
        Some(schema) => TableName::parse(&format!("{schema}/{}", ingest.table))?,
    };
    let options = ingest.table_definition_options.unwrap_or_default();
    let is_there = exchange.describe(caller, &PlainTicket::current(table.clone())).is_ok();
    let mode = match (is_there, options.if_exists(), options.if_not_exist()) {
        (true, TableExistsOption::Append, _) => PutMode::Append,
        (true, TableExistsOption::Replace, _) | (false, _, TableNotExistOption::Create) => PutMode::Replace,
        (false, _, TableNotExistOption::Unspecified) if options.if_exists() != TableExistsOption::Append => {
            PutMode::Replace
        }
        (true, ..) => {
            return Err(Error::new(codes::TABLE_EXISTS, format!("table `{table}` is there already"))
                .hint("ask for `append`, or for `replace`"));
        }
        (false, ..) => {
            return Err(Error::new(codes::TABLE_NOT_FOUND, format!("there is no table `{table}` to append to"))
                .hint("ask for `create`, or for `create_append`"));
        }
    };
    let durability = ingest.temporary.then_some(Durability::Ephemeral);
    Ok(PutSpec { mode, durability, ..PutSpec::new(table) })
}

/// What an ingest, or an update, is answered.
pub(crate) fn updated(rows: u64) -> Vec<u8> {
    DoPutUpdateResult { record_count: i64::try_from(rows).unwrap_or(i64::MAX) }.encode_to_vec()
}

impl Put {
    /// Begins a message.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`, `limit_exceeded`.
    pub(crate) fn begin(&mut self, exchange: &Exchange, header: &Bytes, body_bytes: u64) -> Result<()> {
        self.body.clear();
        match &self.decoder {
            None => {
                self.decoder = Some(exchange.decoder(header)?);
                self.header = Bytes::new();
            }
            Some(decoder) => {
                self.bytes = self.bytes.saturating_add(body_bytes);
                if self.bytes > VALUES_BYTES_MAX.as_u64() {
                    let message = format!("the values of a statement take more than {VALUES_BYTES_MAX}");
                    return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("put them as a table"));
                }
                decoder.check(header, body_bytes)?;
                self.header = header.clone();
            }
        }
        Ok(())
    }

    /// Takes the next chunk of the message's body.
    pub(crate) fn body(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
    }

    /// Ends the message.
    ///
    /// # Errors
    /// `message_invalid`, `data_invalid`.
    pub(crate) fn end(&mut self) -> Result<()> {
        let (Some(decoder), false) = (&mut self.decoder, self.header.is_empty()) else { return Ok(()) };
        let body: Buffer = std::mem::replace(&mut self.body, MutableBuffer::new(0)).into();
        let header = std::mem::take(&mut self.header);
        self.rows.extend(decoder.decode(&header, body)?);
        Ok(())
    }

    /// Does it; answers the metadata of the last `PutResult`.
    ///
    /// # Errors
    /// Those of [`Exchange::execute`], `statement_not_found`.
    pub(crate) async fn finish(self, exchange: &Exchange, caller: &Caller, prepared: &Prepared) -> Result<Vec<u8>> {
        let values = self.values()?;
        match self.what {
            What::Statement(sql) => Ok(updated(exchange.execute(caller, &QueryTicket::new(sql)).await?.rows)),
            What::Values(handle) => {
                prepared.bind(caller, &handle, values, Instant::now())?;
                Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) }.encode_to_vec())
            }
            What::Update(handle) => {
                let (sql, bound) = prepared.find(caller, &handle, Instant::now())?;
                let Some(values) = values.or(bound) else {
                    return Ok(updated(exchange.execute(caller, &QueryTicket::new(sql)).await?.rows));
                };
                let mut rows = 0;
                for row in 0..values.num_rows() {
                    let query = ticket(sql.clone(), Some(&values.slice(row, 1)))?;
                    rows += exchange.execute(caller, &query).await?.rows;
                }
                Ok(updated(rows))
            }
        }
    }

    /// The values in one piece; none where there is no column.
    fn values(&self) -> Result<Option<RecordBatch>> {
        let Some(first) = self.rows.first().filter(|first| first.num_columns() > 0) else { return Ok(None) };
        let all = concat_batches(&first.schema(), &self.rows);
        all.map(Some).map_err(|error| Error::new(codes::DATA_INVALID, "values of a statement").source(error))
    }
}
