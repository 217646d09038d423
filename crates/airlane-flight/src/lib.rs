//! The Flight door: Arrow Flight in, calls of the exchange out.
//!
//! 1. [`router`] serves each request: DoGet and DoPut by the bodies below, everything else by tonic.
//! 2. [`descriptor`] and [`options`] say which table is meant and what a put is to do.
//! 3. [`get`] and [`put`] are the low-copy bodies, framed by `airlane-frames`; [`rope`] is their bytes.
//! 4. [`service`] is the same for clients that compress, and the small calls.
//! 5. [`web`] makes gRPC of gRPC-web, and [`status`] gRPC statuses of errors.
//!
//! This is the only crate that knows Flight and tonic on the server side.

mod answer;
mod caller;
mod deadline;
mod descriptor;
mod get;
mod metrics;
mod options;
mod paths;
mod put;
mod reflection;
mod request;
mod rope;
mod router;
mod service;
mod sql;
mod status;
mod web;

pub use answer::AnswerBody;
pub use paths::{Rpc, is_data, is_login, is_probe};
pub use rope::Rope;
pub use router::{FlightDoor, FlightOptions};
