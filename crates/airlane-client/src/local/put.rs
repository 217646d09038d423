//! A put whose segments are laid out here, each handed over as soon as it is sealed.

use std::os::fd::AsFd;
use std::sync::Arc;

use airlane_handover::Message;
use airlane_handover::message::{Abort, Begin, Commit, Committed, Segment as SegmentMessage};
use airlane_model::{ByteSize, Error, Receipt, Result, TableName, Version, codes};
use airlane_segment::{Segment, TableSchema, WriterOptions};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::{Stream, StreamExt};

use super::lanes::Lanes;
use super::link::{Link, Turn, unexpected};
use super::plan::Plan;
use crate::client::PutOptions;
use crate::size::payload_bytes;

/// Segments that the server may not have answered yet.
const UNANSWERED_MAX: u64 = 4;

/// Rows of fewer bytes are laid out where they come: to wake a thread takes as long.
const AT_ONCE_BYTES: u64 = 1 << 20;

/// A put under way. Dropping it gives it up.
pub(super) struct LocalPut {
    link: Arc<Link>,
    turn: Turn,
    put: u64,
    /// The request of the first segment.
    first: u64,
    plan: Plan,
    lanes: Lanes,
    /// The rows of a segment that was not begun yet, and their bytes.
    waiting: Vec<RecordBatch>,
    waiting_bytes: u64,
    sent: u64,
    answered: u64,
    is_ended: bool,
}

impl LocalPut {
    /// Begins.
    ///
    /// # Errors
    /// What the server answers; `schema_invalid`.
    pub(super) async fn begin(
        link: Arc<Link>,
        mut turn: Turn,
        table: &TableName,
        schema: &SchemaRef,
        options: &PutOptions,
    ) -> Result<Self> {
        let schema = TableSchema::from_arrow(schema)?;
        let bytes_expected = options.bytes_expected.map(ByteSize::as_u64);
        let begin = Begin {
            table: table.to_string(),
            mode: options.mode.to_string(),
            durability: options.durability.map(|durability| durability.to_string()).unwrap_or_default(),
            retention: options.retention.rules().map(|(rule, text)| format!("{rule}={text}")).collect(),
            idempotency_key: options.key.as_ref().map(|key| key.as_str().to_owned()).unwrap_or_default(),
            bytes_expected: bytes_expected.unwrap_or_default(),
        };
        let request = link.send(&mut turn, begin, &[]).await?;
        let put = match link.receive(request).await?.message {
            Message::BeginOk(ok) => ok.put,
            other => return Err(unexpected(&other)),
        };
        let plan = Plan::new(bytes_expected, options.mode);
        let layout = WriterOptions { segment_small_bytes_max: ByteSize::bytes(0), ..WriterOptions::default() };
        let (segment_bytes_target, plan) = match schema.dictionaries().is_empty() {
            // The plan ends segments, and writers do not.
            true => (ByteSize::bytes(1 << 60), plan),
            false => (layout.segment_bytes_target.max(plan.segment_bytes()), plan.whole()),
        };
        let lanes = Lanes::new(schema, WriterOptions { segment_bytes_target, ..layout });
        let (first, sent, answered, is_ended) = (request + 1, 0, 0, false);
        let (waiting, waiting_bytes) = (Vec::new(), 0);
        Ok(Self { link, turn, put, first, plan, lanes, waiting, waiting_bytes, sent, answered, is_ended })
    }

    /// Lays out all batches, and hands over segments as they are finished.
    ///
    /// # Errors
    /// Those of the batches; `schema_mismatch`, `limit_exceeded`, `storage_full` without memory; what the server answers.
    pub(super) async fn append_all(&mut self, batches: impl Stream<Item = Result<RecordBatch>>) -> Result<()> {
        let mut batches = std::pin::pin!(batches);
        loop {
            tokio::select! {
                biased;
                next = self.lanes.next(), if !self.lanes.is_idle() => {
                    if let Some(segment) = next? {
                        self.send(&segment).await?;
                    }
                }
                batch = batches.next() => match batch {
                    Some(batch) => self.append(batch?).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn append(&mut self, mut batch: RecordBatch) -> Result<()> {
        while batch.num_rows() > 0 {
            let bytes = payload_bytes(&batch);
            let rows = self.plan.rows(batch.num_rows(), bytes);
            let rest = batch.slice(rows, batch.num_rows() - rows);
            let (taken, bytes) = match rest.num_rows() {
                0 => (batch, bytes),
                _ => {
                    let taken = batch.slice(0, rows);
                    let bytes = payload_bytes(&taken);
                    (taken, bytes)
                }
            };
            batch = rest;
            self.give(taken, bytes).await?;
            if self.plan.take(bytes) {
                self.begin_segment().await?;
                self.lanes.end();
            }
        }
        Ok(())
    }

    async fn give(&mut self, batch: RecordBatch, bytes: u64) -> Result<()> {
        if self.lanes.is_open() {
            return self.lanes.give(batch, bytes).await;
        }
        self.waiting.push(batch);
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
        match self.waiting_bytes > AT_ONCE_BYTES {
            true => self.begin_segment().await,
            false => Ok(()),
        }
    }

    /// Has what waits laid out beside the segments before it, as soon as there are not too many of them.
    async fn begin_segment(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        while !self.lanes.has_room() {
            if let Some(segment) = self.lanes.next().await? {
                self.send(&segment).await?;
            }
        }
        self.lanes.open();
        // They were few before.
        let bytes = std::mem::take(&mut self.waiting_bytes) / self.waiting.len() as u64;
        for batch in std::mem::take(&mut self.waiting) {
            self.lanes.give(batch, bytes).await?;
        }
        Ok(())
    }

    async fn send(&mut self, segment: &Segment) -> Result<()> {
        let lent = segment.lend_memfd().map_err(|error| {
            Error::new(codes::STORAGE_FAILED, format!("a segment cannot be handed over: {error}")).source(error)
        })?;
        let Some(memfd) = lent else {
            return Err(Error::new(codes::INTERNAL, "a segment is in no memfd"));
        };
        let message = SegmentMessage {
            put: self.put,
            sequence: self.sent,
            bytes: segment.file_bytes().len() as u64,
            rows: segment.rows(),
            file: String::new(),
        };
        self.link.send(&mut self.turn, message, &[memfd.as_fd()]).await?;
        self.sent += 1;
        while self.sent - self.answered > UNANSWERED_MAX {
            self.answer().await?;
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<()> {
        let received = self.link.receive(self.first).await?;
        self.take_answer(&received.message)
    }

    fn take_answer(&mut self, message: &Message) -> Result<()> {
        match message {
            Message::SegmentOk(_) => self.answered += 1,
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    /// Hands over the rest and makes the put visible.
    ///
    /// # Errors
    /// What the server answers; `connection_broken`, after which the put may be there: repeat it with its key, or look at
    /// the version.
    pub(super) async fn commit(mut self) -> Result<Receipt> {
        self.lanes.end();
        while !self.lanes.is_idle() {
            if let Some(segment) = self.lanes.next().await? {
                self.send(&segment).await?;
            }
        }
        // A table without rows is a segment without any.
        if !self.waiting.is_empty() || self.sent == 0 {
            for segment in self.lanes.at_once(&std::mem::take(&mut self.waiting))? {
                self.send(&segment).await?;
            }
        }
        let (put, segments) = (self.put, self.sent);
        let request = self.link.send(&mut self.turn, Commit { put, segments }, &[]).await?;
        self.is_ended = true;
        while self.answered < self.sent {
            let received = self.link.receive_soon(self.first).await?;
            self.take_answer(&received.message)?;
        }
        let (mut facts, mut report) = (None, Vec::new());
        loop {
            let received = self.link.receive_soon(request).await?;
            let Message::Committed(committed) = received.message else { return Err(unexpected(&received.message)) };
            report.extend_from_slice(&committed.contract);
            let facts = facts.get_or_insert(committed);
            if !received.has_more {
                return receipt(facts, &report);
            }
        }
    }
}

impl Drop for LocalPut {
    fn drop(&mut self) {
        if !self.is_ended {
            // The end of the connection does it otherwise.
            self.link.try_send(Abort { put: self.put });
        }
    }
}

fn receipt(committed: &Committed, report: &[u8]) -> Result<Receipt> {
    let wrong = |what: &str| Error::new(codes::MESSAGE_INVALID, format!("the server answers no {what}"));
    let contract = (!report.is_empty()).then(|| serde_json::from_slice(report)).transpose();
    Ok(Receipt {
        table: TableName::parse(&committed.table)?,
        table_id: committed.table_id.parse().map_err(|_| wrong("id of the table"))?,
        version: Version::new(committed.version).ok_or_else(|| wrong("version"))?,
        rows: committed.rows,
        bytes: committed.bytes,
        rows_put: committed.rows_put,
        durability: committed.durability.parse()?,
        ticket: committed.ticket.clone(),
        contract: contract.map_err(|error| wrong("report of a contract that can be read").source(error))?,
    })
}
