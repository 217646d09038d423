//! What a table holds, in memory.
//!
//! A [`Content`] never changes: a put, a merge or a drop makes another one and swaps it in, so that a reader keeps
//! what it opened. Appends only add rows, so each version since the last replace is the first rows of the content, and
//! the history (version → rows) is all it takes to read an older one. When first rows [go](crate::window), all versions
//! that had them go too, and the history begins anew with the rest.

use std::collections::VecDeque;
use std::sync::Arc;

use airlane_model::figures::TableFigures;
use airlane_model::{
    Durability, Error, Result, Retention, TableId, TableInfo, TableName, Ticket, Timestamp, Version, codes,
};
use airlane_segment::{Charge, MemoryBudget, TableSchema};
use parking_lot::RwLock;

use crate::catalog::{StoredDictionary, StoredVersion};
use crate::expiry::{Expiry, ExpiryReason};
use crate::facts::{self, OwnFacts};
use crate::reads::{Reading, Reads};
use crate::slot::SegmentRef;
use crate::uptime::{Moment, Uptime, UptimeClock};

/// Versions of a table that can be read, at most; the oldest are forgotten first.
pub(crate) const VERSIONS_KEPT_MAX: u64 = 100_000;

/// One content of a table.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) table: TableName,
    pub(crate) id: TableId,
    pub(crate) created: Timestamp,
    /// Who put all of it; appends do not change that.
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) durability: Durability,
    pub(crate) retention: Retention,
    pub(crate) schema: TableSchema,
    pub(crate) version: StoredVersion,
    pub(crate) segments: Vec<SegmentRef>,
    /// Why the catalog's facts, and so all of this, cannot be trusted. Such a table can be dropped, and that is all.
    pub(crate) damage: Option<String>,
    pub(crate) facts: OwnFacts,
}

impl Content {
    /// Whether something of it is known to be damaged: its facts or a segment.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_some() || self.segments.iter().any(SegmentRef::is_damaged)
    }

    /// Has what it takes on its own counted, now that it is complete, and its schema where nobody has had it counted before.
    pub(crate) fn charge(&mut self, budget: &MemoryBudget) {
        self.schema.charge(budget);
        self.facts = OwnFacts::charge(budget, self.segments.len());
    }

    /// Refuses a table whose facts are damaged.
    pub(crate) fn check_facts(&self) -> Result<()> {
        let Some(reason) = &self.damage else { return Ok(()) };
        let table = &self.table;
        Err(Error::new(codes::DATA_DAMAGED, format!("the catalog's entry of table `{table}` is damaged: {reason}"))
            .at(format!("table `{table}`"))
            .hint("drop the table and put it again, or restore the data folder from a backup"))
    }

    /// When the table expires, if it was last read then. What damaged facts say ends no table.
    pub(crate) fn expiry(&self, read: Uptime) -> Option<Expiry> {
        let Retention { ttl, idle, pinned, .. } = self.retention;
        if pinned || self.damage.is_some() {
            return None;
        }
        let committed = self.version.uptime;
        let after = |from: Uptime, span: airlane_model::TimeSpan, reason| Expiry {
            at: from.saturating_add(span.as_duration()),
            reason,
        };
        let ttl = ttl.map(|ttl| after(committed, ttl, ExpiryReason::Ttl));
        let idle = idle.map(|idle| after(committed.max(read), idle, ExpiryReason::Idle));
        ttl.into_iter().chain(idle).min_by_key(|expiry| expiry.at)
    }

    /// When something of it goes next: all of it, or its first rows.
    pub(crate) fn due(&self, read: Uptime) -> Option<Uptime> {
        self.expiry(read).map(|expiry| expiry.at).into_iter().chain(self.rows_due()).min()
    }

    /// What a reader of the current version receives. Merging changes it, and nothing else of a version.
    pub(crate) fn received_bytes(&self) -> u64 {
        let mut reader = ReaderDictionaries::default();
        self.segments.iter().map(|segment| reader.bytes_of(segment)).sum()
    }

    pub(crate) fn info(&self) -> TableInfo {
        self.info_of(self.version, self.segments.len())
    }

    fn info_of(&self, version: StoredVersion, segments: usize) -> TableInfo {
        TableInfo {
            table: self.table.clone(),
            table_id: self.id,
            version: version.version,
            rows: version.rows,
            bytes: version.bytes,
            segments: segments as u64,
            durability: self.durability,
            created: self.created,
            committed: version.committed,
            retention: self.retention,
            expires: None,
            owner: None,
            ticket: Ticket::version(self.table.clone(), version.version).to_string(),
        }
    }
}

/// The dictionaries that a reader of some segments, one after another, has: what need not be sent again.
#[derive(Clone, Debug, Default)]
pub struct ReaderDictionaries {
    /// The hash of the one under each id.
    hashes: Vec<u64>,
}

impl ReaderDictionaries {
    /// Takes note of the dictionaries of the next segment. Gives the bytes of those that the reader does not have.
    pub fn take(&mut self, dictionaries: &[StoredDictionary]) -> u64 {
        let mut bytes = 0;
        for (id, dictionary) in dictionaries.iter().enumerate() {
            match self.hashes.get_mut(id) {
                Some(hash) if *hash == dictionary.hash => {}
                Some(hash) => {
                    *hash = dictionary.hash;
                    bytes += dictionary.bytes;
                }
                None => {
                    self.hashes.push(dictionary.hash);
                    bytes += dictionary.bytes;
                }
            }
        }
        bytes
    }

    /// What the reader receives of the next segment: its batches, and the dictionaries that it does not have.
    pub fn bytes_of(&mut self, segment: &SegmentRef) -> u64 {
        let all: u64 = segment.dictionaries().iter().map(|dictionary| dictionary.bytes).sum();
        let batches = segment.payload_bytes().saturating_sub(all);
        // A segment without rows sends nothing.
        if segment.rows() == 0 { 0 } else { batches + self.take(segment.dictionaries()) }
    }
}

/// A table of the store.
#[derive(Debug)]
pub(crate) struct Table {
    state: RwLock<State>,
    reads: Arc<Reads>,
}

#[derive(Debug)]
struct State {
    content: Arc<Content>,
    history: VecDeque<StoredVersion>,
    charge: Charge,
}

impl State {
    /// Has what the table takes counted anew.
    fn count(&mut self) {
        let content = &self.content;
        self.charge.overdraw_to(facts::table_bytes(&content.table, content.durability, self.history.len()));
    }
}

/// What becomes of the history of a table when its next content is published.
#[derive(Debug, Default)]
pub(crate) struct HistoryStep {
    /// The versions before are forgotten.
    pub(crate) restart: bool,
    /// The versions that are new.
    pub(crate) versions: Vec<StoredVersion>,
    /// Versions before this one are forgotten.
    pub(crate) keep_from: Option<Version>,
}

impl Table {
    /// A table that was last read, or its store opened, at `read`.
    pub(crate) fn new(
        content: Arc<Content>,
        history: impl IntoIterator<Item = StoredVersion>,
        read: Uptime,
        budget: &MemoryBudget,
    ) -> Self {
        let mut state = State { content, history: history.into_iter().collect(), charge: facts::table(budget) };
        state.count();
        let state = RwLock::new(state);
        Self { state, reads: Reads::new(read) }
    }

    pub(crate) fn content(&self) -> Arc<Content> {
        self.state.read().content.clone()
    }

    /// Swaps the content; the one before is handed back, since dropping it may unmap a lot.
    pub(crate) fn publish(&self, content: Arc<Content>, step: HistoryStep) -> Arc<Content> {
        let mut state = self.state.write();
        if step.restart {
            state.history.clear();
        }
        state.history.extend(step.versions);
        if let Some(keep_from) = step.keep_from {
            let forgotten = state.history.partition_point(|stored| stored.version < keep_from);
            state.history.drain(..forgotten);
        }
        let before = std::mem::replace(&mut state.content, content);
        state.count();
        before
    }

    /// When it was last read or committed.
    pub(crate) fn last_used(&self, now: Uptime) -> Uptime {
        self.content().version.uptime.max(self.reads.last(now))
    }

    /// When and why the table goes, as things stand.
    pub(crate) fn expiry(&self, now: Uptime) -> Option<Expiry> {
        let content = self.content();
        // Most tables never go, and who reads them is of no interest.
        if content.retention.is_none() { None } else { content.expiry(self.reads.last(now)) }
    }

    /// When the table goes, or its first rows do, as things stand.
    pub(crate) fn due(&self, now: Uptime) -> Option<Uptime> {
        let content = self.content();
        if content.retention.is_none() { None } else { content.due(self.reads.last(now)) }
    }

    /// Why the table is gone, if it is.
    pub(crate) fn expired(&self, now: Uptime) -> Option<ExpiryReason> {
        self.expiry(now).filter(|expiry| expiry.at <= now).map(|expiry| expiry.reason)
    }

    pub(crate) fn is_expired(&self, now: Uptime) -> bool {
        self.expired(now).is_some()
    }

    /// The current version, as listing shows it.
    pub(crate) fn info(&self, now: Moment) -> TableInfo {
        TableInfo { expires: self.expires(now), ..self.content().info() }
    }

    /// The same, with its reads.
    pub(crate) fn figures(&self, now: Moment) -> TableFigures {
        let (reads_open, reads) = self.reads.counts();
        TableFigures { info: self.info(now), reads_open, reads }
    }

    fn expires(&self, now: Moment) -> Option<Timestamp> {
        self.expiry(now.uptime).map(|expiry| now.wall_at(expiry.at))
    }

    pub(crate) fn snapshot(&self, version: Option<Version>, now: Moment) -> Result<Snapshot> {
        let (expires, reads) = (self.expires(now), self.reads.clone());
        let state = self.state.read();
        let current = state.content.version.version;
        let Some(version) = version.filter(|version| *version != current) else {
            return Ok(Snapshot::new(state.content.clone(), None, expires, reads));
        };
        match state.history.binary_search_by_key(&version, |stored| stored.version) {
            Ok(index) => Ok(Snapshot::new(state.content.clone(), state.history.get(index).copied(), expires, reads)),
            Err(_) => Err(version_not_found(&state.content, version, state.history.front())),
        }
    }

    /// The versions that can be read, oldest first.
    pub(crate) fn history(&self) -> Vec<StoredVersion> {
        self.state.read().history.iter().copied().collect()
    }
}

/// One version of a table, pinned: replacing, merging or dropping the table changes nothing for its holder.
#[derive(Clone, Debug)]
pub struct Snapshot {
    content: Arc<Content>,
    info: TableInfo,
    reads: Arc<Reads>,
    _reading: Option<Arc<Reading>>,
}

impl Snapshot {
    /// The current version of a content, or an older one of its history.
    fn new(content: Arc<Content>, older: Option<StoredVersion>, expires: Option<Timestamp>, reads: Arc<Reads>) -> Self {
        let Some(version) = older else {
            let info = TableInfo { expires, ..content.info() };
            return Self { content, info, reads, _reading: None };
        };
        let mut rows = 0;
        let ends = content.segments.iter().map(|segment| {
            rows += segment.rows();
            rows
        });
        let full = ends.take_while(|end| *end < version.rows).count();
        let segments = (full + 1).min(content.segments.len());
        let info = TableInfo { expires, ..content.info_of(version, segments) };
        Self { content, info, reads, _reading: None }
    }

    /// The same, counted as read for as long as it is held.
    pub(crate) fn begin_read(self, clock: &UptimeClock) -> Self {
        let reading = Reading::begin(self.reads.clone(), clock.clone());
        Self { _reading: Some(Arc::new(reading)), ..self }
    }

    /// The same, not counted as read.
    #[must_use]
    pub fn end_read(self) -> Self {
        Self { _reading: None, ..self }
    }

    /// The table as it was (version, rows and bytes are this snapshot's).
    pub fn info(&self) -> &TableInfo {
        &self.info
    }

    /// Whose the table is: the caller who put its whole content. Only the table's own caller, and who looks after the server, are to know.
    pub fn owner(&self) -> Option<&str> {
        self.content.owner.as_deref()
    }

    /// The schema.
    pub fn schema(&self) -> &TableSchema {
        &self.content.schema
    }

    /// The segments in order. Only the first `info().rows` rows of them all belong to the version.
    pub fn segments(&self) -> &[SegmentRef] {
        let count = usize::try_from(self.info.segments).unwrap_or(usize::MAX).min(self.content.segments.len());
        &self.content.segments[..count]
    }
}

fn version_not_found(content: &Content, version: Version, oldest: Option<&StoredVersion>) -> Error {
    let (table, current) = (&content.table, content.version.version);
    let message = format!("table `{table}` has no version {version}");
    let hint = match oldest {
        Some(oldest) if oldest.version < current => {
            format!("versions {} to {current} can be read; the current one is `{table}@{current}`", oldest.version)
        }
        _ => format!("the current version is `{table}@{current}`"),
    };
    Error::new(codes::VERSION_NOT_FOUND, message).at(format!("table `{table}`")).hint(hint)
}
