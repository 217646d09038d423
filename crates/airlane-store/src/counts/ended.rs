//! Reads that are used, for as long as what was under way to their readers may have been lost.

use std::collections::{HashMap, VecDeque};

use airlane_model::{ReadId, TicketId};

use crate::uptime::Uptime;

/// The last reads that ended, at most: about 500 KiB. A reader whose read is not among them any more is refused.
const ENDED_MAX: usize = 4_096;

/// The last reads that ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// By the ticket that they used, if any, and until when they can be gone on with.
    reads: HashMap<ReadId, (Option<TicketId>, Uptime)>,
    order: VecDeque<(ReadId, Uptime)>,
}

impl Ended {
    pub(super) fn insert(&mut self, read: ReadId, ticket: Option<TicketId>, until: Uptime) {
        if self.order.len() >= ENDED_MAX
            && let Some((oldest, until)) = self.order.pop_front()
            // It may have ended once more since.
            && self.reads.get(&oldest).is_some_and(|(_, last)| *last == until)
        {
            self.reads.remove(&oldest);
        }
        self.reads.insert(read, (ticket, until));
        self.order.push_back((read, until));
    }

    /// The ticket of a read that can be gone on with.
    pub(super) fn holds(&self, read: ReadId, now: Uptime) -> Option<Option<TicketId>> {
        self.reads.get(&read).filter(|(_, until)| now < *until).map(|(ticket, _)| *ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(number: u128) -> ReadId {
        ReadId::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn d10_reads_that_have_ended_are_held_for_a_while_and_never_many() {
        let at = Uptime::from_micros;
        let mut ended = Ended::default();
        let ticket = Some(TicketId::from_bytes([7; 16]));
        ended.insert(read(0), ticket, at(10));
        assert_eq!((ended.holds(read(0), at(9)), ended.holds(read(0), at(10))), (Some(ticket), None));
        assert_eq!(ended.holds(read(1), at(0)), None);
        for number in 1..3 * ENDED_MAX as u128 {
            ended.insert(read(number), None, at(20));
            // One that ends again and again is among the last.
            ended.insert(read(0), ticket, at(20 + number as u64));
        }
        assert!(ended.reads.len() <= ENDED_MAX && ended.order.len() == ENDED_MAX);
        assert_eq!(ended.holds(read(0), at(20)), Some(ticket));
        assert_eq!(ended.holds(read(1), at(0)), None, "the oldest");
    }
}
