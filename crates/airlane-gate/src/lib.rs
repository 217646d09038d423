//! The gate: what every request of every door passes before anything of its body is read.
//!
//! ```text
//! request ─ layer ─ credential ─┬─ none      → certificate or user of the system, where the connection shows one
//!                               │              and the rights file names it; else anonymous, where it has that
//!                               ├─ Bearer    → session, or the SHA-256 of a token
//!                               └─ Basic     → remembered, else throttle → Argon2id
//!           Caller in the request's extensions → door → exchange, which checks the rights
//!           answer ─ audit: one line in the log
//! ```
//!
//! 1. [`rules`] is the rights file as it was read, [`rights_file`] reads it again when it changes.
//! 2. [`credential`] takes the header `authorization` apart.
//! 3. [`password`], [`throttle`] and [`remembered`] bound what guessing costs us and gains them.
//! 4. [`session`] is the token that a login answers, [`issued`] those that the program gives to its workers.
//! 5. [`layer`] stands before the doors of HTTP, [`call`] before the others, [`audit`] writes the line, [`drain`] lets
//!    requests end when the server stops.
//! 6. [`patience`] ends requests that do not come.
//! 7. [`quota`] counts streams and puts of callers and in namespaces, [`streams`] the streams of the server.
//!
//! | metric | labels | what |
//! | --- | --- | --- |
//! | `airlane_requests_total` | `rpc`, `kind`, `code` | requests that ended |
//! | `airlane_requests_open` | `rpc` | requests that run |
//! | `airlane_request_duration_seconds`, `airlane_request_first_message_seconds` | `rpc` | how long they took |
//! | `airlane_gate_refused_total` | `code` | requests that the gate refused |
//! | `airlane_rights_files_total` | `outcome` | changes of the rights file that were `taken` or `refused` |
//!
//! No protocol is known here: how a refusal is written is handed in by whoever wires the doors.

mod audit;
mod call;
mod credential;
mod drain;
mod file_watch;
mod gate;
mod issued;
mod keyed;
mod layer;
mod observer;
mod own_headers;
mod password;
mod patience;
mod peer;
mod quota;
mod remembered;
mod request_metrics;
mod rights_file;
mod rules;
mod session;
mod shown;
mod streams;
mod throttle;
mod token;

pub use audit::{AUDIT_TARGET, Audited, outcome_of};
pub use call::{Call, CallGate};
pub use drain::Drain;
pub use file_watch::{FileWatch, Reload};
pub use gate::{Gate, GateOptions};
pub use issued::IssuedToken;
pub use layer::{Doors, GateLayer, Gated, Metered, SessionToken};
pub use observer::{Ended, Observer};
pub use own_headers::{OWN_PREFIX, header_text};
pub use password::hash as hash_password;
pub use patience::{Pace, Patience};
pub use peer::Peer;
pub use request_metrics::RequestName;
pub use rights_file::RightsFile;
pub use rules::{Rules, is_caller_name};
pub use shown::{Identity, Shown};
pub use streams::Streams;
pub use token::{NewToken, random_password};
