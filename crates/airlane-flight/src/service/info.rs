//! FlightInfo: what a table is and the tickets that read it.

use airlane_exchange::{Exchange, FlightPlan};
use airlane_model::{Caller, Error, ErrorKind, PlainTicket, QueryTicket, Result, TableInfo, Ticket, Timestamp, codes};
use airlane_segment::TableSchema;
use arrow_flight::{Criteria, FlightDescriptor, FlightEndpoint, FlightInfo};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, stream};
use tonic::Status;

use crate::descriptor;
use crate::status::from_error;
use airlane_exchange::blocking;

/// The info of what a descriptor names, with the schema of a read in plain types where that is asked for.
pub(super) async fn of_descriptor(
    exchange: &Exchange,
    caller: &Caller,
    descriptor: FlightDescriptor,
    endpoints_max: usize,
    is_plain: bool,
) -> Result<FlightInfo> {
    let ticket = match descriptor::for_read(&descriptor)? {
        Ticket::Query(query) => return of_query(exchange, caller, &query, descriptor, is_plain).await,
        ticket => ticket,
    };
    let mut plan = plan(exchange.clone(), caller.clone(), ticket, endpoints_max).await?;
    if is_plain {
        plan.schema = Exchange::plain_schema(&plan.schema)?;
    }
    flight_info(plan, descriptor)
}

/// The info of a query, which is planned and not begun. Its ticket computes it of the versions that there are now.
pub(crate) async fn of_query(
    exchange: &Exchange,
    caller: &Caller,
    query: &QueryTicket,
    descriptor: FlightDescriptor,
    is_plain: bool,
) -> Result<FlightInfo> {
    let plan = exchange.plan_query(caller, query).await?;
    let schema = if is_plain { Exchange::plain_schema(&plan.schema)? } else { plan.schema };
    let (rows, bytes) = plan.table.map(|table| (table.rows, table.bytes)).unzip();
    Ok(in_one(&schema, descriptor, endpoint_of(&plan.ticket.into(), None), rows, bytes))
}

/// The info of a command that asks what there is: its ticket is the command itself.
pub(crate) fn of_command(schema: &TableSchema, rows: usize, descriptor: FlightDescriptor) -> FlightInfo {
    let ticket = arrow_flight::Ticket { ticket: descriptor.cmd.clone() };
    let endpoint = FlightEndpoint { ticket: Some(ticket), ..FlightEndpoint::default() };
    in_one(schema, descriptor, endpoint, u64::try_from(rows).ok(), None)
}

/// The info of what has one endpoint and no table's facts.
fn in_one(
    schema: &TableSchema,
    descriptor: FlightDescriptor,
    endpoint: FlightEndpoint,
    rows: Option<u64>,
    bytes: Option<u64>,
) -> FlightInfo {
    FlightInfo {
        schema: encapsulated(schema),
        flight_descriptor: Some(descriptor),
        endpoint: vec![endpoint],
        total_records: count(rows),
        total_bytes: count(bytes),
        ordered: true,
        app_metadata: Bytes::new(),
    }
}

/// A number as the protocol has it: -1 where it is not known.
fn count(known: Option<u64>) -> i64 {
    known.map_or(-1, |known| i64::try_from(known).unwrap_or(i64::MAX))
}

/// Planning a part of a table looks into its segments, which may lie on disk. An older version is a part too.
async fn plan(exchange: Exchange, caller: Caller, ticket: Ticket, endpoints_max: usize) -> Result<FlightPlan> {
    let is_whole = |plain: &PlainTicket| plain.rows.is_none() && plain.version.is_none();
    if matches!(&ticket, Ticket::Plain(plain) if is_whole(plain)) {
        return exchange.flights(&caller, &ticket, endpoints_max);
    }
    blocking::run(move || exchange.flights(&caller, &ticket, endpoints_max)).await
}

/// The prefix of names in a criteria.
pub(super) fn prefix(criteria: &Criteria) -> Result<String> {
    String::from_utf8(criteria.expression.to_vec()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(codes::OPTION_INVALID, format!("the expression of a criteria is not UTF-8 at byte {at}"))
            .hint("give the beginning of the names to list, such as `eu/`")
    })
}

/// The infos of the tables whose names begin with a prefix, in their order, each made when it is asked for.
pub(super) fn list(
    exchange: Exchange,
    caller: Caller,
    prefix: &str,
    endpoints_max: usize,
) -> impl Stream<Item = Result<FlightInfo, Status>> + Send + use<> {
    let tables = exchange.list(&caller, prefix);
    stream::iter(tables.into_iter().filter_map(move |table| match listed(&exchange, &caller, &table, endpoints_max) {
        Ok(info) => Some(Ok(info)),
        // Dropped since the list was made.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Err(from_error(&error))),
    }))
}

fn listed(exchange: &Exchange, caller: &Caller, table: &TableInfo, endpoints_max: usize) -> Result<FlightInfo> {
    let plan = exchange.flights(caller, &Ticket::current(table.table.clone()), endpoints_max)?;
    let path = table.table.as_str().split('/').map(str::to_owned).collect();
    flight_info(plan, FlightDescriptor::new_path(path))
}

fn flight_info(plan: FlightPlan, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    let endpoint = plan.endpoints.iter().map(|endpoint| endpoint_of(&endpoint.ticket, plan.expires));
    // Whoever holds a signed ticket need not know more than what it reads.
    let is_signed = plan.endpoints.iter().any(|endpoint| matches!(endpoint.ticket, Ticket::Signed(_)));
    let app_metadata = match is_signed {
        true => Vec::new(),
        false => serde_json::to_vec(&plan.info)
            .map_err(|error| Error::new(codes::INTERNAL, "a table cannot be written as JSON").source(error))?,
    };
    Ok(FlightInfo {
        schema: encapsulated(&plan.schema),
        flight_descriptor: Some(descriptor),
        endpoint: endpoint.collect(),
        total_records: count(Some(plan.rows)),
        total_bytes: count(plan.bytes),
        ordered: true,
        app_metadata: app_metadata.into(),
    })
}

fn endpoint_of(ticket: &Ticket, expires: Option<Timestamp>) -> FlightEndpoint {
    FlightEndpoint {
        ticket: Some(arrow_flight::Ticket { ticket: ticket.to_string().into() }),
        // No location: the ticket is for this server. Clients dial whatever stands here.
        location: Vec::new(),
        expiration_time: expires.map(protobuf_time),
        app_metadata: Bytes::new(),
    }
}

/// A moment as endpoints carry it.
pub(super) fn protobuf_time(moment: Timestamp) -> prost_types::Timestamp {
    let (seconds, micros) = (moment.as_micros().div_euclid(1_000_000), moment.as_micros().rem_euclid(1_000_000));
    prost_types::Timestamp { seconds, nanos: micros as i32 * 1_000 }
}

/// The schema as an encapsulated IPC message: continuation, length, flatbuffer (Arrow columnar format, "Encapsulated
/// message format").
pub(crate) fn encapsulated(schema: &TableSchema) -> Bytes {
    let message = schema.message();
    let mut out = BytesMut::with_capacity(8 + message.len());
    out.put_u32_le(0xFFFF_FFFF);
    // A schema is bounded by what a put may bring: far below 2 GiB.
    out.put_u32_le(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use arrow_flight::IpcMessage;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_stock_client_reads_the_encapsulated_schema() {
        let arrow = Schema::new(vec![Field::new("price", DataType::Float64, false)]);
        let schema = TableSchema::from_arrow(&arrow).expect("allowed");
        let read = Schema::try_from(IpcMessage(encapsulated(&schema))).expect("a schema");
        assert_eq!(read, arrow);
    }
}
