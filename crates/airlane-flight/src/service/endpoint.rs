//! The actions of the protocol that are about endpoints: CancelFlightInfo and RenewFlightEndpoint.

use airlane_exchange::Exchange;
use airlane_model::{ByteSize, Caller, Error, Result, Ticket, codes};
use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, RenewFlightEndpointRequest,
};
use bytes::Bytes;
use prost::Message;

use super::body;
use super::info::protobuf_time;

/// A request with a FlightInfo, most of which is its schema.
const REQUEST_BYTES_MAX: ByteSize = ByteSize::mib(1);

/// The endpoints of a FlightInfo. This server never makes as many.
const ENDPOINTS_MAX: usize = 1024;

const HINT: &str = "send what the Flight library makes of a FlightInfo that this server gave";

/// Nothing runs between a FlightInfo and its reads, so there is nothing to cancel: a read is given up by ending its
/// call.
pub(super) fn cancel(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<Vec<u8>> {
    let request: CancelFlightInfoRequest = decode("CancelFlightInfo", body)?;
    let info = request.info.ok_or_else(|| incomplete("CancelFlightInfo", "FlightInfo"))?;
    if info.endpoint.is_empty() {
        return Err(incomplete("CancelFlightInfo", "endpoint"));
    }
    if info.endpoint.len() > ENDPOINTS_MAX {
        let (got, max) = (info.endpoint.len(), ENDPOINTS_MAX);
        return Err(Error::new(codes::LIMIT_EXCEEDED, format!("a FlightInfo has {got} endpoints, the most is {max}"))
            .hint("send the FlightInfo as this server gave it"));
    }
    info.endpoint.iter().try_for_each(|endpoint| find(exchange, caller, "CancelFlightInfo", endpoint))?;
    Ok(CancelFlightInfoResult { status: CancelStatus::NotCancellable.into() }.encode_to_vec())
}

/// A signed ticket gets its time anew where its holder may read the table by right; a plain one does not expire.
pub(super) fn renew(exchange: &Exchange, caller: &Caller, body: &Bytes) -> Result<Vec<u8>> {
    let request: RenewFlightEndpointRequest = decode("RenewFlightEndpoint", body)?;
    let endpoint = request.endpoint.ok_or_else(|| incomplete("RenewFlightEndpoint", "endpoint"))?;
    let (ticket, expires) = exchange.renew(caller, &ticket_of("RenewFlightEndpoint", &endpoint)?)?;
    let ticket = Some(arrow_flight::Ticket { ticket: ticket.to_string().into() });
    Ok(FlightEndpoint { ticket, expiration_time: expires.map(protobuf_time), ..endpoint }.encode_to_vec())
}

/// Whether what an endpoint's ticket names is there.
fn find(exchange: &Exchange, caller: &Caller, action: &str, endpoint: &FlightEndpoint) -> Result<()> {
    match ticket_of(action, endpoint)? {
        // It is nothing before it is read.
        Ticket::Query(_) => Ok(()),
        ticket => exchange.schema(caller, &ticket).map(drop),
    }
}

fn ticket_of(action: &str, endpoint: &FlightEndpoint) -> Result<Ticket> {
    let ticket = endpoint.ticket.as_ref().ok_or_else(|| incomplete(action, "ticket"))?;
    Ticket::parse_bytes(&ticket.ticket)
}

fn decode<M: Message + Default>(action: &str, body: &Bytes) -> Result<M> {
    body::check_size(action, body, REQUEST_BYTES_MAX, "send no schema with it")?;
    body::request(action, body, HINT)
}

fn incomplete(action: &str, part: &str) -> Error {
    Error::new(codes::MESSAGE_INVALID, format!("a {action}Request has no {part}")).at(body::place(action)).hint(HINT)
}
