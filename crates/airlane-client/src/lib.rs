//! The Rust client: tables put, read, listed and dropped at a server, by shared memory where it is on the same machine
//! and over Arrow Flight elsewhere.
//!
//! ```no_run
//! use airlane_client::{Client, PutOptions};
//! use airlane_model::TableName;
//! # async fn run(batch: arrow_array::RecordBatch) -> airlane_model::Result<()> {
//! let client = Client::connect("grpc://127.0.0.1:8815").await?;
//!
//! let table = TableName::parse("eu/prices")?;
//! let batches = futures::stream::iter([Ok(batch.clone())]);
//! let receipt = client.put(&table, batch.schema(), batches, PutOptions::default()).await?;
//!
//! // Anyone who has the ticket can read the version that was just put.
//! let mut rows = client.get(&receipt.ticket).await?;
//! while let Some(batch) = rows.next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! No type of tonic or arrow-flight is part of this crate's public API.

mod abort;
mod address;
mod authorize;
mod client;
mod connect;
mod contracts;
mod encode;
mod error;
mod local;
mod messages;
mod parallel;
mod query;
mod read;
mod retry;
mod size;
mod stream;
mod ticket;

pub use address::{Address, PORT_DEFAULT};
pub use authorize::Credentials;
pub use client::{Client, PutOptions};
pub use connect::{ClientIdentity, ConnectOptions};
pub use size::payload_bytes;
pub use stream::{TableStream, Transport};
pub use ticket::{KeyRotation, SignedTicketInfo, TicketOptions};
