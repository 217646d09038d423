//! Calls made of hand-written frames over a bare HTTP/2 connection.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tonic::Status;

use super::harness::TestServer;

pub(crate) const DO_GET: &str = "DoGet";
pub(crate) const DO_PUT: &str = "DoPut";

/// A connection; dropping it cuts the line.
pub(crate) struct Line {
    sender: h2::client::SendRequest<Bytes>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        Self::to(&server.address()).await
    }

    /// To any server, such as a process of its own.
    pub(crate) async fn to(address: &str) -> Self {
        Self::with(h2::client::Builder::new(), TcpStream::connect(address).await.expect("a connection")).await
    }

    /// With settings of its own, over a socket that is there.
    pub(crate) async fn with(settings: h2::client::Builder, tcp: TcpStream) -> Self {
        let (sender, connection) = settings.handshake(tcp).await.expect("HTTP/2");
        // It ends when the line is cut.
        let task = tokio::spawn(async move { drop(connection.await) });
        Self { sender, task }
    }

    /// Whether it takes another call.
    pub(crate) async fn is_open(&self) -> bool {
        self.sender.clone().ready().await.is_ok()
    }

    /// Completes when the connection has ended.
    pub(crate) async fn ended(&mut self) {
        // It is awaited once.
        let _ = (&mut self.task).await;
    }

    /// Begins a call of the Flight service.
    pub(crate) async fn call(&self, method: &str, headers: &[(&str, &str)]) -> Call {
        let uri = format!("http://localhost/arrow.flight.protocol.FlightService/{method}");
        let mut request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await.expect("an open line");
        let (response, stream) = sender.send_request(request.body(()).expect("a request"), false).expect("sent");
        Call { response, stream }
    }
}

pub(crate) struct Call {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

impl Call {
    pub(crate) fn send(&mut self, bytes: impl Into<Bytes>) {
        // A stream that the server has reset takes nothing more.
        let _ = self.stream.send_data(bytes.into(), false);
    }

    pub(crate) fn end(&mut self) {
        let _ = self.stream.send_data(Bytes::new(), true);
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// The status of the call, and the data before it.
    pub(crate) async fn answer(self) -> (Status, Bytes) {
        let response = self.response.await.expect("an answer");
        assert_eq!(response.status(), 200);
        let (head, mut body) = response.into_parts();
        let data = data_of(&mut body).await;
        let trailers: HeaderMap = body.trailers().await.expect("an end").unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&head.headers));
        (status.expect("a status"), data)
    }

    /// The status of HTTP, which is that of gRPC's transport and not the call's.
    pub(crate) async fn http_status(self) -> Result<u16, h2::Error> {
        Ok(self.response.await?.status().as_u16())
    }

    /// Waits for the head of the answer and then reads nothing of it.
    pub(crate) async fn stall(self) -> h2::RecvStream {
        self.response.await.expect("an answer").into_body()
    }
}

/// A payload as a gRPC message.
pub(crate) fn grpc(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(u32::try_from(payload.len()).expect("small"));
    out.put_slice(payload);
    out.freeze()
}

/// A message of prost as a gRPC message.
pub(crate) fn grpc_of(message: &impl prost::Message) -> Bytes {
    grpc(&message.encode_to_vec())
}

/// All data of a body.
pub(crate) async fn data_of(body: &mut h2::RecvStream) -> Bytes {
    let mut data = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("data");
        body.flow_control().release_capacity(chunk.len()).expect("capacity");
        data.extend_from_slice(&chunk);
    }
    data.freeze()
}
