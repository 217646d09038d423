//! The paths of gRPC, as whoever stands before the door has to know them.

/// Before the name of each RPC of Flight.
pub(crate) const FLIGHT_SERVICE: &str = "/arrow.flight.protocol.FlightService/";
/// The service that probes of a cluster ask.
const HEALTH_SERVICE: &str = "/grpc.health.v1.Health/";
const HANDSHAKE: &str = "Handshake";

/// All RPCs of Flight.
const RPCS: [&str; 10] = [
    "DoGet",
    "DoPut",
    "DoExchange",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "ListFlights",
    "DoAction",
    "ListActions",
    HANDSHAKE,
];

/// What the log calls a request to a path.
pub fn name_of(path: &str) -> &'static str {
    match path.strip_prefix(FLIGHT_SERVICE) {
        Some(method) => RPCS.into_iter().find(|known| *known == method).unwrap_or("no such RPC"),
        None => "another service",
    }
}

/// Whether a path is for probes, which bring no credentials and learn nothing of any table.
pub fn is_probe(path: &str) -> bool {
    path.starts_with(HEALTH_SERVICE)
}

/// Whether a path is that of a login.
pub fn is_login(path: &str) -> bool {
    path.strip_prefix(FLIGHT_SERVICE) == Some(HANDSHAKE)
}
