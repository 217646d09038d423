//! A stream of a counted read: it claims when it begins, and has the read committed when it ends.

use std::sync::Arc;
use std::sync::mpsc::channel;

use airlane_model::{
    Durability, ReadId, ReadPart, ReadsAllowed, Result, RowRange, TableId, TableName, TicketId, Timestamp,
};

use super::{Allowed, Broken, Claim, CountRequest, Step};
use crate::catalog::counts::Counted;
use crate::commit::Job;
use crate::content::Snapshot;
use crate::index::table_not_found;
use crate::shared::Shared;
use crate::store::Store;

/// A ticket whose reads are counted.
#[derive(Clone, Copy, Debug)]
pub struct TicketCount {
    /// Its id, which is that of its counter.
    pub id: TicketId,
    /// How often it can be read.
    pub allowed: ReadsAllowed,
}

/// What a stream is, as far as reads are counted.
#[derive(Clone, Copy, Debug)]
pub struct ReadSpec {
    /// The ticket, if its reads are counted.
    pub ticket: Option<TicketCount>,
    /// The read that the stream is a part of; a read of its own when absent.
    pub part: Option<ReadPart>,
    /// The rows of the stream.
    pub rows: RowRange,
    /// The rows before them that the reader says have arrived, where it goes on with a read that broke.
    pub arrived: Option<RowRange>,
    /// Whether the read is used when it is [confirmed](Store::confirm_read), and not by the end of its streams. It must be a
    /// part then.
    pub is_to_confirm: bool,
}

/// A stream of a counted read. Dropped before its [end](Self::end), its reader is gone.
#[derive(Debug)]
pub struct CountedRead {
    shared: Arc<Shared>,
    table: TableName,
    durability: Durability,
    until: Timestamp,
    read: ReadId,
    /// From the first row to the one that is to be handed over next.
    handed: RowRange,
    /// Where its rows end.
    rows_end: u64,
    /// The read counts before its first row leaves, which is still to be done.
    is_to_burn: bool,
}

impl Store {
    /// Refuses a ticket whose reads are all used, unless it is for a part of one that is under way or has just ended.
    ///
    /// # Errors
    /// `ticket_used`; `data_damaged` when its count is.
    pub fn check_reads(&self, ticket: &TicketCount, part: Option<&ReadPart>, table: &TableName) -> Result<()> {
        let read = part.map(|part| part.id);
        let (shared, max) = (self.shared(), ticket.allowed.max.get());
        shared.counts.check_used(ticket.id, max, read, table, shared.uptime.now())
    }

    /// Claims a read of a ticket or of a table whose reads are counted; `None` when none are, or when the stream goes on with
    /// a read that was counted.
    ///
    /// # Errors
    /// `ticket_used`, `ticket_in_use`; `table_not_found` when the table has just gone; `data_damaged`; `memory_full` when no
    /// more reads can be remembered.
    pub fn begin_counted(&self, snapshot: &Snapshot, spec: &ReadSpec) -> Result<Option<CountedRead>> {
        let shared = self.shared_handle();
        let info = snapshot.info();
        let gone = || table_not_found(&info.table);
        let is_this = |shared: &Shared| {
            let table = shared.index.live(&info.table, shared.uptime.now())?;
            Some(table.content()).filter(|content| content.id == info.table_id)
        };
        let content = is_this(&shared).ok_or_else(gone)?;
        let of_table = content.retention.counted_reads();
        if spec.ticket.is_none() && of_table.is_none() {
            return Ok(None);
        }
        let of = Counted::Table(content.id, content.version.put);
        drop(content);
        let read = spec.part.map_or_else(|| ReadId::random(shared.chance.as_ref()), |part| part.id);
        let allowed = |ticket: TicketCount| Allowed { of: Counted::Ticket(ticket.id), max: ticket.allowed.max.get() };
        let claim = Claim {
            name: &info.table,
            durability: info.durability,
            ticket: spec.ticket.map(allowed),
            table: of_table.map(|max| Allowed { of, max: max.get() }),
            rows: spec.part.map_or(spec.rows, |part| part.rows),
            stream: spec.rows,
            arrived: spec.arrived,
            is_alone: spec.part.is_none(),
            is_to_confirm: spec.is_to_confirm,
        };
        if !shared.counts.begin(read, &claim, shared.uptime.moment())? {
            return Ok(None);
        }
        let counted = CountedRead {
            table: info.table.clone(),
            durability: info.durability,
            until: spec.ticket.map_or(Timestamp::default(), |ticket| ticket.allowed.until),
            read,
            handed: RowRange { start: spec.rows.start, end: spec.rows.start },
            rows_end: spec.rows.end,
            is_to_burn: spec.ticket.is_some_and(|ticket| ticket.allowed.at_most_once),
            shared,
        };
        // A read that ended meanwhile may have been the last one of the table, and then nothing holds its claim.
        is_this(&counted.shared).ok_or_else(gone)?;
        Ok(Some(counted))
    }
}

impl Store {
    /// The reader of a read that is to be confirmed has what it wants: the read is used when this returns. `until` is the
    /// end of its ticket. It may be asked for again, for as long as a read has for its next part. Blocking.
    ///
    /// # Errors
    /// `read_given_back`; `ticket_in_use` while it is being confirmed; `table_not_found`; those of a commit, and then it can
    /// be confirmed again.
    pub fn confirm_read(&self, name: &TableName, id: TableId, read: ReadId, until: Timestamp) -> Result<()> {
        let shared = self.shared_handle();
        let table = shared.index.live(name, shared.uptime.now()).map(|table| table.content());
        let table = table.filter(|content| content.id == id).ok_or_else(|| table_not_found(name))?;
        let durability = table.durability;
        drop(table);
        if shared.counts.confirm(read, name, shared.uptime.now())? {
            commit(&shared, durability, name, read, Step::End, until)?;
        }
        Ok(())
    }
}

fn commit(
    shared: &Shared,
    durability: Durability,
    table: &TableName,
    read: ReadId,
    step: Step,
    until: Timestamp,
) -> Result<()> {
    let request = CountRequest { counts: shared.counts.clone(), read, step, table: table.clone(), until };
    let (reply, answer) = channel();
    shared.submit(durability, Job::Count(request, reply));
    answer.recv().unwrap_or_else(|_| Err(shared.closed()))
}

impl CountedRead {
    /// Whether [`begin`](Self::begin) has to wait for a commit.
    pub fn is_to_burn(&self) -> bool {
        self.is_to_burn
    }

    /// To be called before the first row leaves. Blocking.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`, `commit_unknown`, `shutting_down`.
    pub fn begin(&mut self) -> Result<()> {
        if self.is_to_burn {
            self.commit(Step::Burn)?;
            self.is_to_burn = false;
        }
        Ok(())
    }

    /// The rows before this position were handed over.
    pub fn handed_over(&mut self, position: u64) {
        self.handed.end = position;
    }

    /// The stream is at its end. Where the read is, too, it is used when this returns. Blocking.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); then the read is not used, and its last part can be read again.
    pub fn end(mut self) -> Result<()> {
        let delivered = self.handed;
        self.handed.end = delivered.start;
        if self.shared.counts.deliver(self.read, delivered) {
            self.commit(Step::End)?;
        }
        Ok(())
    }

    fn commit(&self, step: Step) -> Result<()> {
        commit(&self.shared, self.durability, &self.table, self.read, step, self.until)
    }
}

impl Drop for CountedRead {
    fn drop(&mut self) {
        let broken = Broken { handed: self.handed, end: self.rows_end };
        self.shared.counts.leave(self.read, broken, self.shared.uptime.now());
    }
}
