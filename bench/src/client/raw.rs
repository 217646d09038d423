//! gRPC by hand over one HTTP/2 connection: requests are framed beforehand and answers are counted, not decoded, so
//! that the client's own cost stays out of the figures.

use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::{FlightDescriptor, Ticket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;

use crate::Result;

/// One connection; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    token: Option<HeaderValue>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(8 << 20).initial_connection_window_size(32 << 20).max_frame_size(1 << 20);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token: None })
    }

    /// The same connection, which shows a token with each call.
    pub(crate) fn with_token(self, token: &str) -> Result<Self> {
        Ok(Self { token: Some(format!("Bearer {token}").parse()?), ..self })
    }

    /// Calls a method with a framed request; answers the bytes of the response body and its gRPC status.
    pub(crate) async fn call(&mut self, method: &str, request: Bytes) -> Result<u64> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://localhost/arrow.flight.protocol.FlightService/{method}"))
            .version(Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(request))?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let mut status = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => bytes += data.len() as u64,
                Err(frame) => {
                    status = frame.into_trailers().ok().and_then(|trailers| trailers.get("grpc-status").cloned())
                }
            }
        }
        match status {
            Some(status) if status == "0" => Ok(bytes),
            other => Err(format!("{method} answered the status {other:?}").into()),
        }
    }
}

/// The request of a get.
pub(crate) fn get_request(table: &str) -> Bytes {
    framed(&[Ticket::new(table.to_owned())])
}

/// The request of a whole put.
pub(crate) async fn put_request(descriptor: FlightDescriptor, batch: RecordBatch) -> Result<Bytes> {
    let encoder = FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(descriptor))
        .build(futures::stream::iter([Ok(batch)]));
    let messages: Vec<_> = encoder.collect().await;
    Ok(framed(&messages.into_iter().collect::<std::result::Result<Vec<_>, _>>()?))
}

/// Calls per second of `calls` calls with `in_flight` at a time on one connection.
pub(crate) async fn calls_per_second(
    connection: Connection,
    request: Bytes,
    in_flight: usize,
    calls: usize,
) -> Result<f64> {
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..in_flight {
        let (mut connection, request) = (connection.clone(), request.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..calls / in_flight {
                connection.call("DoGet", request.clone()).await?;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok((calls / in_flight * in_flight) as f64 / begin.elapsed().as_secs_f64())
}

fn framed<M: Message>(messages: &[M]) -> Bytes {
    let mut bytes = BytesMut::new();
    for message in messages {
        bytes.put_u8(0);
        bytes.put_u32(message.encoded_len() as u32);
        bytes.extend_from_slice(&message.encode_to_vec());
    }
    bytes.freeze()
}
