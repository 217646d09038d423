//! gRPC by hand over one HTTP/2 connection: requests are framed beforehand and answers are counted, not decoded, so
//! that the client's own cost stays out of the figures.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::{FlightDescriptor, Ticket};
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

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
        Self::over(stream, 8 << 20, 32 << 20).await
    }

    /// A connection over TLS, to a server whose authority is given in PEM.
    pub(crate) async fn open_tls(port: u16, authority: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into()?, stream).await?;
        Self::over(stream, 8 << 20, 32 << 20).await
    }

    /// A connection whose windows are those that the protocol begins with: what is not read stays with the server.
    pub(crate) async fn open_small(port: u16) -> Result<Self> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        Self::over(stream, 65_535, 4 << 20).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stream_window: u32,
        window: u32,
    ) -> Result<Self> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(window)
            .max_frame_size(1 << 20);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token: None })
    }

    /// Begins a get and reads its first frame, and nothing more.
    pub(crate) async fn stall(mut self, request: Bytes) -> Result<Stalled> {
        self.sender.ready().await?;
        let mut body = self.sender.send_request(self.request("DoGet", request)?).await?.into_body();
        body.frame().await.ok_or("a get answered nothing")??;
        Ok(Stalled { _body: body })
    }

    fn request(&self, method: &str, request: Bytes) -> Result<Request<Full<Bytes>>> {
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
        Ok(request)
    }

    /// The same connection, which shows a token with each call.
    pub(crate) fn with_token(self, token: &str) -> Result<Self> {
        self.with_authorization(&format!("Bearer {token}"))
    }

    /// The same with credentials of any kind.
    pub(crate) fn with_authorization(self, authorization: &str) -> Result<Self> {
        Ok(Self { token: Some(authorization.parse()?), ..self })
    }

    /// Puts one batch as a table.
    pub(crate) async fn put(&mut self, table: &str, batch: RecordBatch) -> Result<()> {
        let request = put_request(FlightDescriptor::new_path(vec![table.to_owned()]), batch).await?;
        self.call("DoPut", request).await.map(drop)
    }

    /// Calls a method with a framed request; answers the bytes of the response body and its gRPC status.
    pub(crate) async fn call(&mut self, method: &str, request: Bytes) -> Result<u64> {
        let request = self.request(method, request)?;
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

/// A get that was begun and is read no further.
pub(crate) struct Stalled {
    _body: Incoming,
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
