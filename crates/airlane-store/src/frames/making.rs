//! A message that is being made for one reader while others may wait for it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::{Frame, Frames, Key};
use crate::slot::SegmentRef;

/// The turn of whoever makes a message. Dropping it lets those that wait make it themselves.
#[derive(Debug)]
#[must_use = "others wait for it"]
pub struct Making(Option<Own>);

#[derive(Debug)]
struct Own {
    frames: Frames,
    segment: SegmentRef,
    key: Key,
    turn: Arc<Turn>,
}

impl Making {
    pub(super) fn new(frames: Frames, segment: SegmentRef, key: Key, turn: Arc<Turn>) -> Self {
        Self(Some(Own { frames, segment, key, turn }))
    }

    /// Of somebody who shares nothing with others.
    pub(super) fn alone() -> Self {
        Self(None)
    }

    /// Hands the message to those who wait, and keeps it for the next if that is worth it. Gives what is to be sent.
    pub fn keep(mut self, frame: Frame) -> Frame {
        let Some(Own { frames, segment, key, turn }) = self.0.take() else { return frame };
        let frame = frames.0.keep(&segment, &key, frame);
        frames.end(&key, &turn, Some(frame.clone()));
        frame
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(Own { frames, key, turn, .. }) = &self.0 {
            frames.end(key, turn, None);
        }
    }
}

/// Whether the message that somebody makes is there.
#[derive(Debug, Default)]
pub(super) struct Turn {
    outcome: Mutex<Option<Option<Frame>>>,
    ended: Condvar,
}

impl Turn {
    /// The message; `None` when nothing came of it.
    pub(super) fn wait(&self) -> Option<Frame> {
        let mut outcome = self.outcome.lock();
        loop {
            match &*outcome {
                Some(frame) => return frame.clone(),
                None => self.ended.wait(&mut outcome),
            }
        }
    }

    pub(super) fn end(&self, frame: Option<Frame>) {
        *self.outcome.lock() = Some(frame);
        self.ended.notify_all();
    }
}
