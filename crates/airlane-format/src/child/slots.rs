//! How many children there are at a time: their memory is not that of the server's budget.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use airlane_model::Result;

const CHILDREN_MAX: usize = 4;
/// How often a wait is looked at.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Slots {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// The place of one child. Dropping it makes it free.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>);

impl Slots {
    /// Waits for a place.
    ///
    /// # Errors
    /// Those of `may_wait`.
    pub(super) fn take(self: &Arc<Self>, may_wait: impl Fn() -> Result<()>) -> Result<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= CHILDREN_MAX {
            may_wait()?;
            taken = self.freed.wait_timeout(taken, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += 1;
        Ok(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}
