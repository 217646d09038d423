//! A stock arrow-flight client, which encodes and decodes as any Rust program does.

use std::path::Path;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor, Ticket};
use arrow_ipc::reader::StreamReader;
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tonic::transport::Endpoint;

use super::Transfer;
use crate::Result;
use crate::peer::{Kind, Peer};

/// A table in memory.
#[derive(Debug)]
pub(crate) struct Client {
    batches: Vec<RecordBatch>,
}

impl Client {
    /// Loads a table from an Arrow stream.
    pub(crate) fn load(table: &Path) -> Result<Self> {
        let reader = StreamReader::try_new_buffered(std::fs::File::open(table)?, None)?;
        Ok(Self { batches: reader.collect::<std::result::Result<_, _>>()? })
    }

    /// Puts the table `times` times under one name; at Airlane as an ephemeral table.
    pub(crate) async fn put(&self, peer: &Peer, table: &str, times: usize) -> Result<Transfer> {
        let descriptor = if peer.kind == Kind::Airlane {
            FlightDescriptor::new_cmd(json!({"path": table, "durability": "ephemeral"}).to_string())
        } else {
            FlightDescriptor::new_path(vec![table.to_owned()])
        };
        let mut client = connect(peer.port).await?;
        let begin = Instant::now();
        for _ in 0..times {
            let messages = FlightDataEncoderBuilder::new()
                .with_dictionary_handling(DictionaryHandling::Resend)
                .with_flight_descriptor(Some(descriptor.clone()))
                .build(futures::stream::iter(self.batches.clone().into_iter().map(Ok)));
            let results: Vec<_> = client.do_put(messages).await?.try_collect().await?;
            drop(results);
        }
        let rows = self.batches.iter().map(RecordBatch::num_rows).sum::<usize>() * times;
        Ok(Transfer { seconds: begin.elapsed().as_secs_f64(), rows: rows as u64 })
    }
}

/// How much may be on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Windows {
    /// As tonic has it.
    Default,
    /// As the Rust client of Airlane has it.
    Wide,
}

/// Gets a table `times` times and drops its batches as they come.
pub(crate) async fn get(peer: &Peer, table: &str, times: usize, windows: Windows) -> Result<Transfer> {
    let mut client = connect_with(peer.port, windows).await?;
    let begin = Instant::now();
    let mut rows = 0;
    for _ in 0..times {
        let mut batches = client.do_get(Ticket::new(table.to_owned())).await?;
        while let Some(batch) = batches.next().await {
            rows += batch?.num_rows() as u64;
        }
    }
    Ok(Transfer { seconds: begin.elapsed().as_secs_f64(), rows })
}

/// Connects to a server at this port.
pub(crate) async fn connect(port: u16) -> Result<FlightClient> {
    connect_with(port, Windows::Default).await
}

async fn connect_with(port: u16, windows: Windows) -> Result<FlightClient> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    let endpoint = match windows {
        Windows::Default => endpoint,
        Windows::Wide => endpoint
            .initial_stream_window_size(16 << 20)
            .initial_connection_window_size(64 << 20)
            .max_frame_size(4 << 20),
    };
    let channel = endpoint.connect().await?;
    // The C++ server sends a batch as one message, however large.
    let service = FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    Ok(FlightClient::new_from_inner(service))
}
