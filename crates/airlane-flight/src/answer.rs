//! The body of every answer of the door: low-copy or tonic's, with the deadline, the count and the net under it.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use airlane_model::{Error, codes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

use crate::deadline;
use crate::get::GetBody;
use crate::metrics::Metrics;
use crate::put::PutBody;
use crate::rope::Rope;
use crate::status;

/// What an answer consists of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Rows, low-copy.
    Get(GetBody),
    /// A receipt, low-copy.
    Put(PutBody),
    /// What tonic answers.
    Tonic(tonic::body::Body),
    /// Nothing, or nothing more.
    Empty,
}

/// The time at which a call ends, and the time it was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When it ends.
    pub at: Instant,
    /// What the caller gave.
    pub timeout: Duration,
}

impl Deadline {
    /// A deadline from now on; none when it is further away than the clock goes.
    pub(crate) fn after(timeout: Duration) -> Option<Self> {
        Instant::now().checked_add(timeout).map(|at| Self { at, timeout })
    }
}

/// The body of an answer. It always ends in a status: also when the time is over, and when a fault of the server
/// strikes, which ends this one call.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
    metrics: Metrics,
}

impl AnswerBody {
    /// A body that ends at the deadline at the latest.
    pub(crate) fn new(content: Content, deadline: Option<Deadline>, metrics: Metrics) -> Self {
        let deadline = deadline.map(|deadline| (Box::pin(tokio::time::sleep_until(deadline.at)), deadline.timeout));
        Self { content, deadline, metrics }
    }

    /// What the body of another answer was translated to.
    pub(crate) fn translated(body: tonic::body::Body, metrics: Metrics) -> Self {
        Self { content: Content::Tonic(body), deadline: None, metrics }
    }

    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Rope>>> {
        match &mut self.content {
            Content::Get(body) => body.poll_frame(cx),
            Content::Put(body) => body.poll_frame(cx),
            Content::Tonic(body) => Pin::new(body).poll_frame(cx).map(|frame| match frame {
                Some(Ok(frame)) => Some(frame.map_data(Rope::from)),
                Some(Err(status)) => Some(Frame::trailers(status::trailers(&status))),
                None => None,
            }),
            Content::Empty => Poll::Ready(None),
        }
    }

    fn end(&mut self, error: &Error) -> Frame<Rope> {
        self.content = Content::Empty;
        let status = status::from_error(error);
        Frame::trailers(status::trailers(&status))
    }
}

impl Body for AnswerBody {
    type Data = Rope;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Rope>, Infallible>>> {
        let this = &mut *self;
        if let Some((sleep, timeout)) = &mut this.deadline
            && !matches!(this.content, Content::Empty)
            && sleep.as_mut().poll(cx).is_ready()
        {
            let error = deadline::exceeded(*timeout);
            return Poll::Ready(Some(Ok(this.end(&error))));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| this.poll_content(cx)));
        let frame = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(frame)) => frame,
            Err(panic) => {
                this.metrics.count_panic();
                Some(this.end(&fault(panic.as_ref())))
            }
        };
        if frame.as_ref().is_some_and(Frame::is_trailers) {
            this.content = Content::Empty;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Get(_) | Content::Put(_) => false,
            Content::Tonic(body) => body.is_end_stream(),
            Content::Empty => true,
        }
    }
}

/// The code in headers or trailers; `Unknown` without one, as gRPC has it.
pub(crate) fn code_of(headers: &HeaderMap) -> Code {
    headers.get(Status::GRPC_STATUS).map_or(Code::Unknown, |value| Code::from_bytes(value.as_bytes()))
}

/// The error that a caller gets for a panic. What it says is for the log alone.
pub(crate) fn fault(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "a call ended in a fault of the server");
    Error::new(codes::INTERNAL, "the server met a fault of its own while it answered; other calls go on")
        .hint("the server's log tells more; repeat the call, and report it if it happens again")
}
