//! What several parts do to a server: put tables of a size, read them, and stop in the middle.

use arrow_array::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::{FlightClient, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::Result;

/// Puts a table of `count` times the same batch; `command` has what is asked beside its name.
pub(super) async fn put(
    client: &mut FlightClient,
    table: &str,
    batch: &RecordBatch,
    count: usize,
    mut command: serde_json::Value,
) -> Result<()> {
    command["path"] = json!(table);
    let batches = vec![batch.clone(); count];
    let messages = FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.to_string())))
        .build(futures::stream::iter(batches.into_iter().map(Ok)));
    let results: Vec<_> = client.do_put(messages).await?.try_collect().await?;
    drop(results);
    Ok(())
}

/// Reads a table to its end; tells the bytes of its messages.
pub(super) async fn get(client: &mut FlightClient, table: &str) -> Result<u64> {
    let mut messages = client.inner_mut().do_get(Ticket::new(table.to_owned())).await?.into_inner();
    let mut bytes = 0;
    while let Some(message) = messages.next().await {
        bytes += message?.data_body.len() as u64;
    }
    Ok(bytes)
}
