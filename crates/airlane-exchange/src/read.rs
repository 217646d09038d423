//! A read as a door sees it: the messages of a stream, in order.
//!
//! Those of a table lie in its segments and are there when they are asked for; those of a query are computed, and come
//! when they come. A door asks [`poll_ready`](ReadStream::poll_ready) first, and serves both alike.

use std::task::{Context, Poll};

use airlane_model::{Result, TableInfo, Ticket};
use airlane_segment::{Codec, Message, TableSchema};
use arrow_array::RecordBatch;

use crate::Pause;
pub(crate) use computed::ComputedRead;
pub(crate) use table::TableRead;

mod computed;
mod table;

/// One message of a stream after its schema.
#[derive(Clone, Debug)]
pub enum StreamMessage {
    /// A dictionary that holds from here on; sent only when it differs from the one sent before under its id.
    Dictionary(Message),
    /// A record batch.
    Batch {
        /// The message.
        message: Message,
        /// The position of its first row: in the version of a table, else in the answer.
        row_offset: u64,
        /// Its rows.
        rows: u64,
    },
}

/// Reads the rows that a ticket names. Messages are made when they are asked for: a reader that stops costs nothing but
/// the versions it pins.
#[derive(Debug)]
pub struct ReadStream(Source);

#[derive(Debug)]
enum Source {
    Table(Box<TableRead>),
    Computed(Box<ComputedRead>),
}

impl From<TableRead> for ReadStream {
    fn from(read: TableRead) -> Self {
        Self(Source::Table(Box::new(read)))
    }
}

impl From<ComputedRead> for ReadStream {
    fn from(read: ComputedRead) -> Self {
        Self(Source::Computed(Box::new(read)))
    }
}

impl ReadStream {
    /// The ticket by which the read can be gone on with, should it break: with it and the position of the first row that is
    /// missing. Only where that was [asked for](crate::ReadOptions), and not for what is computed.
    pub fn resume_ticket(&self) -> Option<&Ticket> {
        match &self.0 {
            Source::Table(read) => read.resume_ticket(),
            Source::Computed(_) => None,
        }
    }

    /// Compresses the buffers of the messages that follow, where they shrink.
    pub fn compressed(self, codec: Option<Codec>) -> Self {
        match self.0 {
            Source::Table(read) => read.compressed(codec).into(),
            Source::Computed(read) => read.compressed(codec).into(),
        }
    }

    /// Sends text and binary instead of views, lists instead of list views, and a row for each row of a run.
    ///
    /// # Errors
    /// `schema_invalid`.
    pub fn in_plain_types(self) -> Result<Self> {
        match self.0 {
            Source::Table(read) => read.in_plain_types().map(Self::from),
            Source::Computed(read) => read.in_plain_types().map(Self::from),
        }
    }

    /// The schema; its message is the first of the stream.
    pub fn schema(&self) -> &TableSchema {
        match &self.0 {
            Source::Table(read) => read.schema(),
            Source::Computed(read) => read.schema(),
        }
    }

    /// The table in the version that is read, where it is one.
    pub fn info(&self) -> Option<&TableInfo> {
        match &self.0 {
            Source::Table(read) => Some(read.info()),
            Source::Computed(_) => None,
        }
    }

    /// The position of the next row in the version, or in what is computed.
    pub fn position(&self) -> u64 {
        match &self.0 {
            Source::Table(read) => read.position(),
            Source::Computed(read) => read.position(),
        }
    }

    /// The rows that the stream gives in all, where that is known before.
    pub fn rows(&self) -> Option<u64> {
        match &self.0 {
            Source::Table(read) => Some(read.rows()),
            Source::Computed(_) => None,
        }
    }

    /// Whether the next message is still being computed, elsewhere: it is to be [waited for](Self::poll_ready).
    pub fn is_coming(&self) -> bool {
        match &self.0 {
            Source::Table(_) => false,
            Source::Computed(read) => read.is_coming(),
        }
    }

    /// Ready when the next message can be asked for without waiting until it is computed. What it is, or why it is not
    /// there, the next message tells.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Source::Table(_) => Poll::Ready(()),
            Source::Computed(read) => read.poll_ready(cx),
        }
    }

    /// As [`poll_ready`](Self::poll_ready).
    pub async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Waits until the first rows are there, so that a computation that fails before is told instead of begun: for answers
    /// that cannot say so later.
    ///
    /// # Errors
    /// Those of [`next_message`](Self::next_message) of what is computed.
    pub async fn begin(&mut self) -> Result<()> {
        self.ready().await;
        match &mut self.0 {
            Source::Table(_) => Ok(()),
            Source::Computed(read) => read.failure(),
        }
    }

    /// Whether asking for the next message may take long: it is computed, or lies in a segment that was not read since the
    /// start, so that a file is read, or it has to be compressed, written in plain types or made of some columns. Where
    /// reads are counted, a commit is waited for at the end, or before the first row.
    pub fn may_block(&self) -> bool {
        match &self.0 {
            Source::Table(read) => read.may_block(),
            Source::Computed(read) => read.is_coming() || read.is_costly(),
        }
    }

    /// Whether messages are made for this read, which takes the time of a processor.
    pub fn is_costly(&self) -> bool {
        match &self.0 {
            Source::Table(read) => read.is_costly(),
            Source::Computed(read) => read.is_costly(),
        }
    }

    /// What can be said while the next message takes long.
    pub fn pause(&self) -> Pause {
        match &self.0 {
            Source::Table(read) => read.pause(),
            Source::Computed(read) => read.pause(),
        }
    }

    /// The next message, or `None` at the end. See [`may_block`](Self::may_block).
    ///
    /// # Errors
    /// `data_damaged`; `storage_full` when there is no memory to compress; `limit_exceeded`, `not_implemented` for what
    /// cannot be sent in plain types. Where reads are counted: `storage_full`, `storage_failed`, `commit_unknown`,
    /// `shutting_down` when that cannot be kept. For what is computed: `query_failed`, `query_memory_full`,
    /// `query_time_exceeded`.
    pub fn next_message(&mut self) -> Result<Option<StreamMessage>> {
        match &mut self.0 {
            Source::Table(read) => read.next_message(),
            Source::Computed(read) => read.next_message(),
        }
    }

    /// The next batch as arrays, or `None` at the end: for readers in this process, before any message was asked for.
    ///
    /// # Errors
    /// As [`next_message`](Self::next_message).
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.0 {
            Source::Table(read) => read.next_batch(),
            Source::Computed(read) => read.next_batch(),
        }
    }
}
