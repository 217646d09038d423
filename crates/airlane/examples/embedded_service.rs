//! A program with a gRPC service of its own and Airlane's doors, in one server on one port. The service computes a table and
//! answers a ticket; whoever has the ticket reads the table by Flight.
//!
//! ```sh
//! cargo run --example embedded_service
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use airlane::embedded::{Embedded, EmbeddedOptions, PutSpec, TicketSpec};
use airlane_client::{Client, ConnectOptions, Credentials};
use airlane_model::Secret;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use futures::stream;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{Request, Response};
use tonic::server::{NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::{Channel, Server};
use tonic_prost::ProstCodec;
use tower::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // No port of its own: the doors are in the server below.
    let airlane = Arc::new(Embedded::start(EmbeddedOptions { listen: None, ..EmbeddedOptions::default() }).await?);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let own = Routes::new(Reports(airlane.clone()));
    let routes = own.into_axum_router().fallback_service(airlane.doors());
    let server = Server::builder().accept_http1(true).add_routes(routes.into());
    let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    // A client of both, on the same port. It may do nothing but what tickets allow.
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let answer = squares(channel, 1_000).await?;
    println!("the service answered the ticket {}…", &answer.ticket[..16]);
    let pass = airlane.worker("client", &[])?;
    let token = pass.environment().into_iter().find(|(name, _)| *name == "AIRLANE_TOKEN").map(|(_, token)| token);
    let token = token.and_then(|token| token.into_string().ok()).ok_or("a pass has a token")?;
    let options = ConnectOptions { credentials: Credentials::Token(Secret::new(token)), ..ConnectOptions::default() };
    let client = Client::connect_with(&format!("grpc://{address}"), &options).await?;
    let mut table = client.get(&answer.ticket).await?;
    let mut rows = 0;
    while let Some(batch) = table.next().await? {
        rows += batch.num_rows();
    }
    println!("Flight answered {rows} rows on the same port");
    server.abort();
    Ok(())
}

/// What a client asks: the squares of the numbers below `count`.
#[derive(Clone, PartialEq, prost::Message)]
struct SquaresRequest {
    #[prost(uint32, tag = "1")]
    count: u32,
}

/// By what they are read.
#[derive(Clone, PartialEq, prost::Message)]
struct SquaresAnswer {
    #[prost(string, tag = "1")]
    ticket: String,
}

/// The program's own service.
#[derive(Clone)]
struct Reports(Arc<Embedded>);

impl Reports {
    async fn squares(&self, count: u32) -> airlane_model::Result<SquaresAnswer> {
        let squares: Int64Array = (0..i64::from(count)).map(|n| Some(n * n)).collect();
        let schema = Arc::new(Schema::new(vec![Field::new("square", DataType::Int64, false)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(squares)]);
        let spec = PutSpec::new("reports/squares".parse()?);
        let receipt = self.0.put(spec, schema, stream::iter(batch.map(Ok))).await?;
        // Whoever holds a signed ticket may read what it names, and nothing else.
        let signed = self.0.sign(&receipt.ticket, TicketSpec::default())?;
        Ok(SquaresAnswer { ticket: signed.ticket.expose().to_owned() })
    }
}

// What follows is what `tonic-build` makes of a file of protobuf.

const SQUARES: &str = "/example.Reports/Squares";

impl NamedService for Reports {
    const NAME: &'static str = "example.Reports";
}

impl UnaryService<SquaresRequest> for Reports {
    type Response = SquaresAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<SquaresAnswer>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<SquaresRequest>) -> Self::Future {
        let reports = self.clone();
        Box::pin(async move {
            let answered = reports.squares(request.into_inner().count).await;
            answered.map(tonic::Response::new).map_err(|error| Status::internal(error.to_string()))
        })
    }
}

impl Service<Request<Body>> for Reports {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let reports = self.clone();
        Box::pin(async move {
            if request.uri().path() != SQUARES {
                return Ok(Status::unimplemented("there is only Squares").into_http());
            }
            Ok(tonic::server::Grpc::new(ProstCodec::default()).unary(reports, request).await)
        })
    }
}

async fn squares(channel: Channel, count: u32) -> Result<SquaresAnswer, Box<dyn Error>> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let request = tonic::Request::new(SquaresRequest { count });
    let answer = grpc.unary(request, PathAndQuery::from_static(SQUARES), ProstCodec::default()).await?;
    Ok(answer.into_inner())
}
