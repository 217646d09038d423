//! The memory that tables, puts and reads may take in all.
//!
//! Nothing here looks at what the process uses: whoever takes memory for data says so first, with a [`Charge`], and
//! gives it back by dropping that. So what is refused is known before it is taken.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_model::{ByteSize, Error, Result, codes};

/// What memory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryUse {
    /// Segments of tables, also of versions that only readers hold.
    Tables,
    /// Puts that are under way.
    Puts,
    /// Messages that are made for readers.
    Reads,
    /// Blocks that are kept for the next segments.
    Spare,
    /// What must not be forgotten of requests: used reads of tickets, keys of puts.
    Remembered,
    /// Messages that were compressed for one reader and are kept for the next.
    Frames,
    /// What queries gather: sorts, joins, groups.
    Queries,
    /// What there is to know of tables beside their rows: names, schemas, versions, lists of segments.
    Facts,
}

impl MemoryUse {
    /// All uses.
    pub const ALL: [Self; 8] = [
        Self::Tables,
        Self::Puts,
        Self::Reads,
        Self::Spare,
        Self::Remembered,
        Self::Frames,
        Self::Queries,
        Self::Facts,
    ];

    /// Its name in metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tables => "tables",
            Self::Puts => "puts",
            Self::Reads => "reads",
            Self::Spare => "spare",
            Self::Remembered => "remembered",
            Self::Frames => "frames",
            Self::Queries => "queries",
            Self::Facts => "facts",
        }
    }
}

/// A number of bytes that may be used, and how many are. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct MemoryBudget(Arc<Inner>);

struct Inner {
    limit: u64,
    used: AtomicU64,
    by_use: [AtomicU64; MemoryUse::ALL.len()],
    released: Box<dyn Fn() + Send + Sync>,
    reclaim: Box<Reclaim>,
}

/// Gives up so many bytes of [`MemoryUse::Frames`]; tells whether there were some.
type Reclaim = dyn Fn(u64) -> bool + Send + Sync;

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget").field("limit", &self.limit()).field("used", &self.used()).finish()
    }
}

impl MemoryBudget {
    /// A budget of so many bytes. `released` is called whenever some come back, on the thread that gives them back; it
    /// must not wait for anything.
    pub fn new(limit: ByteSize, released: impl Fn() + Send + Sync + 'static) -> Self {
        Self::reclaiming(limit, released, |_| false)
    }

    /// As [`new`](Self::new). `reclaim` is called before anything is refused that would fit without frames: it gives up so
    /// many bytes of them, and tells whether there were any. It must not wait for anything either, nor take from the budget.
    pub fn reclaiming(
        limit: ByteSize,
        released: impl Fn() + Send + Sync + 'static,
        reclaim: impl Fn(u64) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            limit: limit.as_u64(),
            used: AtomicU64::new(0),
            by_use: Default::default(),
            released: Box::new(released),
            reclaim: Box::new(reclaim),
        }))
    }

    /// A budget without a limit, which only counts.
    pub fn unlimited() -> Self {
        Self::new(ByteSize::bytes(u64::MAX), || {})
    }

    /// The limit.
    pub fn limit(&self) -> ByteSize {
        ByteSize::bytes(self.0.limit)
    }

    /// All that is used.
    pub fn used(&self) -> ByteSize {
        ByteSize::bytes(self.0.used.load(Ordering::Relaxed))
    }

    /// What is used for one thing.
    pub fn used_for(&self, usage: MemoryUse) -> ByteSize {
        ByteSize::bytes(self.0.by_use[usage as usize].load(Ordering::Relaxed))
    }

    /// Takes nothing yet.
    pub fn begin(&self, usage: MemoryUse) -> Charge {
        Charge { budget: self.clone(), usage, bytes: 0 }
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// `memory_full`.
    pub fn charge(&self, usage: MemoryUse, bytes: u64) -> Result<Charge> {
        let mut charge = self.begin(usage);
        charge.resize(bytes)?;
        Ok(charge)
    }

    /// Takes so many bytes whether they are there or not: for what must go on when memory is short. Puts wait for it.
    pub fn overdraw(&self, usage: MemoryUse, bytes: u64) -> Charge {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        self.0.by_use[usage as usize].fetch_add(bytes, Ordering::Relaxed);
        Charge { budget: self.clone(), usage, bytes }
    }

    /// What a put is answered that finds no memory, and why nothing can be moved out of it, where that is known.
    pub fn exhausted(&self, reason: Option<&str>) -> Error {
        let uses = MemoryUse::ALL.map(|usage| format!("{} {}", usage.name(), self.used_for(usage)));
        let message = format!("the memory budget of {} is used up: {}", self.limit(), uses.join(", "));
        let message = match reason {
            Some(reason) => format!("{message}; nothing more can go to disk: {reason}"),
            None => message,
        };
        Error::new(codes::MEMORY_FULL, message)
            .hint("repeat the put later; to make room drop tables or give them a `ttl`, or raise the server's `memory`")
    }

    fn take(&self, usage: MemoryUse, bytes: u64) -> Result<()> {
        let Inner { limit, used, by_use, reclaim, .. } = &*self.0;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| sum <= limit);
        while let Err(found) = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            let missing = found.saturating_add(bytes).saturating_sub(*limit);
            // What would not fit without frames either is no reason to give them up.
            let is_there = by_use[MemoryUse::Frames as usize].load(Ordering::Relaxed) >= missing;
            if !is_there || !reclaim(missing) {
                return Err(self.exhausted(None));
            }
        }
        by_use[usage as usize].fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn give_back(&self, usage: MemoryUse, bytes: u64) {
        if bytes > 0 {
            self.0.used.fetch_sub(bytes, Ordering::Relaxed);
            self.0.by_use[usage as usize].fetch_sub(bytes, Ordering::Relaxed);
            (self.0.released)();
        }
    }
}

/// Memory that was taken from a budget, until it is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: MemoryBudget,
    usage: MemoryUse,
    bytes: u64,
}

impl Charge {
    /// How much it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The budget that it was taken from.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Takes more, or gives some back.
    ///
    /// # Errors
    /// `memory_full`; then nothing has changed.
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes {
            self.budget.take(self.usage, bytes - self.bytes)?;
            self.bytes = bytes;
        } else {
            self.shrink(bytes);
        }
        Ok(())
    }

    /// Has it be so many bytes, whether they are there or not: see [`MemoryBudget::overdraw`].
    pub fn overdraw_to(&mut self, bytes: u64) {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            self.budget.0.used.fetch_add(more, Ordering::Relaxed);
            self.budget.0.by_use[self.usage as usize].fetch_add(more, Ordering::Relaxed);
            self.bytes = bytes;
        } else {
            self.shrink(bytes);
        }
    }

    /// Gives back all but so many bytes.
    pub fn shrink(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.budget.give_back(self.usage, less);
    }

    /// Has it counted for something else.
    pub fn move_to(&mut self, usage: MemoryUse) {
        if self.usage != usage {
            let by_use = &self.budget.0.by_use;
            by_use[usage as usize].fetch_add(self.bytes, Ordering::Relaxed);
            by_use[self.usage as usize].fetch_sub(self.bytes, Ordering::Relaxed);
            self.usage = usage;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.usage, self.bytes);
    }
}

#[cfg(test)]
mod tests;
