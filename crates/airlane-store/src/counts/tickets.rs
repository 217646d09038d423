//! The used reads of tickets, as compact as they can be held: there may be a million of them for a week.

use std::collections::{BTreeMap, HashMap};

use airlane_model::{Durability, TicketId};

use crate::catalog::counts::{Counted, StoredCount, Until};
use crate::uptime::Moment;

/// What a ticket takes in memory, in bytes: see `examples/remembered.rs`.
pub(super) const TICKET_BYTES: u64 = 144;

/// The same with its row in the catalog of ephemeral tables, which is in memory too.
pub(super) const EPHEMERAL_TICKET_BYTES: u64 = 160;

/// Counts that a commit forgets beside its own, at most.
const FORGOTTEN_MAX: usize = 64;

/// Counts that are looked at to find those, at most: all may be old by one clock, and none by the other.
const LOOKS_MAX: usize = 256;

/// Tickets that end in the same time of so many microseconds are forgotten in any order.
const SPAN_MICROS: u64 = 60_000_000;

/// The used reads of tickets, apart for each catalog.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    lanes: [Lane; 2],
}

#[derive(Debug, Default)]
struct Lane {
    used: HashMap<TicketId, Used>,
    /// Tickets by the span of uptime in which their counts may be forgotten.
    ends: BTreeMap<u64, Vec<TicketId>>,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    used: u64,
    until: Until,
}

impl Used {
    fn span(self) -> u64 {
        self.until.uptime.as_micros() / SPAN_MICROS
    }
}

impl Lane {
    fn forget(&mut self, ticket: TicketId) {
        let Some(span) = self.used.remove(&ticket).map(Used::span) else { return };
        let Some(tickets) = self.ends.get_mut(&span) else { return };
        // Those that are due are taken from the end.
        if let Some(place) = tickets.iter().rposition(|other| *other == ticket) {
            tickets.swap_remove(place);
        }
        if tickets.is_empty() {
            self.ends.remove(&span);
        }
    }
}

impl Tickets {
    pub(super) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.used.len()).sum()
    }

    /// What all of them take in memory.
    pub(super) fn bytes(&self) -> u64 {
        let [ephemeral, durable] = self.lanes.each_ref().map(|lane| lane.used.len() as u64);
        ephemeral * EPHEMERAL_TICKET_BYTES + durable * TICKET_BYTES
    }

    pub(super) fn get(&self, ticket: TicketId) -> Option<StoredCount> {
        let Used { used, until } = *self.lanes.iter().find_map(|lane| lane.used.get(&ticket))?;
        Some(StoredCount { of: Counted::Ticket(ticket), used, until })
    }

    pub(super) fn set(&mut self, ticket: TicketId, count: &StoredCount, durability: Durability) {
        self.forget(ticket);
        let (lane, used) = (&mut self.lanes[index(durability)], Used { used: count.used, until: count.until });
        lane.ends.entry(used.span()).or_default().push(ticket);
        lane.used.insert(ticket, used);
    }

    pub(super) fn forget(&mut self, ticket: TicketId) {
        self.lanes.iter_mut().for_each(|lane| lane.forget(ticket));
    }

    /// Some in the catalog of a durability that are past their ends by both clocks.
    pub(super) fn forgettable(&self, now: Moment, durability: Durability) -> Vec<TicketId> {
        let lane = &self.lanes[index(durability)];
        let spans = lane.ends.range(..=now.uptime.as_micros() / SPAN_MICROS);
        let oldest = spans.flat_map(|(_, tickets)| tickets.iter().rev()).take(LOOKS_MAX);
        let is_due = |ticket: &&TicketId| {
            lane.used.get(ticket).is_some_and(|Used { until, .. }| until.uptime < now.uptime && until.wall < now.wall)
        };
        oldest.filter(is_due).take(FORGOTTEN_MAX).copied().collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = StoredCount> {
        let used = self.lanes.iter().flat_map(|lane| &lane.used);
        used.map(|(id, Used { used, until })| StoredCount { of: Counted::Ticket(*id), used: *used, until: *until })
    }
}

fn index(durability: Durability) -> usize {
    usize::from(durability == Durability::Durable)
}

#[cfg(test)]
mod tests {
    use airlane_model::Timestamp;

    use super::*;
    use crate::uptime::Uptime;

    fn ticket(number: u64) -> TicketId {
        TicketId::from_bytes((u128::from(number) << 64).to_be_bytes())
    }

    fn count(number: u64, used: u64, seconds: u64) -> StoredCount {
        let micros = seconds * 1_000_000;
        let until = Until { uptime: Uptime::from_micros(micros), wall: Timestamp::from_micros(micros.cast_signed()) };
        StoredCount { of: Counted::Ticket(ticket(number)), used, until }
    }

    fn at(seconds: u64) -> Moment {
        let Until { uptime, wall } = count(0, 0, seconds).until;
        Moment { wall, uptime }
    }

    #[test]
    fn d10_counts_are_forgotten_in_pieces_and_none_too_early() {
        let mut tickets = Tickets::default();
        for number in 0..1_000 {
            // Some are used twice, and then end later.
            tickets.set(ticket(number), &count(number, 1, number), Durability::Durable);
            tickets.set(ticket(number), &count(number, 2, number + number % 2 * 100), Durability::Durable);
        }
        tickets.set(ticket(5_000), &count(5_000, 1, 0), Durability::Ephemeral);
        assert_eq!(tickets.bytes(), 1_000 * TICKET_BYTES + EPHEMERAL_TICKET_BYTES);
        assert_eq!(tickets.forgettable(at(0), Durability::Durable), Vec::new());
        let mut forgotten = 0;
        loop {
            let due = tickets.forgettable(at(500), Durability::Durable);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= FORGOTTEN_MAX);
            forgotten += due.len();
            for ticket in due {
                assert!(
                    tickets.get(ticket).is_some_and(|count| count.used == 2 && count.until.uptime < at(500).uptime)
                );
                tickets.forget(ticket);
            }
        }
        assert_eq!(forgotten, 250 + 200);
        assert_eq!((tickets.len(), tickets.all().count()), (551, 551));
        tickets.all().map(|count| count.of).collect::<Vec<_>>().into_iter().for_each(|of| {
            let Counted::Ticket(ticket) = of else { panic!("a ticket") };
            tickets.forget(ticket);
        });
        assert!(tickets.lanes.iter().all(|lane| lane.used.is_empty() && lane.ends.is_empty()));
    }
}
