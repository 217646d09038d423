//! Works out what puts, drops and merges do, before anything is kept.
//!
//! A plan takes requests in order, each seeing what the ones before it will have done. A request that cannot be done
//! fails alone and leaves no trace in the plan. The plan is then committed as one transaction and published at one
//! moment, or abandoned.

use std::collections::BTreeMap;
use std::sync::Arc;

use airlane_model::{
    Chance, Durability, Error, PutMode, Receipt, Result, SegmentId, TableId, TableInfo, TableName, Timestamp, Version,
    codes,
};

use crate::catalog::{Change, NewSegment, Place, StoredVersion};
use crate::content::{Content, HistoryStep, VERSIONS_KEPT_MAX};
use crate::index::{Index, table_not_found};
use crate::request::{MergeRequest, PutRequest, Written};
use crate::slot::{Origin, SegmentRef};
use crate::sweeper::Sweep;

/// What a plan needs from its store.
pub(crate) struct Context<'a> {
    pub(crate) index: &'a Index,
    pub(crate) chance: &'a dyn Chance,
    pub(crate) origin: Option<&'a Arc<Origin>>,
    pub(crate) now: Timestamp,
    /// All tables of a plan have this durability.
    pub(crate) durability: Durability,
}

/// What the requests taken so far do.
pub(crate) struct Plan<'a> {
    context: Context<'a>,
    tables: BTreeMap<TableName, Planned>,
    changes: Vec<Change>,
    superseded: Vec<SegmentRef>,
    reserved: Vec<TableName>,
}

/// A table as it will be; without content it is dropped.
#[derive(Default)]
struct Planned {
    content: Option<Arc<Content>>,
    step: HistoryStep,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(context: Context<'a>) -> Self {
        let (tables, changes, superseded, reserved) = Default::default();
        Self { context, tables, changes, superseded, reserved }
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Plans a put.
    pub(crate) fn put(&mut self, request: PutRequest) -> Result<Receipt> {
        let rows_put = request.rows;
        let current = self.current(&request.table)?;
        current.as_ref().map_or(Ok(()), |content| content.check_facts())?;
        let content = match current {
            None => self.create(request)?,
            Some(current) => match request.mode {
                PutMode::Replace => self.replace(&current, request)?,
                PutMode::Append => self.append(&current, request)?,
            },
        };
        let info = content.info();
        Ok(Receipt {
            table: info.table,
            table_id: info.table_id,
            version: info.version,
            rows: info.rows,
            bytes: info.bytes,
            rows_put,
            durability: info.durability,
            ticket: info.ticket,
        })
    }

    /// Plans a drop of the table that had this id when the drop was asked for.
    pub(crate) fn drop_table(&mut self, name: &TableName, id: TableId) -> Result<TableInfo> {
        let current = self.current(name)?.filter(|content| content.id == id);
        let current = current.ok_or_else(|| table_not_found(name))?;
        self.changes.push(Change::DropTable { table: id });
        self.superseded.extend(current.segments.iter().cloned());
        self.tables.insert(name.clone(), Planned::default());
        Ok(current.info())
    }

    /// Plans a merge; `false` when the segments are no longer those of the table.
    pub(crate) fn merge(&mut self, request: MergeRequest) -> Result<bool> {
        let current = self.current(&request.table)?.filter(|content| content.id == request.id);
        let Some(current) = current else { return Ok(false) };
        let ids: Vec<SegmentId> = request.old.iter().map(SegmentRef::id).collect();
        let start = current.segments.iter().position(|segment| Some(&segment.id()) == ids.first());
        let Some(range) = start.map(|start| start..start + ids.len()) else { return Ok(false) };
        let run = current.segments.get(range.clone()).unwrap_or_default();
        if !run.iter().map(SegmentRef::id).eq(ids.iter().copied()) {
            return Ok(false);
        }
        let (new, fresh) = self.take(&request.table, request.new);
        let mut content = Content::clone(&current);
        self.superseded.extend(content.segments.splice(range, fresh));
        content.version.bytes = content.received_bytes();
        self.changes.push(Change::ReplaceSegments { table: content.id, old: ids, new });
        self.keep(content, None);
        Ok(true)
    }

    /// Opens the segments whose bytes the commit takes out of the catalog: a reader may hold them, or come to hold
    /// them before the commit is published. They are small and, being merged, few.
    ///
    /// # Errors
    /// `storage_failed` when one cannot be read now. A damaged one is no loss for its readers.
    pub(crate) fn pin(&self) -> Result<()> {
        let bodies = self.superseded.iter().filter(|segment| segment.facts().place == Place::Catalog);
        for segment in bodies {
            match segment.open() {
                Err(error) if error.code() != codes::DATA_DAMAGED => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether bytes of a dropped table are in the catalog.
    pub(crate) fn drops_bodies(&self) -> bool {
        self.drops() && self.superseded.iter().any(|segment| segment.facts().place == Place::Catalog)
    }

    fn drops(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::DropTable { .. }))
    }

    /// Makes the plan visible. What it leaves behind is for the sweeper.
    pub(crate) fn publish(mut self) -> Sweep {
        let tables = std::mem::take(&mut self.tables).into_iter();
        let contents = self.context.index.publish(tables.map(|(name, planned)| (name, planned.content, planned.step)));
        self.reserved.clear();
        let frees_memory = self.context.durability == Durability::Ephemeral && self.drops();
        Sweep { segments: std::mem::take(&mut self.superseded), contents, frees_memory }
    }

    fn current(&self, name: &TableName) -> Result<Option<Arc<Content>>> {
        if let Some(planned) = self.tables.get(name) {
            return Ok(planned.content.clone());
        }
        let asked = self.context.durability;
        match self.context.index.get(name) {
            None if self.context.index.is_reserved(name) => Err(raced(name)),
            None => Ok(None),
            Some(table) => {
                let content = table.content();
                if content.durability == asked {
                    Ok(Some(content))
                } else {
                    Err(durability_conflict(name, content.durability, asked))
                }
            }
        }
    }

    fn create(&mut self, request: PutRequest) -> Result<Arc<Content>> {
        let PutRequest { table, schema, rows, segments, .. } = request;
        // A table that this plan drops keeps its entry, and with it the name, until the plan is published.
        if !self.tables.contains_key(&table) {
            if !self.context.index.reserve(&table) {
                return Err(raced(&table));
            }
            self.reserved.push(table.clone());
        }
        let id = TableId::random(self.context.chance);
        let created = self.context.now;
        self.changes.push(Change::CreateTable { id, name: table.clone(), created });
        let content = Content {
            table,
            id,
            created,
            durability: self.context.durability,
            schema,
            version: self.version(Version::FIRST, rows),
            segments: Vec::new(),
            damage: None,
        };
        Ok(self.fill(content, segments))
    }

    fn replace(&mut self, current: &Content, request: PutRequest) -> Result<Arc<Content>> {
        self.superseded.extend(current.segments.iter().cloned());
        let content = Content {
            schema: request.schema,
            version: self.version(current.version.version.next(), request.rows),
            segments: Vec::new(),
            ..current.clone()
        };
        Ok(self.fill(content, request.segments))
    }

    fn append(&mut self, current: &Content, request: PutRequest) -> Result<Arc<Content>> {
        current.schema.accept(&request.schema).map_err(|error| schema_mismatch(&request.table, &error))?;
        let rows = current.version.rows.checked_add(request.rows).ok_or_else(|| {
            Error::new(codes::LIMIT_EXCEEDED, format!("table `{}` has too many rows to append to", request.table))
        })?;
        let number = current.version.version.next();
        let mut segments = request.segments;
        segments.retain(|segment| segment.new.facts.rows > 0);
        let (new, fresh) = self.take(&request.table, segments);
        let mut content = current.clone();
        content.segments.extend(fresh);
        content.version = self.version(number, rows);
        content.version.bytes = content.received_bytes();
        let oldest = number.get().saturating_sub(VERSIONS_KEPT_MAX - 1).max(1);
        self.changes.push(Change::AppendContent {
            table: content.id,
            version: content.version,
            segments: new,
            keep_from: Version::new(oldest).unwrap_or(Version::FIRST),
        });
        let step = HistoryStep { restart: false, versions: vec![content.version] };
        Ok(self.keep(content, Some(step)))
    }

    /// Gives a content its only segments, as a new beginning.
    fn fill(&mut self, mut content: Content, segments: Vec<Written>) -> Arc<Content> {
        let (new, fresh) = self.take(&content.table, segments);
        content.segments = fresh;
        content.version.bytes = content.received_bytes();
        self.changes.push(Change::ReplaceContent {
            table: content.id,
            schema: content.schema.message().clone(),
            version: content.version,
            segments: new,
        });
        let step = HistoryStep { restart: true, versions: vec![content.version] };
        self.keep(content, Some(step))
    }

    fn version(&self, version: Version, rows: u64) -> StoredVersion {
        StoredVersion { version, rows, bytes: 0, committed: self.context.now }
    }

    fn take(&self, table: &TableName, segments: Vec<Written>) -> (Vec<NewSegment>, Vec<SegmentRef>) {
        let origin = self.context.origin;
        let refer = |written: Written| {
            let fresh = SegmentRef::written(table.clone(), written.new.facts.clone(), written.segment, origin.cloned());
            (written.new, fresh)
        };
        segments.into_iter().map(refer).unzip()
    }

    fn keep(&mut self, content: Content, step: Option<HistoryStep>) -> Arc<Content> {
        let content = Arc::new(content);
        let planned = self.tables.entry(content.table.clone()).or_default();
        planned.content = Some(content.clone());
        if let Some(step) = step {
            if step.restart {
                planned.step = step;
            } else {
                planned.step.versions.extend(step.versions);
            }
        }
        content
    }
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        if !self.reserved.is_empty() {
            self.context.index.release(self.reserved.iter());
        }
    }
}

pub(crate) fn durability_conflict(table: &TableName, has: Durability, asked: Durability) -> Error {
    Error::new(codes::DURABILITY_CONFLICT, format!("table `{table}` is {has}, the put asks for {asked}"))
        .at(format!("table `{table}`"))
        .hint("leave the durability out, or drop the table first")
}

/// Another put of another durability creates the table at this moment.
fn raced(table: &TableName) -> Error {
    let message = format!("table `{table}` is being created with another durability");
    Error::new(codes::DURABILITY_CONFLICT, message).at(format!("table `{table}`")).hint("repeat the put")
}

pub(crate) fn schema_mismatch(table: &TableName, error: &Error) -> Error {
    let place = error.place().map_or_else(|| format!("table `{table}`"), |place| format!("table `{table}`, {place}"));
    let copy = crate::error::copy(error);
    copy.at(place)
}
