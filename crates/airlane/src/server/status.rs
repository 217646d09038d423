//! Whether the server is ready: what `/readyz` tells, and what ends the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use airlane_http::Readiness;
use airlane_store::Store;

/// What the server waits for, by name, and its store.
#[derive(Debug)]
pub(super) struct ServerStatus {
    store: Store,
    waits: Mutex<BTreeMap<&'static str, String>>,
}

impl ServerStatus {
    pub(super) fn new(store: Store) -> Self {
        Self { store, waits: Mutex::default() }
    }

    /// Adds or replaces a reason for not being ready.
    pub(super) fn wait_for(&self, what: &'static str, reason: String) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(what, reason);
    }

    /// The server is stopping.
    pub(super) fn begin_drain(&self) {
        self.wait_for("drain", "the server is stopping: what runs may end, and nothing new is taken".into());
    }

    /// Takes a reason away.
    pub(super) fn done(&self, what: &'static str) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }
}

impl Readiness for ServerStatus {
    fn reasons(&self) -> Vec<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.failure().into_iter().chain(waits.values().cloned()).collect()
    }
}
