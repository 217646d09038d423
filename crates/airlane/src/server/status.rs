//! Whether the server is ready: what `/readyz` tells, and what ends the process.
//!
//! | check | fails | warns |
//! | --- | --- | --- |
//! | `store` | a commit failed: no puts, and the process ends | |
//! | `disk` | | little room for data is left, or it cannot be told |
//! | `tables` | | stored data is damaged; other tables are served |
//! | `start` | what the server is to load is not there yet | |
//! | `drain` | the server is stopping | |

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use airlane_http::{Check, Readiness};
use airlane_model::ByteSize;
use airlane_store::Store;

/// Below this a put of ordinary size may find the disk full.
const FREE_BYTES_MIN: ByteSize = ByteSize::gib(1);

/// What the server waits for, by name, and its store.
#[derive(Debug)]
pub(super) struct ServerStatus {
    store: Store,
    data_dir: Option<PathBuf>,
    waits: Mutex<BTreeMap<&'static str, String>>,
    is_draining: AtomicBool,
}

impl ServerStatus {
    pub(super) fn new(store: Store, data_dir: Option<PathBuf>) -> Self {
        Self { store, data_dir, waits: Mutex::default(), is_draining: AtomicBool::new(false) }
    }

    /// Adds or replaces a reason for not being ready.
    pub(super) fn wait_for(&self, what: &'static str, reason: String) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(what, reason);
    }

    /// Takes a reason away.
    pub(super) fn done(&self, what: &'static str) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// The server is stopping.
    pub(super) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

impl Readiness for ServerStatus {
    fn checks(&self) -> Vec<Check> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect::<Vec<_>>();
        let draining = "the server is stopping: what runs may end, and nothing new is taken";
        let free = self.data_dir.as_ref().map(|folder| {
            let stat = rustix::fs::statvfs(folder)?;
            Ok(ByteSize::bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
        });
        let mut checks =
            vec![self.store.failure().map_or(Check::ok("store"), |failure| Check::failing("store", failure))];
        checks.extend(free.map(of_disk));
        checks.push(of_tables(self.store.damaged_tables()));
        checks.push(if waits.is_empty() { Check::ok("start") } else { Check::failing("start", waits.join("; ")) });
        checks.push(match self.is_draining.load(Ordering::Relaxed) {
            true => Check::failing("drain", draining),
            false => Check::ok("drain"),
        });
        checks
    }
}

/// A server that cannot take puts can be read, so a full disk is no reason to send readers away.
fn of_disk(free: io::Result<ByteSize>) -> Check {
    match free {
        Ok(free) if free >= FREE_BYTES_MIN => Check::ok("disk"),
        Ok(free) => Check::warning("disk", format!("{free} are free where the data lies; puts may be refused")),
        Err(error) => {
            Check::warning("disk", format!("it cannot be told how much is free where the data lies: {error}"))
        }
    }
}

/// Which ones, and how many, is nothing for everybody.
fn of_tables(damaged: usize) -> Check {
    match damaged {
        0 => Check::ok("tables"),
        _ => Check::warning("tables", "stored data is damaged; the log and `airlane_tables_damaged` tell more"),
    }
}

#[cfg(test)]
mod tests {
    use airlane_http::Health;

    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_or_cannot_be_asked_is_a_warning() {
        assert_eq!(of_disk(Ok(FREE_BYTES_MIN)), Check::ok("disk"));
        let full = of_disk(Ok(ByteSize::mib(3)));
        assert!(full.health == Health::Warning && full.message.contains("3 MiB are free"), "{full:?}");
        assert_eq!(of_disk(Err(io::ErrorKind::NotFound.into())).health, Health::Warning);
    }

    #[test]
    fn damaged_tables_are_a_warning_that_tells_no_names() {
        assert_eq!(of_tables(0), Check::ok("tables"));
        assert_eq!(of_tables(1), of_tables(2));
        assert_eq!(of_tables(1).health, Health::Warning);
    }
}
