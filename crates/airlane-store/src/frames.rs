//! Messages that were compressed for one reader, kept for the next: the frames of hot tables.
//!
//! ```text
//! ask ──▶ kept      the message as the reader before got it
//!    └──▶ make ──▶ keep     while there is room, and else in the place of what was asked for longer ago
//! ```
//!
//! Only whole pieces are kept, those that a read of all rows is cut into, so that readers of some rows share them and add
//! none of their own. Frames are charged as long as somebody holds them, are given up before anything else that the budget
//! is for, and go with their segment.

mod making;
mod seen;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use airlane_model::{ByteSize, SegmentId};
use airlane_segment::{Charge, Codec, MemoryBudget, MemoryUse, Message};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::slot::SegmentRef;
pub use making::Making;
use making::Turn;
use state::{Entry, State};

/// What an entry takes beside its message: its keys and places in the lists.
const ENTRY_BYTES: u64 = 512;

/// How the messages of a read are made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FrameForm {
    /// How they are compressed.
    pub codec: Codec,
    /// Whether they are in types that every reader knows.
    pub is_plain: bool,
    /// The positions of the columns, when they are not all.
    pub columns: Option<Box<[usize]>>,
}

/// A part of a segment that is one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramePart {
    /// The dictionary of this id in the segment.
    Dictionary(i64),
    /// The rows from this one on, up to where a read of all rows is cut next.
    Rows(u64),
}

/// A message that was made for a reader.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The position in the segment behind its last row; 0 for a dictionary.
    pub rows_end: u64,
    /// The message; `None` when it does not shrink, and is sent as it is without compression.
    pub message: Option<Message>,
}

/// What [`Frames::ask`] answers.
#[derive(Debug)]
pub enum Asked {
    /// It was made before.
    Kept(Frame),
    /// It is to be made, and then [kept](Making::keep).
    Make(Making),
}

/// How often messages were found that a read asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Those that were kept.
    pub kept: u64,
    /// Those that had to be made.
    pub made: u64,
}

/// The frames of a store. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Frames(Arc<Inner>);

struct Inner {
    budget: MemoryBudget,
    /// Bytes that frames may take at most.
    bound: u64,
    /// No frame is kept that would bring the use of the budget above this.
    high: u64,
    state: Mutex<State>,
    kept: AtomicU64,
    made: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("bytes", &self.state.lock().bytes()).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    segment: SegmentId,
    piece: Piece,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Piece {
    form: Arc<FrameForm>,
    part: FramePart,
}

impl Frames {
    /// Frames of at most `bound` bytes, of a budget that asks for them back. `budget` makes it of what gives up so many
    /// bytes of them, and tells whether there were some.
    pub(crate) fn new(
        bound: ByteSize,
        high: ByteSize,
        budget: impl FnOnce(Box<dyn Fn(u64) -> bool + Send + Sync>) -> MemoryBudget,
    ) -> Self {
        Self(Arc::new_cyclic(|frames: &Weak<Inner>| {
            // The budget must not keep what is charged to it.
            let frames = frames.clone();
            let reclaim = move |bytes| frames.upgrade().is_some_and(|frames| frames.give_up(bytes) > 0);
            Inner {
                budget: budget(Box::new(reclaim)),
                bound: bound.as_u64(),
                high: high.as_u64(),
                state: Mutex::default(),
                kept: AtomicU64::new(0),
                made: AtomicU64::new(0),
            }
        }))
    }

    /// What they are charged to.
    pub fn budget(&self) -> &MemoryBudget {
        &self.0.budget
    }

    /// Looks for a part of a segment that ends at `rows_end_max` at the latest. While it is made for somebody else that is
    /// waited for, on this thread, unless the caller may not wait.
    pub fn ask(
        &self,
        segment: &SegmentRef,
        form: &Arc<FrameForm>,
        part: FramePart,
        rows_end_max: u64,
        may_wait: bool,
    ) -> Asked {
        let inner = &self.0;
        let key = Key { segment: segment.id(), piece: Piece { form: form.clone(), part } };
        let fits = |frame: &Frame| frame.rows_end <= rows_end_max;
        let turn = {
            let mut state = inner.state.lock();
            match state.get(&key) {
                Some(frame) if fits(&frame) => {
                    inner.kept.fetch_add(1, Ordering::Relaxed);
                    return Asked::Kept(frame);
                }
                Some(_) => None,
                None => match state.turn(&key) {
                    Some(turn) => Some(turn),
                    None => {
                        let turn = state.begin(&key);
                        drop(state);
                        inner.made.fetch_add(1, Ordering::Relaxed);
                        return Asked::Make(Making::new(self.clone(), segment.clone(), key, turn));
                    }
                },
            }
        };
        let shared = turn.filter(|_| may_wait).and_then(|turn| turn.wait()).filter(fits);
        let count = if shared.is_some() { &inner.kept } else { &inner.made };
        count.fetch_add(1, Ordering::Relaxed);
        shared.map_or_else(|| Asked::Make(Making::alone()), Asked::Kept)
    }

    /// How often messages were found.
    pub(crate) fn counts(&self) -> FrameCounts {
        FrameCounts { kept: self.0.kept.load(Ordering::Relaxed), made: self.0.made.load(Ordering::Relaxed) }
    }

    /// Gives up frames of so many bytes, those that were not asked for longest first. Gives the bytes.
    pub(crate) fn give_up(&self, bytes: u64) -> u64 {
        self.0.give_up(bytes)
    }

    /// Takes out the frames of segments that are no table's any more, for which none are kept from now on. They are gone
    /// when the answer is dropped.
    pub(crate) fn forget(&self, segments: &[SegmentRef]) -> Forgotten {
        segments.iter().for_each(SegmentRef::retire);
        let mut state = self.0.state.lock();
        Forgotten { entries: segments.iter().flat_map(|segment| state.remove_segment(segment.id())).collect() }
    }

    /// The segments that frames are of, and the bytes of those that are kept.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn content(&self) -> (Vec<SegmentId>, u64) {
        let state = self.0.state.lock();
        (state.segments(), state.bytes())
    }

    /// Whether nothing of a piece is under way any more that the next one waits for.
    fn end(&self, key: &Key, turn: &Turn, frame: Option<Frame>) {
        self.0.state.lock().end(key);
        turn.end(frame);
    }
}

impl Inner {
    fn give_up(&self, bytes: u64) -> u64 {
        let mut gone = Vec::new();
        let mut state = self.state.lock();
        let mut freed = 0;
        while freed < bytes {
            let Some(entry) = state.remove_oldest() else { break };
            freed += entry.bytes();
            gone.push(entry);
        }
        // Whoever hears of the memory may ask for frames.
        drop(state);
        freed
    }

    /// Keeps a frame if there is room, or others were not asked for since this one was. Gives what is to be sent.
    fn keep(&self, segment: &SegmentRef, key: &Key, frame: Frame) -> Frame {
        let bytes = bytes_of(&frame);
        let mut state = self.state.lock();
        let asked_before = state.note(key);
        if bytes > self.bound || segment.is_retired() {
            return frame;
        }
        let beyond = |used: u64, max: u64| used.saturating_add(bytes).saturating_sub(max);
        let excess = beyond(state.bytes(), self.bound).max(beyond(self.budget.used().as_u64(), self.high));
        let gone = match asked_before {
            _ if excess == 0 => Vec::new(),
            None => return frame,
            Some(before) => state.remove_older(before, excess),
        };
        if gone.iter().map(Entry::bytes).sum::<u64>() < excess {
            return frame;
        }
        let charge = self.budget.overdraw(MemoryUse::Frames, bytes);
        let frame = match frame {
            Frame { rows_end, message: Some(Message { header, body }) } => {
                let body = Bytes::from_owner(Body { body, _charge: charge });
                let frame = Frame { rows_end, message: Some(Message { header, body }) };
                state.insert(key, Entry::new(frame.clone(), bytes, None));
                frame
            }
            frame => {
                state.insert(key, Entry::new(frame.clone(), bytes, Some(charge)));
                frame
            }
        };
        drop(state);
        drop(gone);
        frame
    }
}

fn bytes_of(frame: &Frame) -> u64 {
    let message = frame.message.as_ref().map_or(0, |message| message.header.len() + message.body.len());
    message as u64 + ENTRY_BYTES
}

/// A body that is charged until its last reader has sent it.
struct Body {
    body: Bytes,
    _charge: Charge,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Frames that are on their way out.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    entries: Vec<Entry>,
}

impl Forgotten {
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(Entry::bytes).sum()
    }
}
