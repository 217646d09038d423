//! The memory of a query: its own bound, and the budget of the server behind it.

use std::fmt;

use airlane_model::ByteSize;
use airlane_segment::{Charge, MemoryBudget, MemoryUse};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

/// Shares what one query may take among its operators, so that each goes to disk in time, and takes it from the budget.
#[derive(Debug)]
pub(crate) struct QueryPool {
    shares: FairSpillPool,
    taken: Mutex<Charge>,
}

impl QueryPool {
    pub(crate) fn new(memory: ByteSize, budget: &MemoryBudget) -> Self {
        Self { shares: FairSpillPool::new(memory.as_usize()), taken: Mutex::new(budget.begin(MemoryUse::Queries)) }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shares.fmt(f)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shares.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shares.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shares.grow(reservation, additional);
        let mut taken = self.taken.lock();
        let bytes = taken.bytes() + additional as u64;
        taken.overdraw_to(bytes);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shares.shrink(reservation, shrink);
        let mut taken = self.taken.lock();
        let bytes = taken.bytes().saturating_sub(shrink as u64);
        taken.shrink(bytes);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shares.try_grow(reservation, additional)?;
        let mut taken = self.taken.lock();
        let bytes = taken.bytes() + additional as u64;
        // An operator that is refused goes to disk, as it does when its share is used up.
        taken.resize(bytes).map_err(|error| {
            self.shares.shrink(reservation, additional);
            DataFusionError::ResourcesExhausted(error.to_string())
        })
    }

    fn reserved(&self) -> usize {
        self.shares.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shares.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn l6_what_a_query_takes_is_taken_from_the_budget_and_given_back() {
        let budget = MemoryBudget::new(ByteSize::mib(8), || {});
        let pool: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(ByteSize::mib(4), &budget));
        let reservation = MemoryConsumer::new("a join").register(&pool);
        reservation.try_grow(3 << 20).expect("room");
        assert_eq!(budget.used_for(MemoryUse::Queries), ByteSize::mib(3));
        reservation.try_grow(2 << 20).expect_err("more than a query may take");
        let tables = budget.charge(MemoryUse::Tables, 5 << 20).expect("room");
        reservation.try_grow(1 << 20).expect_err("more than there is");
        assert_eq!((reservation.size(), pool.reserved()), (3 << 20, 3 << 20));
        drop(tables);
        reservation.try_grow(1 << 20).expect("room again");
        reservation.shrink(2 << 20);
        assert_eq!(budget.used_for(MemoryUse::Queries), ByteSize::mib(2));
        drop((reservation, pool));
        assert_eq!(budget.used(), ByteSize::mib(0));
    }
}
