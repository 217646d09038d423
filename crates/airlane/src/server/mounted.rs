//! The doors in another server of the same program.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use airlane_flight::Rope;
use airlane_gate::{Peer, Shown};
use axum::body::Body as AnyBody;
use axum::extract::ConnectInfo;
use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::Service;

use super::route::GatedDoors;

/// All doors behind the gate, as a service of `tower`: a fallback of a router of `axum`, beside services of `tonic`, or alone.
///
/// Where the server puts [`ConnectInfo`] into the extensions of requests, their address is known; without it passwords are refused,
/// since nobody can say whether the network reads them.
#[derive(Clone, Debug)]
pub struct MountedDoors(GatedDoors);

impl MountedDoors {
    pub(super) fn new(doors: GatedDoors) -> Self {
        Self(doors)
    }
}

impl Service<Request<AnyBody>> for MountedDoors {
    type Response = Response<AnyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<AnyBody>) -> Self::Future {
        // What another layer may have put there is not believed.
        request.extensions_mut().remove::<Peer>();
        request.extensions_mut().remove::<Shown>();
        if let Some(ConnectInfo(address)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
            request.extensions_mut().insert(Peer::ip(address.ip()));
        }
        let answering = self.0.call(request);
        Box::pin(async move { Ok(answering.await?.map(|body| AnyBody::new(Pieces { body, rest: None }))) })
    }
}

/// A body whose frames are single pieces of bytes, as other servers want them. Nothing is copied.
struct Pieces<B> {
    body: B,
    rest: Option<Rope>,
}

impl<B: Body<Data = Rope> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        loop {
            if let Some(mut rope) = self.rest.take() {
                let piece = rope.chunk().len();
                let bytes = rope.copy_to_bytes(piece);
                if rope.has_remaining() {
                    self.rest = Some(rope);
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(rope) if rope.has_remaining() => self.rest = Some(rope),
                    Ok(_) => {}
                    Err(frame) => return Poll::Ready(Some(Ok(frame.map_data(|_| Bytes::new())))),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }
}
