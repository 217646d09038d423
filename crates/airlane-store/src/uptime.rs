//! The time that retention goes by: how long the store has been open, in all processes that had it.
//!
//! ```text
//! wall clock    set by anybody: jumps a day back, ten years ahead          shown to people
//! uptime        before this process (from the catalog) + steady clock      decides what has expired
//! ```
//!
//! Nobody can set it, so nothing expires early, whatever becomes of the wall clock, also between two processes: time in
//! which no process had the store is not known for certain and does not count. What a process that is killed did not save
//! is missing too, which delays an expiry and never hastens one.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Clock, Timestamp};

/// A moment in the time of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uptime(u64);

impl Uptime {
    /// From microseconds in which the store was open.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds in which the store was open.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This moment plus a duration; saturates at the end of the range.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) uptime: Uptime,
}

impl Moment {
    /// What the wall clock will show at a moment, if nobody sets it.
    pub(crate) fn wall_at(self, at: Uptime) -> Timestamp {
        self.wall.saturating_add(at.saturating_since(self.uptime))
    }
}

/// Tells the time of a store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct UptimeClock {
    clock: Arc<dyn Clock>,
    /// By the steady clock.
    opened: Duration,
    before: Uptime,
}

impl UptimeClock {
    /// A store that is opened now, after it had been open for `before`.
    pub(crate) fn begin(clock: Arc<dyn Clock>, before: Uptime) -> Self {
        Self { opened: clock.steady(), clock, before }
    }

    pub(crate) fn now(&self) -> Uptime {
        self.before.saturating_add(self.clock.steady().saturating_sub(self.opened))
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { wall: self.clock.now(), uptime: self.now() }
    }
}
