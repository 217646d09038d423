//! Flight SQL: the commands by which drivers (ADBC, JDBC, ODBC) ask, over the same exchange as all else.
//!
//! | command | answer |
//! | --- | --- |
//! | a query, prepared or not | a FlightInfo whose ticket is a [query ticket](airlane_model::QueryTicket): text, with the versions that were planned |
//! | a statement that changes tables, asked as a query | it is done, once, and the ticket gives the number of rows |
//! | what there is: catalogs, tables, types … | a FlightInfo whose ticket is the command itself |
//! | an update, an ingest, values of parameters | DoPut |
//!
//! The specification is Flight SQL of Apache Arrow, <https://arrow.apache.org/docs/format/FlightSql.html>. Transactions are
//! not there: each statement is one of its own, as [`facts`] tells drivers.

pub(crate) mod actions;
mod facts;
mod info;
mod metadata;
mod prepared;
mod put;
mod types;

use airlane_model::{ByteSize, Error, Result, codes, limits};
use arrow_flight::sql::{Any, Command};
use prost::Message as _;

pub(crate) use info::{answer, info, schema};
pub(crate) use prepared::Prepared;
pub(crate) use put::{Begun, Put, begin, updated};

/// What the bytes of a command of Flight SQL hold near their beginning. No ticket and no table name does.
const TYPE_URL: &[u8] = b"type.googleapis.com/arrow.flight.protocol.sql.";

/// A command, or the body of an action: a statement, with what stands around it.
const COMMAND_BYTES_MAX: ByteSize = ByteSize::bytes(2 * limits::COMMAND_BYTES_MAX.as_u64());

/// The command of a descriptor or a ticket, if it is one of Flight SQL.
///
/// # Errors
/// `message_invalid` for what has the name of a command and is none; `not_implemented` for one that there is not here;
/// `limit_exceeded`.
pub(crate) fn command(bytes: &[u8]) -> Result<Option<Command>> {
    let is_sql =
        bytes.get(..TYPE_URL.len() + 4).is_some_and(|head| head.windows(TYPE_URL.len()).any(|at| at == TYPE_URL));
    if !is_sql {
        return Ok(None);
    }
    if bytes.len() > COMMAND_BYTES_MAX.as_usize() {
        let message = format!("a command of Flight SQL has {} bytes", bytes.len());
        return Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("send less text"));
    }
    let any = Any::decode(bytes).map_err(|error| unreadable("a command").source(error))?;
    match Command::try_from(any).map_err(|error| unreadable("a command").source(error))? {
        Command::Unknown(any) => {
            let name = any.type_url.rsplit('.').next().unwrap_or_default().escape_debug().to_string();
            Err(Error::new(codes::NOT_IMPLEMENTED, format!("there is no command `{name}` of Flight SQL here"))
                .hint("use a statement in SQL"))
        }
        command => Ok(Some(command)),
    }
}

fn unreadable(what: &str) -> Error {
    Error::new(codes::MESSAGE_INVALID, format!("{what} of Flight SQL cannot be read")).hint("use a current driver")
}

fn not_implemented(what: &str) -> Error {
    Error::new(codes::NOT_IMPLEMENTED, format!("{what} are not implemented")).hint("use a statement in SQL")
}
