//! Memory within its budget: puts wait while it is short, until something went to disk or came back.
//!
//! ```text
//! used ──high──▶ frames are given up; when there are none left, the thread moves tables to disk, the least recently used
//!                first, until `low` is reached
//!      ──short─▶ puts wait for that; when nothing can be moved they are refused
//!      ──limit─▶ what is taken without having waited is refused
//! ```
//!
//! Reads never wait: what they take counts, and puts see less room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use airlane_model::{ByteSize, Result};
use airlane_segment::{MemfdPool, MemoryBudget, MemoryUse};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::frames::{FrameCounts, Frames};
use crate::options::MemoryOptions;
use crate::shared::Shared;

mod moves;
mod round;

pub(crate) use moves::to_disk;
pub(crate) use round::{run_rounds, step};

/// The memory of a store.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) budget: MemoryBudget,
    /// Compressed messages, which are given up before anything waits.
    pub(crate) frames: Frames,
    /// Where large segments of ephemeral tables live.
    pub(crate) pool: MemfdPool,
    options: MemoryOptions,
    gauge: Arc<Gauge>,
    thread: Mutex<Thread>,
    wake: Condvar,
    /// What ephemeral tables may have on disk.
    disk: MemoryBudget,
    spills: AtomicU64,
}

/// What whoever waits for memory looks at.
#[derive(Debug)]
struct Gauge {
    waiting: AtomicUsize,
    changes: watch::Sender<Changes>,
}

#[derive(Clone, Debug, Default)]
struct Changes {
    /// Rounds that could move nothing.
    stuck: u64,
    /// Why the last of them could not, where that is the disk's fault.
    reason: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Thread {
    is_asked: bool,
    is_stuck: bool,
    stop: bool,
    /// Nobody listens: rounds are done by whoever asks.
    by_hand: bool,
}

/// How much memory a store uses, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryState {
    /// The budget.
    pub limit: ByteSize,
    /// What is used, by use.
    pub used: [(MemoryUse, ByteSize); MemoryUse::ALL.len()],
    /// Bytes of ephemeral tables that are on disk now.
    pub spilled: ByteSize,
    /// How often something was moved to disk since the start.
    pub spills: u64,
    /// What became of reads that asked for compressed messages.
    pub frames: FrameCounts,
    /// Whether puts wait for memory, or would.
    pub is_short: bool,
}

/// Memory that is kept for the next segments, at most.
const SPARE_BYTES_MAX: u64 = 2 << 30;

impl Memory {
    pub(crate) fn new(options: MemoryOptions, by_hand: bool) -> Arc<Self> {
        let (changes, _) = watch::channel(Changes::default());
        let gauge = Arc::new(Gauge { waiting: AtomicUsize::new(0), changes });
        let told = gauge.clone();
        let frames = Frames::new(options.frames_max(), options.high(), |reclaim| {
            MemoryBudget::reclaiming(options.limit, move || told.released(), reclaim)
        });
        let budget = frames.budget().clone();
        let spare_max = ByteSize::bytes(SPARE_BYTES_MAX.min(options.limit.as_u64() / 8));
        Arc::new(Self {
            pool: MemfdPool::new(spare_max, budget.clone()),
            budget,
            frames,
            options,
            gauge,
            thread: Mutex::new(Thread { by_hand, ..Thread::default() }),
            wake: Condvar::new(),
            disk: options.spill_max.map_or_else(MemoryBudget::unlimited, |max| MemoryBudget::new(max, || {})),
            spills: AtomicU64::new(0),
        })
    }

    pub(crate) fn state(&self) -> MemoryState {
        MemoryState {
            limit: self.budget.limit(),
            used: MemoryUse::ALL.map(|usage| (usage, self.budget.used_for(usage))),
            spilled: self.disk.used(),
            spills: self.spills.load(Ordering::Relaxed),
            frames: self.frames.counts(),
            is_short: self.is_short(0),
        }
    }

    /// Waits until so many bytes can be taken.
    ///
    /// # Errors
    /// `memory_full` when nothing can be moved to disk any more; `shutting_down`.
    pub(crate) async fn room(&self, shared: &Shared, bytes: u64) -> Result<()> {
        self.relieve();
        if !self.is_short_without_frames(bytes) {
            return Ok(());
        }
        let _waiting = self.gauge.wait();
        let mut changes = self.gauge.changes.subscribe();
        loop {
            let stuck = changes.borrow_and_update().stuck;
            if !self.is_short_without_frames(bytes) {
                return Ok(());
            }
            shared.check_open()?;
            self.ask(shared);
            // The sender lives as long as this does.
            let _ = changes.changed().await;
            let now = changes.borrow().clone();
            if now.stuck > stuck && self.is_short(bytes) {
                return Err(self.budget.exhausted(now.reason.as_deref()));
            }
        }
    }

    /// Has tables moved to disk when the budget is nearly used up. To be called by whoever takes memory and does not
    /// wait.
    pub(crate) fn relieve(&self) {
        if self.used_without_frames_above(self.options.high()) == 0 {
            return;
        }
        let mut thread = self.thread.lock();
        // Where nothing could be moved, only who is short of memory has it tried again.
        if !thread.is_stuck && !thread.by_hand {
            thread.is_asked = true;
            self.wake.notify_all();
        }
    }

    /// Ends the thread; whoever waits looks again.
    pub(crate) fn stop(&self) {
        self.thread.lock().stop = true;
        self.wake.notify_all();
        self.gauge.changes.send_modify(|_| {});
    }

    /// What is used above a mark, after frames were given up for it.
    fn used_without_frames_above(&self, mark: ByteSize) -> u64 {
        let excess = || self.budget.used().as_u64().saturating_sub(mark.as_u64());
        // A reader may hold the frame that was given up.
        while excess() > 0 && self.frames.give_up(excess()) > 0 {}
        excess()
    }

    fn is_short_without_frames(&self, bytes: u64) -> bool {
        let room = self.options.short().as_u64().saturating_sub(bytes);
        self.used_without_frames_above(ByteSize::bytes(room)) > 0
    }

    fn is_short(&self, bytes: u64) -> bool {
        self.budget.used().as_u64().saturating_add(bytes) > self.options.short().as_u64()
    }

    fn ask(&self, shared: &Shared) {
        let mut thread = self.thread.lock();
        if thread.by_hand {
            drop(thread);
            crate::blocking::in_place(|| step(shared, self.options.low()));
            return;
        }
        thread.is_asked = true;
        self.wake.notify_all();
    }

    /// Waits until a round is asked for; false when there are to be no more.
    fn next_round(&self) -> bool {
        let mut thread = self.thread.lock();
        while !thread.is_asked && !thread.stop {
            self.wake.wait(&mut thread);
        }
        thread.is_asked = false;
        !thread.stop
    }

    /// Tells of the end of a round; answers whether its reason is another than that of the round before.
    fn ended(&self, has_moved: bool, reason: Option<&str>) -> bool {
        self.thread.lock().is_stuck = !has_moved;
        let mut is_new = false;
        self.gauge.changes.send_modify(|changes| {
            is_new = changes.reason.as_deref() != reason;
            changes.stuck += u64::from(!has_moved);
            changes.reason = reason.map(Arc::from);
        });
        is_new
    }
}

impl Gauge {
    fn released(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changes.send_modify(|_| {});
        }
    }

    fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self.clone())
    }
}

struct Waiting(Arc<Gauge>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
