//! What the fuzz target of tickets, descriptors and actions does with an input, and what must hold: no fault of the server, and
//! no ticket is taken that was not signed.

use std::fmt;
use std::sync::Arc;

use airlane_exchange::words::Figures;
use airlane_exchange::{Exchange, PutSpec, TicketSpec};
use airlane_flight::{FlightDoor, FlightOptions};
use airlane_gate::Patience;
use airlane_model::caller::Grant;
use airlane_model::figures::ServerFigures;
use airlane_model::{ByteSize, Caller, Durability, PutMode, RetentionChange, Right, Ticket};
use airlane_segment::TableSchema;
use airlane_store::{Store, StoreOptions};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::{Action, Criteria, FlightDescriptor};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::runtime::Runtime;

/// The ways of an input; its first byte chooses one.
const WAYS: u8 = 14;
const ACTIONS: [&str; 9] = [
    "describe",
    "drop",
    "ticket",
    "retention",
    "status",
    "CancelFlightInfo",
    "RenewFlightEndpoint",
    "SetSessionOptions",
    "no such action",
];

#[derive(Debug)]
struct NoFigures;

impl Figures for NoFigures {
    fn now(&self) -> ServerFigures {
        ServerFigures::default()
    }
}

/// A server without a network, that has the table `eu/t` and has signed a ticket for it.
pub(crate) struct Requests {
    runtime: Runtime,
    door: FlightDoor,
    exchange: Exchange,
    caller: Caller,
    signed: String,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    pub(crate) fn start() -> Self {
        // The one thread of a runtime that runs while it is asked would do; the store wants others.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (exchange, signed) = runtime.block_on(exchange());
        let options = FlightOptions {
            body_bytes_max: ByteSize::mib(1),
            header_bytes_max: ByteSize::kib(8),
            endpoints_max: 8,
            quiet_max: std::time::Duration::from_secs(5),
            patience: Patience::default(),
        };
        let door = FlightDoor::new(exchange.clone(), &options, Arc::new(NoFigures)).expect("a door");
        // May see everything and change nothing, so that each input finds the same.
        let namespaces = "*".parse().expect("a pattern");
        let caller = Caller::new("fuzz", vec![Grant { namespaces, rights: vec![Right::Read, Right::Admin] }]);
        Self { runtime, door, exchange, caller, signed }
    }

    /// Asks what an input says; answers the codes of the answers.
    ///
    /// # Panics
    /// When something does not hold.
    pub(crate) fn run(&self, input: &[u8]) -> Vec<String> {
        let Some((way, rest)) = input.split_first() else { return Vec::new() };
        let cmd = || FlightDescriptor::new_cmd(rest.to_vec()).encode_to_vec();
        match way % WAYS {
            0 => self.ticket(rest),
            1 => self.altered(rest),
            2 => self.ask("GetFlightInfo", &cmd()),
            3 => self.ask("GetFlightInfo", rest),
            4 => self.ask("GetSchema", &cmd()),
            5 => {
                let parts = rest.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
                self.ask("PollFlightInfo", &FlightDescriptor::new_path(parts.collect()).encode_to_vec())
            }
            6 => self.ask("DoAction", rest),
            7 => self.ask("ListFlights", &Criteria { expression: rest.to_vec().into() }.encode_to_vec()),
            8 => self.ask("DoGet", rest),
            9 => self.ask("DoPut", rest),
            _ => {
                let Some((name, body)) = rest.split_first() else { return Vec::new() };
                let r#type = ACTIONS[usize::from(*name) % ACTIONS.len()].to_owned();
                self.ask("DoAction", &Action { r#type, body: body.to_vec().into() }.encode_to_vec())
            }
        }
    }

    /// A ticket as it came: what can be read is printed as it is read.
    fn ticket(&self, bytes: &[u8]) -> Vec<String> {
        if let Ok(ticket) = Ticket::parse_bytes(bytes) {
            let again: Ticket = ticket.to_string().parse().expect("what was printed can be read");
            assert_eq!(again, ticket);
            if matches!(ticket, Ticket::Signed(_)) && ticket.to_string() != self.signed {
                assert!(self.exchange.schema(&self.caller, &ticket).is_err(), "a ticket that nobody signed: {bytes:?}");
            }
        }
        self.ask("DoGet", &arrow_flight::Ticket { ticket: bytes.to_vec().into() }.encode_to_vec())
    }

    /// The signed ticket with changes: pairs of a place and a byte, and at the end perhaps what is added.
    fn altered(&self, changes: &[u8]) -> Vec<String> {
        let mut text = self.signed.clone().into_bytes();
        let (pairs, added) = changes.as_chunks::<2>();
        for [place, byte] in pairs {
            let (place, len) = (usize::from(*place), text.len());
            // Signed tickets are longer than a byte counts.
            text[(place * 2 + usize::from(*byte & 1)) % len] = *byte;
        }
        text.extend_from_slice(added);
        if let Ok(ticket) = Ticket::parse_bytes(&text) {
            let is_taken = self.exchange.schema(&Caller::nobody(), &ticket).is_ok();
            assert_eq!(is_taken, text == self.signed.as_bytes(), "{ticket}");
        }
        self.ask("GetFlightInfo", &FlightDescriptor::new_cmd(text).encode_to_vec())
    }

    /// Sends a message to an RPC.
    fn ask(&self, rpc: &str, message: &[u8]) -> Vec<String> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.put_slice(message);
        let request = Request::post(format!("/arrow.flight.protocol.FlightService/{rpc}"))
            .header("content-type", "application/grpc")
            .extension(self.caller.clone())
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let trailers: HeaderMap = self.runtime.block_on(async {
            let (head, body) = self.door.clone().answer(request).await.into_parts();
            let Ok(body) = body.collect().await;
            body.trailers().cloned().unwrap_or(head.headers)
        });
        let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (status, code) = (text("grpc-status"), text("airlane-code"));
        assert!(!status.is_empty(), "{rpc}: an answer without a status");
        assert_ne!(code, "internal", "{rpc}: a fault of the server");
        // What the server refuses it gives a code.
        assert_eq!(code.is_empty(), status == "0", "{rpc}: {trailers:?}");
        vec![code]
    }
}

async fn exchange() -> (Exchange, String) {
    let (store, _) = Store::open(StoreOptions::new(None)).expect("a store");
    let exchange = Exchange::open(store).expect("an exchange");
    let spec = PutSpec {
        table: "eu/t".parse().expect("a name"),
        mode: PutMode::Replace,
        durability: Some(Durability::Ephemeral),
        retention: RetentionChange::default(),
        key: None,
        caller: None,
    };
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let mut put = exchange.put_batches(&Caller::local(), spec, schema).expect("a put");
    put.append(&batch).expect("rows");
    put.commit().await.expect("a commit");
    let ticket = "eu/t".parse().expect("a ticket");
    let signed = exchange.sign(&Caller::local(), &ticket, TicketSpec::default()).expect("signed");
    (exchange, signed.ticket.expose().to_owned())
}
