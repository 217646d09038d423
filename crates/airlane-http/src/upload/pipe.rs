//! The body of an upload as a thread reads it: a few pieces wait between the connection and the parser.

use std::io::{self, Read};
use std::sync::Arc;

use airlane_gate::{Pace, Patience};
use airlane_model::{Error, Result, codes};
use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::Body as _;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Pieces that wait: enough that neither side waits for the other, and little memory.
const PIECES_WAITING: usize = 16;

/// What broke the upload off before its end, if that was not its content.
type Cause = Arc<Mutex<Option<Error>>>;

/// The end that is written.
pub(super) struct Inlet {
    pieces: mpsc::Sender<Bytes>,
    cause: Cause,
    pace: Pace,
}

/// The end that is read, on a thread that may wait.
pub(super) struct Outlet {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
    cause: Cause,
}

/// Tells why an upload broke off, whatever the parser made of it.
#[derive(Clone)]
pub(super) struct Breakage(Cause);

/// A pipe, and what tells of its end.
pub(super) fn pipe(patience: Patience) -> (Inlet, Outlet, Breakage) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let cause = Cause::default();
    let inlet = Inlet { pieces: sender, cause: cause.clone(), pace: Pace::new(patience) };
    (inlet, Outlet { pieces: receiver, piece: Bytes::new(), cause: cause.clone() }, Breakage(cause))
}

impl Inlet {
    /// Writes a body to its end; earlier when nobody reads it any more.
    pub(super) async fn fill(mut self, mut body: Body, is_http_2: bool) {
        loop {
            let next = self.pace.next(true, async {
                match body.frame().await {
                    None => Ok(None),
                    Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
                    Some(Err(error)) => Err(broken(&format!("it broke off: {error}"))),
                }
            });
            match next.await {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(Some(piece)) => {
                    if self.pieces.send(piece).await.is_err() {
                        return;
                    }
                }
                // Some resets of HTTP/2 look like an end. Only the flag of an end is one.
                Ok(None) if is_http_2 && !body.is_end_stream() => {
                    return self.break_off(broken("its client went away"));
                }
                Ok(None) => return,
                Err(error) => return self.break_off(error),
            }
        }
    }

    fn break_off(self, error: Error) {
        *self.cause.lock() = Some(error);
    }
}

fn broken(why: &str) -> Error {
    Error::new(codes::CONNECTION_BROKEN, format!("the upload did not come to its end: {why}")).hint("send it again")
}

impl Breakage {
    /// Why it broke off, where it did.
    pub(super) fn take(&self) -> Result<()> {
        self.0.lock().take().map_or(Ok(()), Err)
    }
}

impl Read for Outlet {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None if self.cause.lock().is_some() => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
