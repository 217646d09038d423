//! What tests break a store with, and how they drive it.

mod fault_disk;
mod power_disk;
mod replay;

use airlane_model::{ByteSize, Durability};
use tokio::sync::oneshot;
use tokio::task;

pub use crate::catalog::conformance;
use crate::commit::Job;
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
        self.shared().memory.pool.spare_bytes()
    }

    /// Does to spare memory what the sweeper does every few seconds.
    pub fn age_memory(&self) {
        self.shared().memory.pool.age();
    }

    /// Moves tables to disk until no more than `target` is used.
    pub async fn relieve_memory(&self, target: ByteSize) {
        let store = self.clone();
        let _ = task::spawn_blocking(move || crate::memory::step(store.shared(), target)).await;
    }

    /// The bytes of compressed messages that are kept, and how many segments they are of that no table has.
    pub fn kept_frames(&self) -> (u64, usize) {
        let (segments, bytes) = self.shared().memory.frames.content();
        let contents = self.shared().index.contents();
        let is_stray = |id: &&airlane_model::SegmentId| {
            !contents.iter().any(|content| content.segments.iter().any(|segment| segment.id() == **id))
        };
        (bytes, segments.iter().filter(is_stray).count())
    }

    /// Drops what has expired, and waits until it is gone. For stores that do it by hand.
    pub async fn expire_due(&self) {
        let store = self.clone();
        let _ = task::spawn_blocking(move || crate::expiry::sweep(store.shared())).await;
    }

    /// Does what a store does every minute since it may be killed: saves how long it has been open.
    pub async fn save_uptime(&self) {
        let (reply, answer) = oneshot::channel();
        self.shared().submit(Durability::Durable, Job::SaveUptime(reply));
        let _ = answer.await;
    }

    /// How many tables the sweep has looked at since the start.
    pub fn expiry_visits(&self) -> u64 {
        self.shared().deadlines.visits()
    }

    /// How many counts of used reads there are, and how many reads are under way.
    pub fn counted_reads(&self) -> (usize, usize) {
        self.shared().counts.sizes()
    }

    /// How many tables have a deadline.
    pub fn deadlines(&self) -> usize {
        self.shared().deadlines.len()
    }

    /// Does one merge that is due; tells whether there was one. For stores that merge by hand.
    pub async fn merge_step(&self) -> bool {
        let store = self.clone();
        task::spawn_blocking(move || crate::merge::step(store.shared())).await.unwrap_or(false)
    }
}
