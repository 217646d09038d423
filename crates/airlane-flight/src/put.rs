//! DoPut: descriptor, then schema, then dictionaries and record batches, and at the end one receipt.
//!
//! | state | descriptor | schema | dictionary, batch | only `app_metadata` | anything else |
//! | --- | --- | --- | --- | --- | --- |
//! | start | required in this message | may be in the same message | refused | refused | refused |
//! | described | refused | opens the put | refused | ignored | refused |
//! | open | refused | refused | taken | ignored | refused |
//!
//! A descriptor may be a command of Flight SQL: then what follows are values of a statement, or rows of an ingest.
//!
//! The put is committed when the client ends its stream, never when it goes away.

use airlane_exchange::{Exchange, PutSpec, PutStream};
use airlane_frames::read::{Fields, Sink};
use airlane_model::{Caller, Error, PutKey, Receipt, Result, TableName, codes};
use arrow_flight::FlightDescriptor;
use bytes::Bytes;
use prost::Message as _;

use crate::descriptor;
use crate::sql::{self, Prepared};
use airlane_exchange::words::{PutOptions, ReceiptTicket};

mod body;

pub(crate) use body::{PutBody, Putter};

/// Takes the messages of one put in their order.
#[derive(Debug)]
pub(crate) struct PutMachine {
    exchange: Exchange,
    caller: Caller,
    headers: PutOptions,
    prepared: Prepared,
    /// Whether a driver puts, which is told the number of rows and no receipt.
    is_ingest: bool,
    /// The ticket that the receipt is to have.
    ticket: Option<ReceiptTicket>,
    state: State,
    /// The present message goes to the put.
    is_passed: bool,
}

#[derive(Debug)]
enum State {
    Start,
    Described(PutSpec),
    Open(Box<PutStream>),
    /// A statement of Flight SQL, or values for one.
    Sql(Box<sql::Put>),
}

impl PutMachine {
    /// A put by a caller, whose request headers have these options.
    pub(crate) fn new(exchange: Exchange, caller: Caller, headers: PutOptions, prepared: Prepared) -> Self {
        let (state, is_ingest) = (State::Start, false);
        Self { exchange, caller, headers, prepared, is_ingest, ticket: None, state, is_passed: false }
    }

    /// Whether it is known what is put, and a schema, where there has to be one, was accepted.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_) | State::Sql(_))
    }

    /// Waits while the server is short of memory for so many bytes of an open put.
    ///
    /// # Errors
    /// Those of [`PutStream::room`].
    pub(crate) async fn room(&mut self, bytes: u64) -> Result<()> {
        match &mut self.state {
            State::Open(put) => put.room(bytes).await,
            State::Start | State::Described(_) | State::Sql(_) => Ok(()),
        }
    }

    /// Rows taken so far.
    pub(crate) fn rows(&self) -> u64 {
        match &self.state {
            State::Open(put) => put.rows(),
            State::Start | State::Described(_) | State::Sql(_) => 0,
        }
    }

    /// Commits what was taken. To be called when the client has ended its stream. Answers the metadata of the last
    /// `PutResult`: the receipt as JSON, or what Flight SQL has there.
    ///
    /// # Errors
    /// `message_order_invalid` without a schema, and those of [`PutStream::commit`]; those of a statement.
    pub(crate) async fn commit(self) -> Result<Vec<u8>> {
        match self.state {
            State::Open(put) => {
                let rows = put.rows();
                let receipt = put.commit().await?;
                if self.is_ingest {
                    return Ok(sql::updated(rows));
                }
                receipt_json(&match self.ticket {
                    Some(ticket) => ticket.sign(&self.exchange, &self.caller, receipt),
                    None => receipt,
                })
            }
            State::Sql(put) => put.finish(&self.exchange, &self.caller, &self.prepared).await,
            State::Start | State::Described(_) => Err(self.unopened()),
        }
    }

    /// What a put is answered that ends before its schema.
    pub(crate) fn unopened(&self) -> Error {
        let error = match &self.state {
            State::Described(spec) => order(format!("a put of `{}` has no schema", spec.table)),
            State::Start | State::Open(_) | State::Sql(_) => order("a put has no messages"),
        };
        error.at("the end of the put").hint(HINT)
    }

    /// The state after the descriptor.
    fn describe(&mut self, fields: &Fields) -> Result<State> {
        let bytes = fields.descriptor.clone().ok_or_else(|| {
            Error::new(codes::DESCRIPTOR_INVALID, "the first message of a put has no descriptor").hint(HINT)
        })?;
        let descriptor = FlightDescriptor::decode(bytes).map_err(|error| {
            Error::new(codes::DESCRIPTOR_INVALID, "a descriptor is no FlightDescriptor").source(error).hint(HINT)
        })?;
        if let Some(command) = sql::command(&descriptor.cmd)? {
            return Ok(match sql::begin(&self.exchange, &self.caller, command)? {
                sql::Begun::Table(spec) => {
                    self.is_ingest = true;
                    State::Described(spec)
                }
                sql::Begun::Other(put) => State::Sql(put),
            });
        }
        let (table, options): (TableName, PutOptions) = descriptor::for_put(&descriptor)?;
        let PutOptions { mode, durability, retention, key, ticket } = options.join(self.headers.clone())?;
        if let Some(ticket) = &ticket {
            // Refused now: later the put is kept.
            self.exchange.check_signing(&self.caller, &table, &ticket.spec())?;
        }
        self.ticket = ticket;
        let key = key.map(|key| PutKey::new(&self.caller, key));
        Ok(State::Described(PutSpec {
            table,
            mode: mode.unwrap_or_default(),
            durability,
            retention,
            key,
            caller: None,
        }))
    }

    /// Ends a message that did not go to the put.
    fn end_own(&mut self, fields: &Fields) -> Result<()> {
        let state = std::mem::replace(&mut self.state, State::Start);
        let state = match state {
            State::Start => self.describe(fields)?,
            State::Described(_) | State::Open(_) | State::Sql(_) if fields.descriptor.is_some() => {
                return Err(descriptor_again());
            }
            State::Described(_) | State::Open(_) if fields.is_empty() => {
                return Err(order("a message is empty").hint("send a schema, then record batches, then end the stream"));
            }
            state => state,
        };
        self.state = match state {
            State::Described(spec) if !fields.header.is_empty() => {
                State::Open(Box::new(self.exchange.put_stream(&self.caller, spec, &fields.header)?))
            }
            State::Sql(mut put) if !fields.header.is_empty() => {
                put.begin(&self.exchange, &fields.header, 0)?;
                put.end()?;
                State::Sql(put)
            }
            state => state,
        };
        Ok(())
    }
}

impl Sink for PutMachine {
    fn begin(&mut self, fields: &Fields, body_bytes: u64) -> Result<()> {
        self.is_passed = false;
        match &mut self.state {
            State::Open(put) if !fields.header.is_empty() => {
                if fields.descriptor.is_some() {
                    return Err(descriptor_again());
                }
                self.is_passed = true;
                put.begin(&fields.header, body_bytes)
            }
            State::Sql(put) if !fields.header.is_empty() => {
                if fields.descriptor.is_some() {
                    return Err(descriptor_again());
                }
                self.is_passed = true;
                put.begin(&self.exchange, &fields.header, body_bytes)
            }
            State::Open(_) | State::Sql(_) if body_bytes > 0 => {
                Err(Error::new(codes::MESSAGE_INVALID, "a message has data_body and no data_header"))
            }
            State::Start | State::Described(_) if body_bytes > 0 => {
                Err(order(format!("a message with a body of {body_bytes} bytes comes before the schema")).hint(HINT))
            }
            State::Start | State::Described(_) | State::Open(_) | State::Sql(_) => Ok(()),
        }
    }

    fn body(&mut self, chunk: Bytes) -> Result<()> {
        match &mut self.state {
            State::Open(put) if self.is_passed => put.body(&chunk),
            State::Sql(put) if self.is_passed => {
                put.body(&chunk);
                Ok(())
            }
            State::Start | State::Described(_) | State::Open(_) | State::Sql(_) => Ok(()),
        }
    }

    fn end(&mut self, fields: &Fields) -> Result<()> {
        match &mut self.state {
            State::Open(put) if self.is_passed => {
                // It may stand after the body.
                if fields.descriptor.is_some() {
                    return Err(descriptor_again());
                }
                put.end()
            }
            State::Sql(put) if self.is_passed => put.end(),
            State::Start | State::Described(_) | State::Open(_) | State::Sql(_) => self.end_own(fields),
        }
    }
}

/// The receipt as the last `PutResult` carries it.
fn receipt_json(receipt: &Receipt) -> Result<Vec<u8>> {
    serde_json::to_vec(receipt)
        .map_err(|error| Error::new(codes::INTERNAL, "a receipt cannot be written as JSON").source(error))
}

const HINT: &str = "send the descriptor and the schema first, then batches of that schema";

fn order(message: impl Into<String>) -> Error {
    Error::new(codes::MESSAGE_ORDER_INVALID, message)
}

fn descriptor_again() -> Error {
    order("a descriptor comes again after the first message").hint("begin another put for another table")
}

/// An error of a put with its message as the place, and with a way out where it has none of its own.
pub(crate) fn in_message(error: Error, message: u64) -> Error {
    let place = error.place().map_or(String::new(), |place| format!(", {place}"));
    let hint = match error.code() {
        codes::MESSAGE_INVALID => "write the stream with a current Arrow library",
        codes::SCHEMA_INVALID => "change the column, or leave it out",
        codes::DATA_INVALID => "correct the values in the program that sends them",
        codes::LIMIT_EXCEEDED => "send less in one message",
        _ => "",
    };
    let error = if hint.is_empty() || error.hint_text().is_some() { error } else { error.hint(hint) };
    error.at(format!("message {message} of the put{place}"))
}
