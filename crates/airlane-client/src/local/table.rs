//! A table that the server has handed over: mapped piece by piece when it is read.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use airlane_handover::Message;
use airlane_handover::message::{HomeKind, Open, TableHome, TableSegment};
use airlane_model::{Error, Result, codes};
use airlane_segment::{GradualSegment, Home, MemoryBudget, Sealing, TableSchema};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::link::{Lease, Link, Turn, unexpected};

/// A table, or a part of one. Its arrays point into memory that the server made, and keep it.
#[derive(Debug)]
pub(crate) struct LocalTable {
    schema: TableSchema,
    rows: u64,
    homes: Vec<Lazy>,
    segments: VecDeque<TableSegment>,
    /// The segment that is read, and the rows that it is said to have.
    current: Option<(GradualSegment, u64)>,
    /// The end of the read is still to be told, since it is counted.
    is_counted: bool,
    lease: Arc<Lease>,
}

/// Something that is mapped when it is first needed.
#[derive(Debug)]
enum Lazy {
    Not(OwnedFd, TableHome),
    Mapped(Home),
    Failed,
}

impl LocalTable {
    pub(super) async fn open(link: Arc<Link>, mut turn: Turn, ticket: &str) -> Result<Self> {
        let request = link.send(&mut turn, Open { ticket: ticket.to_owned() }, &[]).await?;
        let (mut facts, mut homes, mut segments) = (None, Vec::new(), VecDeque::new());
        loop {
            let received = link.receive_soon(request).await?;
            let Message::Table(mut table) = received.message else { return Err(unexpected(&received.message)) };
            // Held from the first message on, so that it is released whatever comes.
            let lease = facts.take().unwrap_or_else(|| {
                let schema = std::mem::take(&mut table.schema);
                (Arc::new(link.hold(table.lease)), schema, table.rows, table.is_counted)
            });
            if table.homes.len() != received.descriptors.len() {
                return Err(damaged(format!(
                    "{} homes came with {} descriptors",
                    table.homes.len(),
                    received.descriptors.len()
                )));
            }
            homes.extend(received.descriptors.into_iter().zip(table.homes).map(|(fd, home)| Lazy::Not(fd, home)));
            segments.extend(table.segments);
            if received.has_more {
                facts = Some(lease);
                continue;
            }
            let (lease, schema, rows, is_counted) = lease;
            let first = segments.front().copied().ok_or_else(|| damaged("there is no segment"))?;
            let schema = match schema.is_empty() {
                false => TableSchema::from_message(&schema)?,
                true => segment(&mut homes, &first, &lease, None)?.schema().clone(),
            };
            return Ok(Self { schema, rows, homes, segments, current: None, is_counted, lease });
        }
    }

    /// The schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.schema.arrow()
    }

    /// All its rows.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The next batch, or `None` at the end. It takes microseconds; values are read from memory when they are looked at. A
    /// read that is counted is used when the end is told.
    ///
    /// # Errors
    /// `data_damaged`, `segment_refused` for what is not as the server says; `storage_failed` when it cannot be mapped; at the
    /// end of a counted read what the server answers.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.next_of_segments().await;
        if next.is_err() {
            // Nothing comes after an error, and the read is not used by it.
            self.current = None;
            self.segments.clear();
            self.is_counted = false;
        }
        next
    }

    async fn next_of_segments(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some((segment, rows)) = &mut self.current {
                let batch = segment.next_as(&self.schema)?;
                if segment.rows() > *rows || (batch.is_none() && segment.rows() < *rows) {
                    return Err(damaged(format!("a segment has {} rows, the server says {rows}", segment.rows())));
                }
                if batch.is_some() {
                    return Ok(batch);
                }
            }
            let Some(next) = self.segments.pop_front() else {
                self.current = None;
                if std::mem::take(&mut self.is_counted) {
                    self.lease.end_read().await?;
                }
                return Ok(None);
            };
            self.current = Some((segment(&mut self.homes, &next, &self.lease, Some(&self.schema))?, next.rows));
        }
    }
}

/// Maps a segment. Its arrays keep the lease.
fn segment(
    homes: &mut [Lazy],
    of: &TableSegment,
    lease: &Arc<Lease>,
    like: Option<&TableSchema>,
) -> Result<GradualSegment> {
    let home = homes.get_mut(of.home as usize).ok_or_else(|| damaged(format!("there is no home {}", of.home)))?;
    GradualSegment::open(home.map()?.part(of.offset, of.bytes)?.keeping(lease.clone()), like)
}

impl Lazy {
    fn map(&mut self) -> Result<&Home> {
        if let Self::Not(..) = self {
            let Self::Not(fd, home) = std::mem::replace(self, Self::Failed) else { return Err(gone()) };
            // The descriptor is closed when it is mapped.
            *self = Self::Mapped(match home.kind() {
                HomeKind::Memfd => Home::adopt(fd, home.bytes, Sealing::Future, &MemoryBudget::unlimited())?,
                HomeKind::File => Home::map_file(&File::from(fd), home.bytes, 0).map_err(|error| {
                    Error::new(codes::STORAGE_FAILED, format!("a segment cannot be mapped: {error}")).source(error)
                })?,
            });
        }
        match self {
            Self::Mapped(home) => Ok(home),
            Self::Not(..) | Self::Failed => Err(gone()),
        }
    }
}

fn gone() -> Error {
    Error::new(codes::STORAGE_FAILED, "a segment could not be mapped before")
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(codes::DATA_DAMAGED, message).at("an answer of the local door")
}
