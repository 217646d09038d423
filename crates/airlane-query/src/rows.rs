//! The rows of a query, as they are computed.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use airlane_model::{Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::engine::joined;
use crate::error;
use crate::limits::BATCHES_AHEAD;
use crate::plan::Planned;

/// Batches of a query, in their order. Dropping it ends the query within a batch.
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    /// The query; gone when its end was told.
    running: Option<JoinHandle<Result<()>>>,
}

impl Drop for Rows {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

impl Rows {
    /// Rows that are there already.
    pub fn of(batch: RecordBatch) -> Self {
        let (sender, batches) = mpsc::channel(1);
        let schema = batch.schema();
        if batch.num_rows() > 0 {
            // There is room for one.
            let _ = sender.try_send(batch);
        }
        Self { schema, batches, running: None }
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch, `None` at the end. After an error there is nothing more.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        if let Some(batch) = std::task::ready!(self.batches.poll_recv(cx)) {
            return Poll::Ready(Ok(Some(batch)));
        }
        // Nothing more comes, for a reason that the query tells.
        let Some(running) = &mut self.running else { return Poll::Ready(Ok(None)) };
        let ended = std::task::ready!(std::pin::Pin::new(running).poll(cx));
        self.running = None;
        Poll::Ready(joined(ended).map(|()| None))
    }

    /// The next batch.
    ///
    /// # Errors
    /// `query_failed`, `query_memory_full`, `query_time_exceeded`; what reading the tables answers.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

pub(crate) fn run(handle: &Handle, turns: Arc<Semaphore>, time: Duration, planned: Planned) -> Rows {
    let schema = planned.schema().clone();
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let running = handle.spawn(async move {
        // Nobody closes the semaphore.
        let _turn = turns.acquire_owned().await;
        tokio::time::timeout(time, compute(planned, sender)).await.unwrap_or_else(|_| {
            let message = format!("the query ran for {} s, which is as long as one may", time.as_secs());
            Err(Error::new(codes::QUERY_TIME_EXCEEDED, message)
                .hint("read less, keep a part of it as a table, or raise `query_time`"))
        })
    });
    Rows { schema, batches, running: Some(running) }
}

async fn compute(planned: Planned, sender: mpsc::Sender<RecordBatch>) -> Result<()> {
    let schema = planned.schema().clone();
    let physical = planned.state.create_physical_plan(&planned.logical).await.map_err(error::of_planning)?;
    let mut stream = execute_stream(physical, planned.state.task_ctx()).map_err(error::of_computing)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(error::of_computing)?;
        if batch.num_rows() == 0 {
            continue;
        }
        // A column that may hold no nulls, and does.
        let batch = named(batch, &schema).map_err(|error| {
            Error::new(codes::QUERY_FAILED, error.to_string()).hint("leave such rows out: WHERE … IS NOT NULL")
        })?;
        if sender.send(batch).await.is_err() {
            // Nobody wants more.
            return Ok(());
        }
    }
    Ok(())
}

/// The batch under the schema that was told: operators may differ in metadata and in what they say of nulls.
fn named(batch: RecordBatch, schema: &SchemaRef) -> std::result::Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
}
