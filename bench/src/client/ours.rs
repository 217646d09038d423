//! The Rust client of Airlane, which reads from any Flight server.

use std::time::Instant;

use airlane_client::{Client, ConnectOptions};

use super::Transfer;
use crate::Result;
use crate::peer::Peer;

/// Gets a table `times` times and drops its batches as they come.
pub(crate) async fn get(peer: &Peer, table: &str, times: usize) -> Result<Transfer> {
    // The wire is measured here.
    let options = ConnectOptions { shares_memory: false, ..ConnectOptions::default() };
    let client = Client::connect_with(&format!("grpc://127.0.0.1:{}", peer.port), &options).await?;
    let begin = Instant::now();
    let mut rows = 0;
    for _ in 0..times {
        let mut batches = client.get(table).await?;
        while let Some(batch) = batches.next().await? {
            rows += batch.num_rows() as u64;
        }
    }
    Ok(Transfer { seconds: begin.elapsed().as_secs_f64(), rows })
}
