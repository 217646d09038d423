//! What `put` and `get` share: files on blocking threads, batches between them and the connection.

use airlane_format::{BatchReader, BatchWriter};
use airlane_model::Result;
use arrow_array::RecordBatch;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::output::progress::Progress;

/// Batches that wait between a file and the connection: enough that neither waits for the other.
const QUEUE_BATCHES_MAX: usize = 2;

/// The batches of a reader as a stream, read on a thread of their own.
pub(crate) fn stream(reader: Box<dyn BatchReader>, progress: Progress) -> impl Stream<Item = Result<RecordBatch>> {
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES_MAX);
    tokio::task::spawn_blocking(move || {
        for batch in reader {
            let failed = batch.is_err();
            // The receiver is gone when the put ended early.
            if sender.blocking_send(batch).is_err() || failed {
                return;
            }
        }
    });
    futures::stream::unfold(receiver, move |mut receiver| {
        let progress = progress.clone();
        async move {
            let batch = receiver.recv().await?;
            if let Ok(batch) = &batch {
                progress.add(batch);
            }
            Some((batch, receiver))
        }
    })
}

/// A writer on a thread of its own.
pub(crate) struct Sink {
    sender: mpsc::Sender<RecordBatch>,
    thread: JoinHandle<Result<()>>,
}

impl Sink {
    pub(crate) fn new(mut writer: Box<dyn BatchWriter>) -> Self {
        let (sender, mut receiver) = mpsc::channel::<RecordBatch>(QUEUE_BATCHES_MAX);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(batch) = receiver.blocking_recv() {
                writer.write(&batch)?;
            }
            writer.finish()
        });
        Self { sender, thread }
    }

    /// Hands a batch over. When the writer has failed, [`finish`](Self::finish) tells why.
    pub(crate) async fn write(&self, batch: RecordBatch) -> std::result::Result<(), Failed> {
        self.sender.send(batch).await.map_err(|_| Failed)
    }

    /// Ends the file.
    pub(crate) async fn finish(self) -> Result<()> {
        drop(self.sender);
        self.thread.await.map_err(super::thread_failed)?
    }
}

/// The writer of a sink has failed.
#[derive(Debug)]
pub(crate) struct Failed;
