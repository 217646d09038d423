//! What tests break a store with, and how they drive it.

mod fault_disk;
mod power_disk;
mod replay;

use airlane_model::ByteSize;
use tokio::sync::oneshot;
use tokio::task;

pub use crate::catalog::conformance;
pub use crate::failpoint::NAMES as FAILPOINTS;
use crate::store::Store;
use crate::sweeper::Sweep;
pub use fault_disk::{Fault, FaultDisk, Operation, When};
pub use power_disk::{Cut, PowerDisk, Removals};
pub use replay::{ManualClock, SeededChance};

impl Store {
    /// Waits until all merges and removals that are due are done.
    pub async fn settle(&self) {
        let store = self.clone();
        if self.merges_in_background() {
            // A store that is closed meanwhile has settled too.
            let _ = task::spawn_blocking(move || store.shared().merges.wait_until_idle()).await;
        }
        let (done, swept) = oneshot::channel();
        let tell = move |_| {
            let _ = done.send(());
        };
        self.shared().sweeper.sweep(Sweep::default(), Some(Box::new(tell)));
        let _ = swept.await;
    }

    /// Memory that no table uses and that is kept for the next put.
    pub fn spare_memory(&self) -> ByteSize {
        self.shared().memory.spare_bytes()
    }

    /// Does to spare memory what the sweeper does every few seconds.
    pub fn age_memory(&self) {
        self.shared().memory.age();
    }

    /// Does one merge that is due; tells whether there was one. For stores that merge by hand.
    pub async fn merge_step(&self) -> bool {
        let store = self.clone();
        task::spawn_blocking(move || crate::merge::step(store.shared())).await.unwrap_or(false)
    }
}
