//! The answer to DoPut, which takes the rest of the put while it is waited for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use airlane_frames::read::Parser;
use airlane_frames::write::put_put_result;
use airlane_model::Result;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::{PutMachine, in_message};
use crate::metrics::Traffic;
use crate::request::{RequestBody, next_data};
use crate::rope::Rope;
use crate::status;
use airlane_gate::{Pace, Patience};

/// Feeds the body of a request to a put.
#[derive(Debug)]
pub(crate) struct Putter<B> {
    parser: Parser,
    machine: PutMachine,
    body: RequestBody<B>,
    traffic: Traffic,
    pace: Pace,
}

impl<B> Putter<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    /// Over the body of a request.
    pub(crate) fn new(
        parser: Parser,
        machine: PutMachine,
        body: RequestBody<B>,
        traffic: Traffic,
        patience: Patience,
    ) -> Self {
        Self { parser, machine, body, traffic, pace: Pace::new(patience) }
    }

    /// Reads up to the schema, so that what is refused then is refused before anything is answered.
    ///
    /// # Errors
    /// Those of the parser and the machine, `request_stalled` and `call_cancelled`.
    pub(crate) async fn open(&mut self) -> Result<()> {
        while !self.machine.is_open() {
            if !self.take().await? {
                return Err(self.machine.unopened());
            }
        }
        Ok(())
    }

    /// Whether the client has ended its stream, and all of it was read.
    pub(crate) fn is_received(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Reads the rest and commits it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and those of the commit.
    pub(crate) async fn finish(mut self) -> Result<Vec<u8>> {
        while self.take().await? {
            // Data that is there already must not keep other calls from their turn.
            tokio::task::coop::consume_budget().await;
        }
        self.traffic.add_rows(self.machine.rows());
        self.machine.commit().await
    }

    /// Takes what arrived next; false at the end.
    async fn take(&mut self) -> Result<bool> {
        let next = next_data(&mut self.body);
        let Some(data) = self.pace.next(self.parser.is_in_message(), next).await? else {
            self.parser.finish().map_err(|error| in_message(error, self.parser.messages()))?;
            return Ok(false);
        };
        self.traffic.add_bytes(data.len() as u64);
        // While it waits nothing more is read, and so the client stops sending.
        self.machine.room(data.len() as u64).await?;
        let fed = self.parser.feed(data, &mut self.machine);
        fed.map_err(|error| in_message(error, self.parser.messages()))?;
        Ok(true)
    }
}

/// The body of an answer to DoPut: the receipt, and the trailers.
pub(crate) struct PutBody(State);

enum State {
    Putting(Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>),
    Put(Result<Vec<u8>>),
    Ended(Result<()>),
    Done,
}

impl PutBody {
    /// The answer of a put that runs.
    pub(crate) fn new(receipt: impl Future<Output = Result<Vec<u8>>> + Send + 'static) -> Self {
        Self(State::Putting(Box::pin(receipt)))
    }

    /// The answer of a put that is done.
    pub(crate) fn of(receipt: Vec<u8>) -> Self {
        Self(State::Put(Ok(receipt)))
    }

    /// The next frame: the receipt, and at last the trailers.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Rope>>> {
        loop {
            match std::mem::replace(&mut self.0, State::Done) {
                State::Putting(mut putting) => {
                    let Poll::Ready(put) = putting.as_mut().poll(cx) else {
                        self.0 = State::Putting(putting);
                        return Poll::Pending;
                    };
                    // What the put still holds is let go before the client hears of its end.
                    drop(putting);
                    self.0 = State::Put(put);
                }
                State::Put(put) => match put.and_then(|receipt| put_result(&receipt)) {
                    Ok(result) => {
                        self.0 = State::Ended(Ok(()));
                        return Poll::Ready(Some(Frame::data(result.into())));
                    }
                    Err(error) => self.0 = State::Ended(Err(error)),
                },
                State::Ended(Ok(())) => return Poll::Ready(Some(Frame::trailers(status::ok_trailers()))),
                State::Ended(Err(error)) => {
                    let trailers = status::trailers(&status::from_error(&error));
                    return Poll::Ready(Some(Frame::trailers(trailers)));
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

fn put_result(metadata: &[u8]) -> Result<Bytes> {
    let mut out = BytesMut::new();
    put_put_result(&mut out, metadata)?;
    Ok(out.freeze())
}

impl fmt::Debug for PutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutBody").finish_non_exhaustive()
    }
}
