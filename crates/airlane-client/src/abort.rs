//! Requests that can be broken off.
//!
//! A request stream of tonic can only end, and to the server a put that ends is a put to commit. So the stream of a
//! put that fails on this side ends with its [`AbortFlag`] raised, and the body below it answers that end with an
//! error instead: HTTP/2 then resets the stream, and the server keeps nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

/// Says whether the end of a request is a break. It travels in the extensions of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct AbortFlag(Arc<AtomicBool>);

impl AbortFlag {
    /// From here on the end of the request is a break.
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A channel whose requests obey their flag.
#[derive(Clone, Debug)]
pub(crate) struct Abortable<S> {
    inner: S,
}

impl<S> Abortable<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Abortable<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let request = match request.extensions_mut().remove::<AbortFlag>() {
            Some(flag) => request.map(|inner| Body::new(AbortableBody { inner, flag })),
            None => request,
        };
        self.inner.call(request)
    }
}

struct AbortableBody {
    inner: Body,
    flag: AbortFlag,
}

impl http_body::Body for AbortableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(None) if self.flag.is_raised() => Poll::Ready(Some(Err(Status::cancelled("broken off")))),
            other => other,
        }
    }

    // Never "ended" before `poll_frame` has said so: the flag may be raised until then.
    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
