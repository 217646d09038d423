//! What a ticket lets its holder read, and how a signed one is made of another ticket.
//!
//! A signed ticket is never wider than the ticket that it was made of: fewer columns, fewer rows, a nearer end, and the
//! caller to whom it is bound stays. The rights of a caller decide when a plain ticket is signed, and not again when the
//! signed one is used.

use std::num::NonZeroU64;
use std::time::Duration;

use airlane_model::{
    Caller, Error, Pass, PlainTicket, ReadId, ReadPart, ReadsAllowed, Result, RowRange, SignedTicket, TableName,
    Ticket, TicketId, Timestamp, codes,
};
use airlane_segment::{Projection, TableSchema};
use airlane_store::{Snapshot, TicketCount};

use crate::{Exchange, access, flights};

/// How long a ticket whose reads are counted lives that asks for no time.
pub const COUNTED_TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// How long such a ticket can live: its count is kept as long.
pub const COUNTED_TTL_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a signed ticket is to let read; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketSpec {
    /// The columns, in the order in which they are to be read.
    pub columns: Option<Vec<String>>,
    /// The rows, by their positions in the version.
    pub rows: Option<RowRange>,
    /// How long it can be used.
    pub ttl: Option<Duration>,
    /// The caller who alone may use it.
    pub caller: Option<String>,
    /// How often it can be read.
    pub reads: Option<NonZeroU64>,
    /// Has a read count from its beginning on, whatever becomes of the reader.
    pub at_most_once: bool,
}

impl TicketSpec {
    /// Refuses what no ticket can be.
    fn check(&self) -> Result<()> {
        let refuse = |message: &str, hint: &str| Err(Error::new(codes::OPTION_INVALID, message).hint(hint));
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return refuse("a ticket that lives for no time is of no use", "give a `ttl` such as `10m`");
        }
        if self.reads.is_some() && self.ttl.is_some_and(|ttl| ttl > COUNTED_TTL_MAX) {
            let hint = "give a `ttl` of `7d` or less; without one it is `1h`";
            return refuse("a ticket whose reads are counted lives for 7d at most", hint);
        }
        Ok(())
    }
}

/// A ticket that was signed, and what it says.
#[derive(Clone, Debug)]
pub struct SignedPass {
    /// The ticket.
    pub ticket: SignedTicket,
    /// What it lets read.
    pub pass: Pass,
    /// Its rows.
    pub rows: u64,
    /// When nothing is read by the ticket any more, as things stand: it expires, or the table does.
    pub expires: Option<Timestamp>,
}

/// What is read by a ticket.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) snapshot: Snapshot,
    pub(crate) rows: RowRange,
    pub(crate) projection: Option<Projection>,
    /// What the ticket says, when it is a signed one.
    pub(crate) pass: Option<Pass>,
}

impl Reading {
    pub(crate) fn schema(&self) -> &TableSchema {
        self.projection.as_ref().map_or_else(|| self.snapshot.schema(), Projection::schema)
    }

    /// When nothing is read by the ticket any more, as things stand: it expires, or the table does.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        earlier(self.pass.as_ref().and_then(|pass| pass.expires), self.snapshot.info().expires)
    }

    /// Its rows, unless they are all of the version.
    fn part(&self) -> Option<RowRange> {
        let all = RowRange { start: 0, end: self.snapshot.info().rows };
        Some(self.rows).filter(|rows| *rows != all)
    }
}

impl Exchange {
    /// Signs a ticket for what another ticket names, or for a part of it. It names the version that there is now.
    ///
    /// # Errors
    /// Those of [`read`](Self::read); `option_invalid` for columns that are not there, and for a ticket that would let
    /// read more than the one that it is made of.
    pub fn sign(&self, caller: &Caller, ticket: &Ticket, spec: TicketSpec) -> Result<SignedPass> {
        spec.check()?;
        let mut reading = self.reading(caller, ticket)?;
        let now = self.store.clock().now();
        let info = reading.snapshot.info();
        let mut pass = match reading.pass.take() {
            Some(pass) => pass,
            None => Pass {
                id: TicketId::random(self.store.chance()),
                table: info.table.clone(),
                table_id: info.table_id,
                version: info.version,
                columns: None,
                rows: reading.part(),
                issued: now,
                expires: None,
                caller: None,
                reads: None,
                read: None,
            },
        };
        pass.issued = now;
        if let Some(columns) = spec.columns {
            // What is absent in the ticket that is narrowed must look as absent as anything else.
            Projection::new(reading.schema(), &columns)?;
            pass.columns = Some(columns);
        }
        if let Some(rows) = spec.rows {
            pass.rows = Some(within(rows, reading.rows)?);
        }
        if let Some(ttl) = spec.ttl {
            let expires = now.saturating_add(ttl);
            pass.expires = Some(pass.expires.map_or(expires, |earlier| earlier.min(expires)));
        }
        self.count(&mut pass, spec.reads, spec.at_most_once)?;
        if let Some(bound) = spec.caller {
            if pass.caller.as_ref().is_some_and(|caller| *caller != bound) {
                return Err(Error::new(codes::OPTION_INVALID, "the ticket is bound to another caller already")
                    .hint("leave the caller out"));
            }
            pass.caller = Some(bound);
        }
        self.keys.renew_if_old(&self.store);
        let rows = pass.rows.unwrap_or(reading.rows).rows();
        let expires = earlier(pass.expires, reading.snapshot.info().expires);
        Ok(SignedPass { ticket: self.keys.sign(&pass)?, pass, rows, expires })
    }

    /// Gives a signed ticket its time anew, from now on, where the caller may read the table by right; else it stays as
    /// it is. Plain tickets do not expire. Answers when nothing is read by the ticket any more, which no renewal puts off
    /// where it is the table that expires.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn renew(&self, caller: &Caller, ticket: &Ticket) -> Result<(Ticket, Option<Timestamp>)> {
        if matches!(ticket, Ticket::Query(_)) {
            return Ok((ticket.clone(), None));
        }
        let reading = self.reading(caller, ticket)?;
        let (table, both) = (reading.snapshot.info().expires, reading.expires());
        let Some(pass) = reading.pass else { return Ok((ticket.clone(), both)) };
        let Some(expires) = pass.expires.filter(|_| access::read(caller, &pass.table).is_ok()) else {
            return Ok((ticket.clone(), both));
        };
        let now = self.store.clock().now();
        let expires = now.saturating_add(expires.saturating_since(pass.issued));
        // Its count is kept no longer.
        let expires = pass.reads.map_or(expires, |reads| expires.min(reads.until));
        let renewed = self.keys.sign(&Pass { issued: now, expires: Some(expires), ..pass })?;
        Ok((renewed.into(), earlier(Some(expires), table)))
    }

    /// The reader of a read that was begun [so](crate::ReadOptions) has the rows: where reads are counted, it is used when
    /// this returns. Where they are not there is nothing to confirm. It may be said again. Blocking.
    ///
    /// # Errors
    /// Those of [`read`](Self::read), of which `ticket_used` only for a ticket that names no read; `read_given_back`; `ticket_in_use` while it is being confirmed;
    /// `option_invalid` for a ticket of which a read can be begun, and none is meant; those of a commit.
    pub fn confirm(&self, caller: &Caller, ticket: &Ticket) -> Result<TableName> {
        if let Ticket::Signed(signed) = ticket {
            let pass = self.held(caller, signed)?;
            if let Some(part) = pass.read {
                let until = pass.reads.map_or(Timestamp::default(), |reads| reads.until);
                self.store.confirm_read(&pass.table, pass.table_id, part.id, until)?;
                return Ok(pass.table);
            }
        }
        let reading = self.reading(caller, ticket)?;
        let info = reading.snapshot.info();
        let is_counted = info.retention.counted_reads().is_some();
        if is_counted || reading.pass.is_some_and(|pass| pass.reads.is_some()) {
            return Err(Error::new(
                codes::OPTION_INVALID,
                format!("the ticket for `{}` says of no read which it is", info.table),
            )
            .hint(
                "confirm by the ticket in the `app_metadata` of the schema, or by one of the FlightInfo that was read",
            ));
        }
        Ok(info.table.clone())
    }

    /// Has the reads of a ticket counted, or fewer of them allowed.
    fn count(&self, pass: &mut Pass, max: Option<NonZeroU64>, at_most_once: bool) -> Result<()> {
        match (&mut pass.reads, max) {
            (Some(reads), max) => {
                if let Some(wider) = max.filter(|max| *max > reads.max) {
                    let message = format!("{wider} reads are more than the {} of the ticket", reads.max);
                    return Err(Error::new(codes::OPTION_INVALID, message).hint("ask for fewer, or leave `reads` out"));
                }
                reads.max = max.unwrap_or(reads.max);
                reads.at_most_once |= at_most_once;
            }
            (None, Some(max)) => {
                let after = |time| pass.issued.saturating_add(time);
                let until = pass.expires.unwrap_or_else(|| after(COUNTED_TTL_DEFAULT)).min(after(COUNTED_TTL_MAX));
                pass.expires = Some(until);
                pass.reads = Some(ReadsAllowed { max, until, at_most_once });
                // A counter of its own: others may hold the ticket that it was made of.
                pass.id = TicketId::random(self.store.chance());
                pass.read = None;
            }
            (None, None) if at_most_once => {
                return Err(uncounted());
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Whether a caller who puts a table can be given a signed ticket for it.
    ///
    /// # Errors
    /// `option_invalid`; `table_not_found`, `credentials_missing` for callers who may not read it.
    pub fn check_signing(&self, caller: &Caller, table: &TableName, spec: &TicketSpec) -> Result<()> {
        access::read(caller, table)?;
        spec.check()?;
        if spec.at_most_once && spec.reads.is_none() {
            return Err(uncounted());
        }
        Ok(())
    }

    /// What a ticket lets a caller read.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub(crate) fn reading(&self, caller: &Caller, ticket: &Ticket) -> Result<Reading> {
        let (plain, pass) = match ticket {
            Ticket::Plain(plain) => {
                access::read(caller, &plain.table)?;
                (plain.clone(), None)
            }
            Ticket::Signed(signed) => {
                let pass = self.opened(caller, signed)?;
                (pass.plain(), Some(pass))
            }
            Ticket::Query(_) => {
                return Err(Error::new(
                    codes::OPTION_INVALID,
                    "what is asked for is there for tables, and this is a query",
                )
                .hint("read the query as a stream, or keep it as a table: CREATE TABLE name AS …"));
            }
        };
        let PlainTicket { table, version, table_id, rows } = plain;
        let snapshot = self.store.snapshot(&table, version, table_id)?;
        let rows = flights::rows_of(&snapshot, rows)?;
        let columns = pass.as_ref().and_then(|pass| pass.columns.as_deref());
        let projection = columns.map(|columns| Projection::new(snapshot.schema(), columns)).transpose()?;
        Ok(Reading { snapshot, rows, projection, pass })
    }

    /// What a signed ticket says to a caller who may use it.
    fn opened(&self, caller: &Caller, signed: &SignedTicket) -> Result<Pass> {
        let pass = self.held(caller, signed)?;
        if let Some(count) = count_of(&pass) {
            self.store.check_reads(&count, pass.read.as_ref(), &pass.table)?;
        }
        Ok(pass)
    }

    /// The same of a ticket whose reads may be used up.
    fn held(&self, caller: &Caller, signed: &SignedTicket) -> Result<Pass> {
        // A ticket of somebody else's looks like one of nobody's.
        let is_theirs = |pass: &Pass| pass.caller.as_deref().is_none_or(|bound| bound == caller.name());
        let pass = self.keys.open(signed).filter(is_theirs);
        let pass = pass.ok_or_else(|| self.refusals.answer(caller, self.store.clock().now()))?;
        caller.asks_for(&pass.table);
        if pass.expires.is_some_and(|expires| expires <= self.store.clock().now()) {
            return Err(Error::new(codes::TICKET_EXPIRED, format!("the ticket for `{}` has expired", pass.table))
                .hint("ask for a new ticket"));
        }
        Ok(pass)
    }

    /// The ticket by which a read that breaks is gone on with: it names the version, and where reads are counted this read.
    pub(crate) fn resumable(&self, reading: &mut Reading) -> Result<Ticket> {
        let part = self.read_of(reading);
        let ticket = self.part_of(reading, reading.part(), part)?;
        if let Some(pass) = &mut reading.pass {
            pass.read = part;
        }
        Ok(ticket)
    }

    /// What makes the flights of a read one read, where reads are counted.
    pub(crate) fn read_of(&self, reading: &Reading) -> Option<ReadPart> {
        let pass = reading.pass.as_ref()?;
        let is_counted = pass.reads.is_some() || reading.snapshot.info().retention.counted_reads().is_some();
        let new = || ReadPart { id: ReadId::random(self.store.chance()), rows: reading.rows };
        is_counted.then(|| pass.read.unwrap_or_else(new))
    }

    /// The ticket of some rows of a read.
    pub(crate) fn part_of(&self, reading: &Reading, rows: Option<RowRange>, part: Option<ReadPart>) -> Result<Ticket> {
        let info = reading.snapshot.info();
        match &reading.pass {
            None => Ok(Ticket::Plain(PlainTicket {
                table: info.table.clone(),
                version: Some(info.version),
                table_id: Some(info.table_id),
                rows,
            })),
            Some(pass) => Ok(self.keys.sign(&Pass { rows, read: part, ..pass.clone() })?.into()),
        }
    }
}

/// Refuses a read that counts and cannot be named, so that nothing could confirm it.
pub(crate) fn check_confirmable(reading: &Reading) -> Result<()> {
    let info = reading.snapshot.info();
    if reading.pass.is_some() || info.retention.counted_reads().is_none() {
        return Ok(());
    }
    let message = format!("reads of `{}` are counted, and a plain ticket says of no read which it is", info.table);
    Err(Error::new(codes::OPTION_INVALID, message)
        .hint("ask for a signed ticket and read by that, or leave the confirmation out"))
}

/// The first of two ends, of which there may be none.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn uncounted() -> Error {
    Error::new(codes::OPTION_INVALID, "`at_most_once` is for tickets whose reads are counted")
        .hint("say how often it can be read: `reads`")
}

/// How often a ticket can be read, if that is counted.
pub(crate) fn count_of(pass: &Pass) -> Option<TicketCount> {
    pass.reads.map(|allowed| TicketCount { id: pass.id, allowed })
}

/// A row range that must lie in another.
pub(crate) fn within(rows: RowRange, all: RowRange) -> Result<RowRange> {
    if all.start <= rows.start && rows.end <= all.end {
        return Ok(rows);
    }
    Err(Error::new(codes::ROWS_OUT_OF_RANGE, format!("row range {rows} is not all in the rows {all} of the ticket"))
        .hint(format!("ask for rows between {} and {}", all.start, all.end)))
}
