//! Deadlines of tables, in the order of time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use airlane_model::{Durability, TableId, TableName};
use parking_lot::{Condvar, Mutex};

use crate::uptime::Uptime;

/// When which table is to be looked at. One entry for each table that may expire.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: BTreeMap<(Uptime, TableId), TableName>,
    tables: HashMap<TableId, (Uptime, Durability)>,
    durable: usize,
    /// Entries that were taken out to be looked at.
    visits: u64,
    stop: bool,
}

impl Deadlines {
    /// Has a table looked at no later than at a moment. What is to come earlier stays.
    pub(crate) fn watch(&self, id: TableId, table: &TableName, durability: Durability, at: Uptime) {
        let mut state = self.state.lock();
        if state.tables.get(&id).is_some_and(|(before, _)| *before <= at) {
            return;
        }
        state.take(id);
        state.queue.insert((at, id), table.clone());
        state.tables.insert(id, (at, durability));
        state.durable += usize::from(durability == Durability::Durable);
        if state.queue.len() == 1 {
            self.wake.notify_all();
        }
    }

    /// Forgets a table that is gone.
    pub(crate) fn forget(&self, id: TableId) {
        self.state.lock().take(id);
    }

    /// Takes out what is due, the earliest first.
    pub(crate) fn take_due(&self, now: Uptime, count_max: usize) -> Vec<(TableId, TableName)> {
        let mut state = self.state.lock();
        let mut due = Vec::new();
        // A store that closes leaves what is due to the next process.
        while !state.stop
            && due.len() < count_max
            && let Some((&(at, id), _)) = state.queue.first_key_value()
            && at <= now
        {
            due.extend(state.take(id).map(|table| (id, table)));
        }
        state.visits += due.len() as u64;
        due
    }

    /// Waits for a tick, without end while there is no deadline. `false` when it is to end.
    pub(crate) fn wait(&self, tick: Duration) -> bool {
        let mut state = self.state.lock();
        while !state.stop && state.queue.is_empty() {
            self.wake.wait(&mut state);
        }
        if !state.stop {
            self.wake.wait_for(&mut state, tick);
        }
        !state.stop
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
    }

    /// Whether a durable table has a deadline.
    pub(crate) fn has_durable(&self) -> bool {
        self.state.lock().durable > 0
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn visits(&self) -> u64 {
        self.state.lock().visits
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn len(&self) -> usize {
        self.state.lock().queue.len()
    }
}

impl State {
    fn take(&mut self, id: TableId) -> Option<TableName> {
        let (at, durability) = self.tables.remove(&id)?;
        self.durable -= usize::from(durability == Durability::Durable);
        self.queue.remove(&(at, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> TableId {
        TableId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn at(seconds: u64) -> Uptime {
        Uptime::from_micros(seconds * 1_000_000)
    }

    fn name(number: u32) -> TableName {
        TableName::parse(&format!("t{number}")).expect("a name")
    }

    fn numbers(due: &[(TableId, TableName)]) -> Vec<String> {
        due.iter().map(|(_, table)| table.to_string()).collect()
    }

    #[test]
    fn comes_in_the_order_of_time_and_no_earlier() {
        let deadlines = Deadlines::default();
        for (number, seconds) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            deadlines.watch(id(number), &name(number), Durability::Durable, at(seconds));
        }
        assert!(deadlines.take_due(at(9), 9).is_empty());
        assert_eq!(numbers(&deadlines.take_due(at(20), 2)), ["t2", "t4"]);
        assert_eq!(numbers(&deadlines.take_due(at(20), 2)), ["t3"]);
        deadlines.forget(id(1));
        assert!(deadlines.take_due(at(99), 9).is_empty());
        assert!(!deadlines.has_durable());
    }

    #[test]
    fn the_earlier_of_two_deadlines_counts() {
        let deadlines = Deadlines::default();
        for seconds in [20, 30, 10, 40] {
            deadlines.watch(id(1), &name(1), Durability::Ephemeral, at(seconds));
            assert_eq!((deadlines.len(), deadlines.has_durable()), (1, false));
        }
        assert!(deadlines.take_due(at(9), 9).is_empty());
        assert_eq!(numbers(&deadlines.take_due(at(10), 9)), ["t1"]);
        assert!(deadlines.take_due(at(99), 9).is_empty());
    }

    /// What a tick costs does not grow with the number of tables.
    #[test]
    fn a_tick_looks_at_nothing_that_is_not_due() {
        let deadlines = Deadlines::default();
        for number in 0..100_000 {
            deadlines.watch(id(number), &name(number), Durability::Durable, at(3_600 + u64::from(number)));
        }
        for second in 0..3_600 {
            assert!(deadlines.take_due(at(second), 64).is_empty());
        }
        assert_eq!(deadlines.visits(), 0);
        assert_eq!(deadlines.take_due(at(3_604), 64).len(), 5);
        assert_eq!(deadlines.visits(), 5);
    }
}
