//! The local door: tables handed over on one machine by descriptors of sealed memory, so that no byte of them is copied
//! or sent.
//!
//! ```text
//! socket ── connection ─┬─ puts     segments: judged, mapped, validated, kept where they lie ──▶ exchange (hand_in)
//!                       ├─ leases   what readers have mapped, and how much of that each may   ◀── exchange (hand_out)
//!                       └─ folder   files instead, where descriptors cannot be passed
//! ```
//!
//! 1. [`connection`] takes the messages of a client, one after another, and answers them.
//! 2. [`puts`] are those that a client has under way.
//! 3. [`leases`] count memory; the kernel owns it. What a reader has mapped stays, whatever becomes of the server.
//! 4. [`tokens`] let in who comes by TCP, which shows nothing of its client.
//!
//! `spec/handover.md` says what the messages mean. Nothing of a table's bytes is known here.
//!
//! | metric | what |
//! | --- | --- |
//! | `airlane_local_connections` | connections that are open |
//! | `airlane_leased_bytes` | memory that readers may have mapped |

mod blocking;
mod connection;
mod folder;
mod hello;
mod leases;
mod options;
mod puts;
mod table;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_exchange::Exchange;
use airlane_gate::{CallGate, Peer, RequestName, Shown};
use airlane_handover::Channel;
use airlane_model::{Chance, Result};

pub use options::LocalOptions;
pub use tokens::Tokens;

use leases::LeaseBook;

/// What is asked at this door, for whoever counts and logs it.
pub const CALLS: [RequestName; 3] = [
    RequestName { name: "LocalHello", is_stream: false },
    RequestName { name: "LocalPut", is_stream: true },
    RequestName { name: "LocalOpen", is_stream: true },
];

/// The places of the [`CALLS`].
const HELLO: usize = 0;
const PUT: usize = 1;
const OPEN: usize = 2;

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalDoor(Arc<Door>);

#[derive(Debug)]
struct Door {
    exchange: Exchange,
    gate: CallGate,
    options: LocalOptions,
    tokens: Tokens,
    book: Arc<LeaseBook>,
    boot_id: [u8; 16],
    connections: AtomicU64,
}

impl LocalDoor {
    /// A door to an exchange, behind a gate that knows the [`CALLS`].
    ///
    /// # Errors
    /// `storage_failed` when the folder for files cannot be made.
    pub fn new(
        exchange: Exchange,
        gate: CallGate,
        options: LocalOptions,
        tokens: Tokens,
        chance: &dyn Chance,
    ) -> Result<Self> {
        if let Some(folder) = &options.folder {
            folder::prepare(folder)?;
        }
        let mut boot_id = [0; 16];
        chance.fill(&mut boot_id);
        let book = Arc::new(LeaseBook::new(options.leased_bytes_max));
        let connections = AtomicU64::new(0);
        Ok(Self(Arc::new(Door { exchange, gate, options, tokens, book, boot_id, connections })))
    }

    /// Serves a connection until its client goes. `stopping` completes when the server is to stop: the client is told,
    /// and what it has under way may end.
    pub async fn serve(&self, channel: Channel, peer: Peer, shown: Shown, stopping: impl Future<Output = ()>) {
        let number = self.0.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let _counted = Counted::begin();
        match connection::serve(&self.0, number, channel, peer, shown, stopping).await {
            Ok(()) => tracing::debug!(connection = number, "a local connection has ended"),
            Err(error) => tracing::debug!(connection = number, %error, "a local connection was ended"),
        }
    }
}

/// A connection that is counted until it is dropped, also one that is cut off.
struct Counted;

impl Counted {
    fn begin() -> Self {
        metrics::gauge!("airlane_local_connections").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("airlane_local_connections").decrement(1.0);
    }
}
