//! How many connections there are: of all clients, and of one address.
//!
//! One above the cap is closed at once, before anything was read of it, which costs less than a word of an answer and harms nobody
//! who is there. Loopback and the Unix socket have no cap of their own: a proxy on this machine is one address for all its clients,
//! and who is on the machine has other ways to harm it. A network of IPv6 counts as one address, since whoever has one of it has all.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use airlane_gate::Peer;
use airlane_model::Clock;
use metrics::{counter, gauge};
use parking_lot::Mutex;

/// How often the log tells of connections that were closed.
const TOLD_EACH: Duration = Duration::from_secs(60);

const OPEN: &str = "airlane_connections_open";
pub(super) const REFUSED: &str = "airlane_connections_refused_total";

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of all clients.
    pub all: NonZeroU32,
    /// From one address of the network, other than loopback.
    pub per_address: NonZeroU32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        let of = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MAX);
        Self { all: of(10_000), per_address: of(1_000) }
    }
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cap {
    All,
    Address,
}

impl Cap {
    pub(super) const ALL: [Self; 2] = [Self::All, Self::Address];

    /// The label of the metric.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::All => "connections_max",
            Self::Address => "connections_per_address_max",
        }
    }
}

/// Counts connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: u32,
    by_address: HashMap<Peer, u32>,
    /// Those that were closed since the log told of them, and when it did.
    untold: u64,
    told: Option<Duration>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    address: Option<Peer>,
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { limits, clock, state: Mutex::default() }))
    }

    /// A place for a connection; none above a cap, which is counted, and told by the log now and then.
    pub(super) fn enter(&self, peer: Peer) -> Option<Place> {
        match self.place(peer) {
            Ok(place) => {
                gauge!(OPEN).increment(1.0);
                Some(place)
            }
            Err(cap) => {
                counter!(REFUSED, "cap" => cap.name()).increment(1);
                if let Some(closed) = self.to_be_told() {
                    tracing::warn!(%peer, "connections were closed at once: {closed}, the last by `{}`", cap.setting());
                }
                None
            }
        }
    }

    fn place(&self, peer: Peer) -> Result<Place, Cap> {
        let Inner { limits, state, .. } = &*self.0;
        let address = peer.is_of_network().then(|| peer.network());
        let mut state = state.lock();
        if state.all >= limits.all.get() {
            return Err(Cap::All);
        }
        if let Some(address) = address {
            let count = state.by_address.get(&address).copied().unwrap_or_default();
            if count >= limits.per_address.get() {
                return Err(Cap::Address);
            }
            state.by_address.insert(address, count + 1);
        }
        state.all += 1;
        Ok(Place { connections: self.clone(), address })
    }

    /// How many were closed, when the log is to tell it.
    fn to_be_told(&self) -> Option<u64> {
        let now = self.0.clock.steady();
        let mut state = self.0.state.lock();
        state.untold += 1;
        if state.told.is_some_and(|told| now.saturating_sub(told) < TOLD_EACH) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.untold))
    }

    fn leave(&self, address: Option<Peer>) {
        let mut state = self.0.state.lock();
        state.all -= 1;
        if let Some(address) = address
            && let Some(count) = state.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.leave(self.address);
        gauge!(OPEN).decrement(1.0);
    }
}

#[cfg(test)]
mod tests;
