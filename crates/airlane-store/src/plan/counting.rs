//! What reads do to counts, and the last one to its table.

use airlane_model::Retention;

use super::Plan;
use crate::catalog::Change;
use crate::catalog::counts::{Counted, StoredCount, Until};
use crate::content::Content;
use crate::counts::{CountRequest, Step};
use crate::expiry::ExpiryReason;

impl Plan<'_> {
    /// Plans a step of a read. What the plan holds already, or what was committed, is not done again.
    pub(crate) fn count(&mut self, request: &CountRequest) {
        let step = (request.read, request.step);
        if self.counting.steps.contains(&step) {
            return;
        }
        let uses = self.context.counts.uses(request.read, request.step);
        let is_burnt = self.counting.steps.contains(&(request.read, Step::Burn));
        if let Some(ticket) = uses.ticket.filter(|_| !is_burnt) {
            let now = self.context.now;
            let uptime = now.uptime.saturating_add(request.until.saturating_since(now.wall));
            self.use_one(Counted::Ticket(ticket), Until { uptime, wall: request.until });
        }
        if let Some((id, version)) = uses.table {
            // One of the same name that was made anew, with whatever durability, is not meant.
            let current = self.current(&request.table).ok().flatten().filter(|content| content.id == id);
            if let Some(content) = current.filter(|content| content.version.put == version)
                && let Some(max) = content.retention.counted_reads()
            {
                let of = Counted::Table(id, version);
                if self.used(of).map_or(0, |count| count.used) + 1 >= max.get() {
                    self.end_as_read(&content);
                } else {
                    self.use_one(of, Until::default());
                }
            }
        }
        self.counting.steps.push(step);
        self.forget_some();
    }

    /// Takes out a table that was read often enough for a retention; tells whether it was.
    pub(super) fn end_if_read_up(&mut self, content: &Content, retention: &Retention) -> bool {
        let used = self.used(Counted::Table(content.id, content.version.put)).map(|count| count.used);
        let is_read_up = retention.counted_reads().is_some_and(|max| used.is_some_and(|used| used >= max.get()));
        if is_read_up {
            self.end_as_read(content);
        }
        is_read_up
    }

    /// What is used when all that the plan holds is done.
    fn used(&self, of: Counted) -> Option<StoredCount> {
        let planned = self.counting.counts.iter().rev().find(|count| count.of == of);
        planned.copied().or_else(|| self.context.counts.stored(of))
    }

    fn use_one(&mut self, of: Counted, until: Until) {
        let before = self.used(of);
        // A clock that was wrong for a moment forgets nothing early.
        let until = before.map_or(until, |before| Until { uptime: until.uptime.max(before.until.uptime), ..until });
        let count = StoredCount { of, used: before.map_or(0, |before| before.used) + 1, until };
        self.changes.push(Change::SetCount { count });
        self.counting.counts.push(count);
    }

    fn end_as_read(&mut self, content: &Content) {
        self.take_out(content);
        self.expired.push((content.table.clone(), content.id, ExpiryReason::Reads));
    }

    /// Forgets some counts of tickets that have expired: each commit of a count takes some with it, so that there are
    /// never many.
    fn forget_some(&mut self) {
        if !self.counting.forgotten.is_empty() || self.counting.counts.is_empty() {
            return;
        }
        let due = self.context.counts.forgettable(self.context.now, self.context.durability);
        // A ticket that was used at this moment is not forgotten at the same.
        let due = due.into_iter().filter(|of| self.counting.counts.iter().all(|count| count.of != *of));
        self.counting.forgotten = due.collect();
        self.changes.extend(self.counting.forgotten.iter().map(|of| Change::ForgetCount { of: *of }));
    }
}
