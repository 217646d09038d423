//! A read whose bytes a process on this machine maps instead of being sent them.
//!
//! ```text
//! segment, all of it asked for ─ memfd, file of its own ───────────────▶ its descriptor
//!                              └ heap, catalog, shared file ──▶ copied ┐
//! some rows or columns of it ─────────────────────────────▶ laid out ──┴▶ a memfd made for this reader
//! ```
//!
//! A descriptor shows all bytes behind it, so it goes only to who may read them all.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use airlane_model::{ByteSize, Caller, Error, Result, RowRange, TableInfo, Ticket, codes};
use airlane_segment::home::{HomeKind, storage_error};
use airlane_segment::{Cut, Home, MemoryBudget, SealedMemfds, Segment, TableSchema, TableWriter, WriterOptions};
use airlane_store::{CountedRead, Lent, ReadSpec, SegmentRef, Snapshot};

use crate::Exchange;
use crate::read::TableRead;
use crate::tickets::{Reading, count_of};

/// A table, or a part of one, for a process on this machine. Holding it pins the version and keeps the memory counted.
pub struct HandOut {
    schema: TableSchema,
    rows: RowRange,
    descriptors: Vec<Descriptor>,
    pieces: Vec<Piece>,
    snapshot: Snapshot,
    counted: Option<CountedRead>,
    /// What is lent from memory, which counts for as long as the reader may have it mapped.
    lent: Vec<Arc<Segment>>,
    made: Vec<Segment>,
    packed: Option<Home>,
}

/// Lending one takes a few microseconds, the first time some tens.
const QUICK_SEGMENTS_MAX: usize = 64;

/// Something to be mapped.
#[derive(Debug)]
pub struct Descriptor {
    /// It can only read.
    pub fd: OwnedFd,
    /// What it is of: a sealed memfd, or a file that is never written again.
    pub kind: HomeKind,
    /// Its length.
    pub bytes: u64,
}

/// A segment, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its descriptor, by its place in the list.
    pub descriptor: usize,
    /// Its first byte there, a multiple of 64.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

impl Exchange {
    /// Opens what a ticket names for a process on this machine (blocking). Where reads are counted, it claims one.
    ///
    /// # Errors
    /// As [`read`](Self::read); `memory_full`, `limit_exceeded` when a part has to be laid out anew for which there is no memory,
    /// or that is large, and that a stream can still read; `data_damaged`, `storage_failed`.
    pub fn hand_out(&self, caller: &Caller, ticket: &Ticket) -> Result<HandOut> {
        self.begin_hand_out(caller, ticket)?.finish()
    }

    /// The part of [`hand_out`](Self::hand_out) that only looks things up.
    ///
    /// # Errors
    /// Those of tickets and rights of [`read`](Self::read).
    pub fn begin_hand_out(&self, caller: &Caller, ticket: &Ticket) -> Result<Opening> {
        let reading = self.reading(caller, ticket)?;
        caller.begin_stream(reading.snapshot.info().table.namespace())?;
        Ok(Opening { exchange: self.clone(), reading })
    }
}

/// A read that has begun, and that nothing was made for yet.
pub struct Opening {
    exchange: Exchange,
    reading: Reading,
}

impl Opening {
    /// Whether [`finish`](Self::finish) takes so little that no thread has to make way: all that is handed over lies in memfds, few of them,
    /// and nothing is counted.
    pub fn is_quick(&self) -> bool {
        let Reading { snapshot, rows, projection, pass } = &self.reading;
        let is_whole = projection.is_none() && rows.start == 0 && rows.end == snapshot.info().rows;
        let is_counted = snapshot.info().retention.counted_reads().is_some()
            || pass.as_ref().is_some_and(|pass| count_of(pass).is_some());
        let mut segments = snapshot.segments().iter();
        is_whole
            && !is_counted
            && (1..=QUICK_SEGMENTS_MAX).contains(&segments.len())
            && segments.all(|segment| {
                segment.is_open() && segment.open().is_ok_and(|opened| opened.home_kind() == HomeKind::Memfd)
            })
    }

    /// What is handed out (blocking).
    ///
    /// # Errors
    /// As [`Exchange::hand_out`].
    pub fn finish(self) -> Result<HandOut> {
        let Self { exchange, reading: Reading { snapshot, rows, projection, pass } } = self;
        let (ticket, part) = (pass.as_ref().and_then(count_of), pass.and_then(|pass| pass.read));
        // As with streams, whoever asks for no rows of a table that has some looks, and does not read.
        let is_look = rows.rows() == 0 && snapshot.info().rows > 0;
        let (mut counted, snapshot) = match is_look {
            true => (None, snapshot),
            false => {
                let counted = exchange
                    .store
                    .begin_counted(&snapshot, &ReadSpec { ticket, part, rows, arrived: None, is_to_confirm: false })?;
                (counted, exchange.store.begin_read(snapshot))
            }
        };
        let frames = exchange.store.frames();
        let read = |rows| TableRead::new(snapshot.clone(), rows, projection.clone(), frames.clone(), None);
        let mut made = Making::new(exchange.store.memory_budget());
        let mut start = 0;
        for segment in snapshot.segments() {
            let all = RowRange { start, end: start + segment.rows() };
            start = all.end;
            let part = RowRange { start: rows.start.max(all.start), end: rows.end.min(all.end) };
            if part.start >= part.end {
                continue;
            }
            if part == all && projection.is_none() {
                made.lend(segment)?;
            } else {
                made.lay_out(read(part))?;
            }
        }
        if made.parts.is_empty() {
            // A table without rows has a schema all the same.
            made.lay_out(read(RowRange { start: rows.start, end: rows.start }))?;
        }
        let schema = projection.map_or_else(|| snapshot.schema().clone(), |projection| projection.schema().clone());
        let out = made.finish(schema, rows, snapshot)?;
        if let Some(counted) = &mut counted {
            counted.begin()?;
            counted.handed_over(rows.end);
        }
        Ok(HandOut { counted, ..out })
    }
}

impl HandOut {
    /// The table, in the version that is read.
    pub fn info(&self) -> &TableInfo {
        self.snapshot.info()
    }

    /// The schema of its segments.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Its rows, by their positions in the version.
    pub fn rows(&self) -> RowRange {
        self.rows
    }

    /// What is to be mapped.
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// The segments, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The memory that the reader may have mapped: that of memfds, since files can be read again.
    pub fn memory_bytes(&self) -> u64 {
        let lent = self.lent.iter().map(|segment| segment.file_bytes().len() as u64);
        let made = self.made.iter().map(|segment| segment.file_bytes().len() as u64);
        lent.chain(made).sum::<u64>() + self.packed.as_ref().map_or(0, |home| home.bytes().len() as u64)
    }

    /// Closes the descriptors, once the reader has them.
    pub fn sent(&mut self) {
        self.descriptors.clear();
    }

    /// The reader has not said for long that it still reads: a counted read is given back, and the table may be idle. The
    /// memory counts on.
    pub fn lapse(&mut self) {
        self.counted = None;
        self.snapshot = self.snapshot.clone().end_read();
    }

    /// Whether the read is counted.
    pub fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// The end of the read: the reader has all rows, and may still have them mapped. Where the read is counted it is used when
    /// this has [ended](ReadEnd::end); else it is given back when this is dropped.
    pub fn take_read(&mut self) -> Option<ReadEnd> {
        self.counted.take().map(ReadEnd)
    }
}

/// The end of a counted read. Dropped without it, the read is given back.
#[derive(Debug)]
pub struct ReadEnd(CountedRead);

impl ReadEnd {
    /// The read is used when this returns (blocking).
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`, `commit_unknown`, `shutting_down`.
    pub fn end(self) -> Result<()> {
        self.0.end()
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("rows", &self.reading.rows).finish_non_exhaustive()
    }
}

impl fmt::Debug for HandOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOut").field("rows", &self.rows).field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

/// What is laid out or copied for one reader takes no more of the memory budget than one part in so many: a stream does as
/// well, and needs next to none.
const MADE_PART: u64 = 8;

/// A [`HandOut`] in the making.
struct Making {
    made_bytes: u64,
    made_bytes_max: u64,
    memfds: SealedMemfds,
    parts: Vec<Part>,
    descriptors: Vec<Descriptor>,
    lent: Vec<Arc<Segment>>,
    made: Vec<Segment>,
}

enum Part {
    /// In a descriptor of its own.
    Alone(Piece),
    /// To be copied.
    Bytes(Arc<Segment>),
}

impl Making {
    fn new(budget: &MemoryBudget) -> Self {
        let memfds = SealedMemfds::new(budget.clone());
        let made_bytes_max = budget.limit().as_u64() / MADE_PART;
        let (parts, descriptors, lent, made) = Default::default();
        Self { made_bytes: 0, made_bytes_max, memfds, parts, descriptors, lent, made }
    }

    /// The whole of a segment of the table.
    fn lend(&mut self, segment: &SegmentRef) -> Result<()> {
        let opened = segment.open()?;
        match segment.lend()? {
            Lent::Memfd(fd) => {
                self.alone(fd, HomeKind::Memfd, &opened);
                self.lent.push(opened);
            }
            Lent::File(fd) => self.alone(fd, HomeKind::File, &opened),
            Lent::Bytes(segment) => self.loose(segment)?,
        }
        Ok(())
    }

    fn loose(&mut self, segment: Arc<Segment>) -> Result<()> {
        self.count(segment.file_bytes().len() as u64)?;
        self.parts.push(Part::Bytes(segment));
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.made_bytes = self.made_bytes.saturating_add(bytes);
        if self.made_bytes <= self.made_bytes_max {
            return Ok(());
        }
        let max = ByteSize::bytes(self.made_bytes_max);
        let message = format!("what has to be copied to be handed over takes more than {max} of memory");
        Err(Error::new(codes::LIMIT_EXCEEDED, message).hint("read it as a stream"))
    }

    /// The rows of a stream, as segments of their own.
    fn lay_out(&mut self, mut stream: TableRead) -> Result<()> {
        let homes = Box::new(self.memfds.clone());
        let mut writer = TableWriter::new(stream.schema().clone(), WriterOptions::default(), homes);
        while let Some(batch) = stream.next_batch()? {
            writer.append(&batch)?;
            writer.take_sealed(Cut::WhenFull)?.into_iter().try_for_each(|segment| self.make(segment))?;
        }
        writer.finish()?.into_iter().try_for_each(|segment| self.make(segment))
    }

    /// A segment that was laid out for this reader.
    fn make(&mut self, segment: Segment) -> Result<()> {
        let failed = |error| storage_error("lend a memfd", error);
        let fd = segment.lend_memfd().map_err(failed)?.map(|fd| fd.try_clone_to_owned()).transpose();
        let Some(fd) = fd.map_err(failed)? else { return self.loose(Arc::new(segment)) };
        self.count(segment.file_bytes().len() as u64)?;
        self.alone(fd, HomeKind::Memfd, &segment);
        self.made.push(segment);
        Ok(())
    }

    fn alone(&mut self, fd: OwnedFd, kind: HomeKind, segment: &Segment) {
        let (descriptor, bytes) = (self.descriptors.len(), segment.file_bytes().len() as u64);
        self.descriptors.push(Descriptor { fd, kind, bytes });
        self.parts.push(Part::Alone(Piece { descriptor, offset: 0, bytes, rows: segment.rows() }));
    }

    fn finish(mut self, schema: TableSchema, rows: RowRange, snapshot: Snapshot) -> Result<HandOut> {
        let loose = self.parts.iter().filter_map(|part| match part {
            Part::Alone(_) => None,
            Part::Bytes(segment) => Some(segment.file_bytes()),
        });
        let loose: Vec<_> = loose.collect();
        let (packed, ranges) = match loose.is_empty() {
            true => (None, Vec::new()),
            false => {
                let parts: Vec<&[u8]> = loose.iter().map(AsRef::as_ref).collect();
                let (home, ranges) = self.memfds.pack(&parts)?;
                (Some(home), ranges)
            }
        };
        let pack = self.descriptors.len();
        if let Some(home) = &packed {
            let failed = |error| storage_error("lend a memfd", error);
            if let Some(fd) = home.lend_memfd().map_err(failed)? {
                let fd = fd.try_clone_to_owned().map_err(failed)?;
                let bytes = home.bytes().len() as u64;
                self.descriptors.push(Descriptor { fd, kind: HomeKind::Memfd, bytes });
            }
        }
        let mut ranges = ranges.into_iter();
        let pieces = self.parts.iter().map(|part| match part {
            Part::Alone(piece) => *piece,
            Part::Bytes(segment) => {
                let range = ranges.next().unwrap_or_default();
                let (offset, bytes) = (range.start, range.end - range.start);
                Piece { descriptor: pack, offset, bytes, rows: segment.rows() }
            }
        });
        let pieces = pieces.collect();
        let Self { descriptors, lent, made, .. } = self;
        Ok(HandOut { schema, rows, descriptors, pieces, snapshot, counted: None, lent, made, packed })
    }
}
