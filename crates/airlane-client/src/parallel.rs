//! A read in several flights at once, its rows in order.
//!
//! ```text
//! FlightInfo ─┬─ flight 0 ─▶ queue ─┐
//!             ├─ flight 1 ─▶ queue ─┼─▶ batches, flight after flight
//!             └─ flight 2 ─▶ queue ─┘
//! ```
//!
//! A flight that is not its turn fills its queue, and then waits.

use std::collections::VecDeque;

use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_flight::FlightDescriptor;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::read::FlightRows;

/// Batches, of about a MiB, that wait in each queue.
const QUEUED_MAX: usize = 8;

/// The rows of several flights, in order. Dropping it cancels them.
#[derive(Debug)]
pub(crate) struct ParallelRows {
    schema: SchemaRef,
    flights: VecDeque<Receiver<Result<RecordBatch>>>,
    /// They end with this.
    _running: JoinSet<()>,
}

impl ParallelRows {
    /// Asks for the flights of a ticket and begins with all of them, each on a connection of its own but the first.
    pub(crate) async fn open(client: &Client, ticket: &str, flights_max: usize) -> Result<Self> {
        let descriptor = FlightDescriptor::new_cmd(Bytes::copy_from_slice(ticket.as_bytes()));
        let info = client.flight_info(descriptor).await?;
        let tickets = info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket).map(|ticket| ticket.ticket);
        let mut tickets = tickets.map(|ticket| String::from_utf8(ticket.to_vec()).map_err(|_| no_ticket()));
        let first = tickets.next().ok_or_else(no_ticket)??;
        let rest = tickets.collect::<Result<Vec<_>>>()?;
        let first = FlightRows::open(client.source(), &first, None).await?;
        let (schema, mut running, mut flights) = (first.schema().clone(), JoinSet::new(), VecDeque::new());
        let (queue, batches) = channel(QUEUED_MAX);
        running.spawn(fly(first, queue));
        flights.push_back(batches);
        // As many at once as were asked for; each takes the next ticket when it has ended one.
        let lanes = std::sync::Arc::new(tokio::sync::Semaphore::new(flights_max.saturating_sub(1).max(1)));
        for ticket in rest {
            let (queue, batches) = channel(QUEUED_MAX);
            flights.push_back(batches);
            let (source, lanes) = (client.source(), lanes.clone());
            running.spawn(async move {
                // It is never closed.
                let Ok(_lane) = lanes.acquire().await else { return };
                match FlightRows::open(source, &ticket, None).await {
                    Ok(rows) => fly(rows, queue).await,
                    Err(error) => _ = queue.send(Err(error)).await,
                }
            });
        }
        Ok(Self { schema, flights, _running: running })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(flight) = self.flights.front_mut() {
            match flight.recv().await {
                Some(batch) => return batch.map(Some),
                None => _ = self.flights.pop_front(),
            }
        }
        Ok(None)
    }
}

/// Reads a flight to its end, or until nobody wants it.
async fn fly(mut rows: FlightRows, queue: Sender<Result<RecordBatch>>) {
    loop {
        let next = rows.next().await.transpose();
        let Some(next) = next else { return };
        let is_last = next.is_err();
        if queue.send(next).await.is_err() || is_last {
            return;
        }
    }
}

fn no_ticket() -> Error {
    Error::new(codes::MESSAGE_INVALID, "a FlightInfo has no endpoint with a ticket that can be read")
}
