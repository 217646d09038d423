//! A put whose segments are laid out here, each handed over as soon as it is sealed.

use std::os::fd::AsFd;
use std::sync::Arc;

use airlane_handover::Message;
use airlane_handover::message::{Abort, Begin, Commit, Committed, Segment as SegmentMessage};
use airlane_model::{ByteSize, Error, Receipt, Result, TableName, Version, codes, limits};
use airlane_segment::{Cut, MemoryBudget, SealedMemfds, Segment, TableSchema, TableWriter, WriterOptions};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::link::{Link, Turn, unexpected};
use crate::client::PutOptions;
use crate::size::payload_bytes;

/// Segments that the server may not have answered yet.
const UNANSWERED_MAX: u64 = 4;

/// What is left for the last segment where the size is known: sealing it, and having it validated, takes time by the byte.
const TAIL_BYTES: u64 = 1 << 20;

/// From so many bytes on the first segment ends: a reader opens all batches of a segment before it has the first one.
const FIRST_BYTES: u64 = 2 << 20;

/// Segments of a table of known size, about; each of them no larger than this.
const SEGMENTS: u64 = 64;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// A put under way. Dropping it gives it up.
pub(super) struct LocalPut {
    link: Arc<Link>,
    turn: Turn,
    put: u64,
    /// The request of the first segment.
    first: u64,
    writer: Option<TableWriter>,
    /// The first segment is to end early. Not where each segment repeats dictionaries.
    is_first: bool,
    sent: u64,
    answered: u64,
    /// What is to come, where that is known.
    bytes_expected: Option<u64>,
    bytes: u64,
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
        let of_table = (bytes_expected.unwrap_or(0) / SEGMENTS).min(SEGMENT_BYTES_MAX);
        let segment_bytes_target = limits::SEGMENT_BYTES_TARGET.as_u64().max(of_table);
        let layout = WriterOptions {
            segment_small_bytes_max: ByteSize::bytes(0),
            segment_bytes_target: ByteSize::bytes(segment_bytes_target),
            ..WriterOptions::default()
        };
        let is_first = schema.dictionaries().is_empty();
        let memfds = SealedMemfds::new(MemoryBudget::unlimited());
        let writer = Some(TableWriter::new(schema, layout, Box::new(memfds)));
        let (first, sent, answered, bytes, is_ended) = (request + 1, 0, 0, 0, false);
        Ok(Self { link, turn, put, first, writer, is_first, sent, answered, bytes_expected, bytes, is_ended })
    }

    /// Lays out a batch.
    ///
    /// # Errors
    /// `schema_mismatch`, `limit_exceeded`, `storage_full` without memory; what the server answers.
    pub(super) async fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        let bytes = payload_bytes(batch);
        let end = self.bytes.saturating_add(bytes);
        // Once: what comes after it is the tail.
        let Some(expected) = self.bytes_expected.take_if(|expected| end.saturating_add(TAIL_BYTES) >= *expected) else {
            self.bytes = end;
            let is_first = self.is_first && end >= FIRST_BYTES;
            self.is_first &= !is_first;
            return self.lay_out(batch, if is_first { Cut::Now } else { Cut::WhenFull }).await;
        };
        let before_tail = expected.saturating_sub(TAIL_BYTES).saturating_sub(self.bytes).min(bytes);
        let rows = u128::from(before_tail) * batch.num_rows() as u128 / u128::from(bytes.max(1));
        // No more than there are.
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(batch.num_rows());
        self.lay_out(&batch.slice(0, rows), Cut::Now).await?;
        self.lay_out(&batch.slice(rows, batch.num_rows() - rows), Cut::WhenFull).await
    }

    async fn lay_out(&mut self, batch: &RecordBatch, cut: Cut) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Err(failed()) };
        writer.append(batch)?;
        for segment in writer.take_sealed(cut)? {
            self.send(&segment).await?;
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
        let writer = self.writer.take().ok_or_else(failed)?;
        for segment in writer.finish()? {
            self.send(&segment).await?;
        }
        let (put, segments) = (self.put, self.sent);
        let request = self.link.send(&mut self.turn, Commit { put, segments }, &[]).await?;
        self.is_ended = true;
        while self.answered < self.sent {
            let received = self.link.receive_soon(self.first).await?;
            self.take_answer(&received.message)?;
        }
        match self.link.receive_soon(request).await?.message {
            Message::Committed(committed) => receipt(committed),
            other => Err(unexpected(&other)),
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

fn failed() -> Error {
    Error::new(codes::MESSAGE_ORDER_INVALID, "the put is at its end")
}

fn receipt(committed: Committed) -> Result<Receipt> {
    let wrong = |what: &str| Error::new(codes::MESSAGE_INVALID, format!("the server answers no {what}"));
    Ok(Receipt {
        table: TableName::parse(&committed.table)?,
        table_id: committed.table_id.parse().map_err(|_| wrong("id of the table"))?,
        version: Version::new(committed.version).ok_or_else(|| wrong("version"))?,
        rows: committed.rows,
        bytes: committed.bytes,
        rows_put: committed.rows_put,
        durability: committed.durability.parse()?,
        ticket: committed.ticket,
        // The door's answer has no word for it: the server's Flight door tells.
        contract: None,
    })
}
