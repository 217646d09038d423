//! The body of an upload as a thread reads it: a few pieces wait between the connection and the parser.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_gate::{Pace, Patience};
use airlane_model::Result;
use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::pieces::Pieces;

/// Pieces that wait: enough that neither side waits for the other, and little memory.
const PIECES_WAITING: usize = 16;

/// The end that is written. Dropping it is the end of the content.
pub(super) struct Inlet {
    pieces: mpsc::Sender<Bytes>,
    is_broken: Arc<AtomicBool>,
    pace: Pace,
    bytes: u64,
}

/// The end that is read, on a thread that may wait.
pub(super) struct Outlet {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    is_broken: Arc<AtomicBool>,
}

/// A pipe.
pub(super) fn pipe(patience: Patience) -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let is_broken = Arc::new(AtomicBool::new(false));
    let inlet = Inlet { pieces: sender, is_broken: is_broken.clone(), pace: Pace::new(patience), bytes: 0 };
    (inlet, Outlet { pieces: receiver, piece: Bytes::new(), is_broken })
}

impl Inlet {
    /// Writes all pieces; fewer when nobody reads them any more.
    ///
    /// # Errors
    /// `request_stalled`, and those of the pieces. What came before is written.
    pub(super) async fn fill(&mut self, pieces: &mut impl Pieces) -> Result<()> {
        loop {
            let next = self.pace.next(true, pieces.next());
            let piece = tokio::select! {
                next = next => next?,
                // A parser that refuses the content does not wait for the rest of it.
                () = self.pieces.closed() => return Ok(()),
            };
            let Some(piece) = piece else { return Ok(()) };
            let bytes = piece.len() as u64;
            if bytes > 0 {
                if self.pieces.send(piece).await.is_err() {
                    return Ok(());
                }
                self.bytes += bytes;
            }
        }
    }

    /// The bytes that were written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// There is no more, and this is not the end of the content.
    pub(super) fn break_off(self) {
        self.is_broken.store(true, Ordering::Release);
    }
}

impl Read for Outlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None if self.is_broken.load(Ordering::Acquire) => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
