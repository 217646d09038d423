//! When pieces were asked for that are not kept: so many of the last ones, by a hash of what they are.

use std::collections::{HashMap, VecDeque};

/// A piece is about a MiB before it is compressed: 32 GiB of tables. They take 2 MiB at most.
const SEEN_MAX: usize = 1 << 15;

#[derive(Debug, Default)]
pub(super) struct Seen {
    times: HashMap<u64, u64>,
    /// Every note that was taken; an older one of the same piece says nothing.
    order: VecDeque<(u64, u64)>,
}

impl Seen {
    /// Takes note; gives the time of the note before.
    pub(super) fn note(&mut self, piece: u64, time: u64) -> Option<u64> {
        if self.order.len() >= SEEN_MAX
            && let Some((oldest, noted)) = self.order.pop_front()
            && self.times.get(&oldest) == Some(&noted)
        {
            self.times.remove(&oldest);
        }
        self.order.push_back((piece, time));
        self.times.insert(piece, time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_ones_and_no_more() {
        let mut seen = Seen::default();
        assert_eq!((seen.note(1, 1), seen.note(2, 2), seen.note(1, 3)), (None, None, Some(1)));
        let many = SEEN_MAX as u64;
        assert!((10..10 + many - 1).all(|piece| seen.note(piece, piece).is_none()));
        assert_eq!((seen.times.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
        assert_eq!(seen.note(2, many * 2), None, "forgotten");
        assert_eq!(seen.note(1, many * 2 + 1), None, "forgotten, although it was noted twice");
        assert!(seen.times.len() <= SEEN_MAX && seen.order.len() <= SEEN_MAX);
    }
}
