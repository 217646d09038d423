//! The paths of gRPC, as whoever stands before the door has to know them.

/// Before the name of each RPC of Flight.
const FLIGHT_SERVICE: &str = "/arrow.flight.protocol.FlightService/";
/// The service that probes of a cluster ask.
const HEALTH_SERVICE: &str = "/grpc.health.v1.Health/";
const REFLECTION_SERVICES: &str = "/grpc.reflection.";

/// What can be asked for, as it is logged, counted and traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// `DoGet`.
    DoGet,
    /// `DoPut`.
    DoPut,
    /// `DoExchange`.
    DoExchange,
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `PollFlightInfo`.
    PollFlightInfo,
    /// `GetSchema`.
    GetSchema,
    /// `ListFlights`.
    ListFlights,
    /// `DoAction`.
    DoAction,
    /// `ListActions`.
    ListActions,
    /// `Handshake`.
    Handshake,
    /// The health service.
    Health,
    /// The reflection service.
    Reflection,
    /// What there is not.
    Unknown,
}

impl Rpc {
    /// Each with its name, and whether its answer is a stream of data.
    pub const ALL: [(Self, &'static str, bool); 13] = [
        (Self::DoGet, "DoGet", true),
        (Self::DoPut, "DoPut", false),
        (Self::DoExchange, "DoExchange", true),
        (Self::GetFlightInfo, "GetFlightInfo", false),
        (Self::PollFlightInfo, "PollFlightInfo", false),
        (Self::GetSchema, "GetSchema", false),
        (Self::ListFlights, "ListFlights", true),
        (Self::DoAction, "DoAction", false),
        (Self::ListActions, "ListActions", false),
        (Self::Handshake, "Handshake", false),
        (Self::Health, "Health", false),
        (Self::Reflection, "Reflection", false),
        (Self::Unknown, "no such RPC", false),
    ];

    /// The RPC of a request's path.
    pub fn of_path(path: &str) -> Self {
        if let Some(method) = path.strip_prefix(FLIGHT_SERVICE) {
            let flight = &Self::ALL[..Self::Health as usize];
            return flight.iter().find(|(_, name, _)| *name == method).map_or(Self::Unknown, |(rpc, ..)| *rpc);
        }
        match path {
            _ if path.starts_with(HEALTH_SERVICE) => Self::Health,
            _ if path.starts_with(REFLECTION_SERVICES) => Self::Reflection,
            _ => Self::Unknown,
        }
    }
}

/// Whether a path is for probes, which bring no credentials and learn nothing of any table.
pub fn is_probe(path: &str) -> bool {
    path.starts_with(HEALTH_SERVICE)
}

/// Whether a path is that of a login.
pub fn is_login(path: &str) -> bool {
    Rpc::of_path(path) == Rpc::Handshake
}

/// Whether a path is that of a call by which tables come or go.
pub fn is_data(path: &str) -> bool {
    matches!(Rpc::of_path(path), Rpc::DoGet | Rpc::DoPut | Rpc::DoExchange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_protocol_has_a_name_of_its_own() {
        let spec = include_str!("../../../spec/flight.proto");
        let rpcs: Vec<&str> =
            spec.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect();
        assert!(rpcs.len() >= 9, "{rpcs:?}");
        for rpc in rpcs {
            let found = Rpc::of_path(&format!("{FLIGHT_SERVICE}{rpc}"));
            assert_eq!(Rpc::ALL[found as usize], (found, rpc, Rpc::ALL[found as usize].2));
            assert_ne!(found, Rpc::Unknown, "{rpc}");
        }
        for (place, (rpc, ..)) in Rpc::ALL.into_iter().enumerate() {
            assert_eq!(rpc as usize, place);
        }
    }

    #[test]
    fn what_is_no_rpc_of_flight_is_told_by_its_service() {
        for (path, rpc) in [
            ("/grpc.health.v1.Health/Check", Rpc::Health),
            ("/grpc.health.v1.Health/Watch", Rpc::Health),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rpc::Reflection),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rpc::Reflection),
            ("/arrow.flight.protocol.FlightService/Health", Rpc::Unknown),
            ("/arrow.flight.protocol.FlightService/doget", Rpc::Unknown),
            ("/secret", Rpc::Unknown),
            ("", Rpc::Unknown),
        ] {
            assert_eq!(Rpc::of_path(path), rpc, "{path}");
        }
    }
}
