//! What is kept, in the order in which it was last asked for. Time is the number of the request.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use airlane_model::SegmentId;
use airlane_segment::Charge;

use super::making::Turn;
use super::seen::Seen;
use super::{Frame, Key, Piece};

#[derive(Debug, Default)]
pub(super) struct State {
    segments: HashMap<SegmentId, HashMap<Piece, Entry>>,
    /// The pieces by the time when they were last asked for.
    order: BTreeMap<u64, Key>,
    bytes: u64,
    now: u64,
    seen: Seen,
    making: HashMap<Key, Arc<Turn>>,
}

#[derive(Debug)]
pub(super) struct Entry {
    frame: Frame,
    bytes: u64,
    asked: u64,
    /// Of a frame without a body, which has it else.
    _charge: Option<Charge>,
}

impl Entry {
    pub(super) fn new(frame: Frame, bytes: u64, charge: Option<Charge>) -> Self {
        Self { frame, bytes, asked: 0, _charge: charge }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl State {
    /// The bytes of what is kept.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn segments(&self) -> Vec<SegmentId> {
        self.segments.keys().copied().collect()
    }

    /// What is kept of a piece, which is asked for now.
    pub(super) fn get(&mut self, key: &Key) -> Option<Frame> {
        let entry = self.segments.get_mut(&key.segment)?.get_mut(&key.piece)?;
        self.now += 1;
        if let Some(key) = self.order.remove(&entry.asked) {
            self.order.insert(self.now, key);
        }
        entry.asked = self.now;
        Some(entry.frame.clone())
    }

    /// The turn of whoever makes a piece now.
    pub(super) fn turn(&self, key: &Key) -> Option<Arc<Turn>> {
        self.making.get(key).cloned()
    }

    pub(super) fn begin(&mut self, key: &Key) -> Arc<Turn> {
        self.making.entry(key.clone()).or_default().clone()
    }

    pub(super) fn end(&mut self, key: &Key) {
        self.making.remove(key);
    }

    /// Takes note that a piece is asked for that is not kept. Gives when it was before, if that is known.
    pub(super) fn note(&mut self, key: &Key) -> Option<u64> {
        self.now += 1;
        self.seen.note(self.segments.hasher().hash_one(key), self.now)
    }

    pub(super) fn insert(&mut self, key: &Key, entry: Entry) {
        self.now += 1;
        self.bytes += entry.bytes;
        let entry = Entry { asked: self.now, ..entry };
        self.order.insert(self.now, key.clone());
        let before = self.segments.entry(key.segment).or_default().insert(key.piece.clone(), entry);
        debug_assert!(before.is_none(), "a piece is made by one at a time");
    }

    /// Takes out what was not asked for longest.
    pub(super) fn remove_oldest(&mut self) -> Option<Entry> {
        let (asked, key) = self.order.pop_first()?;
        let pieces = self.segments.get_mut(&key.segment)?;
        let entry = pieces.remove(&key.piece)?;
        if pieces.is_empty() {
            self.segments.remove(&key.segment);
        }
        self.bytes -= entry.bytes;
        // When it is asked for again, it comes before what was not asked for since.
        self.seen.note(self.segments.hasher().hash_one(&key), asked);
        Some(entry)
    }

    /// Takes out what was last asked for before `time`, oldest first, until it is so many bytes; nothing when all of it is
    /// not enough.
    pub(super) fn remove_older(&mut self, time: u64, bytes: u64) -> Vec<Entry> {
        let (mut found, mut count) = (0, 0);
        for key in self.order.range(..time).map(|(_, key)| key) {
            if found >= bytes {
                break;
            }
            found += self.segments.get(&key.segment).and_then(|pieces| pieces.get(&key.piece)).map_or(0, Entry::bytes);
            count += 1;
        }
        if found < bytes {
            return Vec::new();
        }
        std::iter::from_fn(|| self.remove_oldest()).take(count).collect()
    }

    /// Takes out what is kept of a segment.
    pub(super) fn remove_segment(&mut self, segment: SegmentId) -> Vec<Entry> {
        let pieces = self.segments.remove(&segment).unwrap_or_default();
        let gone: Vec<Entry> = pieces.into_values().collect();
        for entry in &gone {
            self.order.remove(&entry.asked);
            self.bytes -= entry.bytes;
        }
        gone
    }
}
