//! Works out what puts, drops, merges and ends of tables do, before anything is kept.
//!
//! A plan takes requests in order, each seeing what the ones before it will have done. A request that cannot be done
//! fails alone and leaves no trace in the plan. The plan is then committed as one transaction and published at one
//! moment, or abandoned.

mod contents;
mod counting;
mod keys;
mod refusals;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use airlane_model::{
    Chance, Durability, Happening, PutMode, Receipt, Result, RetentionChange, RetentionDefaults, SegmentId, TableId,
    TableInfo, TableName, codes,
};

use crate::catalog::{Change, Place};
use crate::content::{Content, HistoryStep};
use crate::counts::{Counting, Counts};
use crate::expiry::{Deadlines, ExpiryReason};
use crate::index::{Index, table_not_found};
use crate::request::{MergeRequest, PutRequest};
use crate::shared::Shared;
use crate::slot::{Origin, SegmentRef};
use crate::sweeper::Sweep;
use crate::uptime::Moment;
use contents::oldest_kept;
pub(crate) use keys::PlannedPut;
use refusals::raced;
pub(crate) use refusals::{durability_conflict, schema_mismatch};
pub(crate) use rows::RowsGone;

/// What a plan needs from its store.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) index: &'a Index,
    pub(crate) chance: &'a dyn Chance,
    pub(crate) origin: Option<&'a Arc<Origin>>,
    pub(crate) now: Moment,
    pub(crate) retention: &'a RetentionDefaults,
    pub(crate) deadlines: &'a Deadlines,
    pub(crate) counts: &'a Counts,
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
    expired: Vec<(TableName, TableId, ExpiryReason)>,
    rows_gone: Vec<RowsGone>,
    counting: Counting,
    told: Vec<(TableName, TableId, Happening)>,
}

/// A table as it will be; without content it is dropped.
#[derive(Default)]
struct Planned {
    content: Option<Arc<Content>>,
    step: HistoryStep,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(context: Context<'a>) -> Self {
        let (tables, changes, superseded, reserved, expired, rows_gone, counting, told) = Default::default();
        Self { context, tables, changes, superseded, reserved, expired, rows_gone, counting, told }
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Plans a put.
    pub(crate) fn put(&mut self, mut request: PutRequest) -> Result<PlannedPut> {
        let (rows_put, key) = (request.rows, request.key.take());
        if let Some(key) = &key
            && let Some(repeated) = self.repeated(key, &request.table)?
        {
            return Ok(repeated);
        }
        let mut current = self.current(&request.table)?;
        current.as_ref().map_or(Ok(()), |content| content.check_facts())?;
        // Nobody sees the old content any more, so the put must not add to it.
        if current.as_ref().is_some_and(|content| self.end_if_due(content)) {
            current = None;
        }
        let mode = request.mode;
        let content = match current {
            None => self.create(request)?,
            Some(current) => match request.mode {
                PutMode::Replace => self.replace(&current, request)?,
                PutMode::Append => self.append(&current, request)?,
            },
        };
        let info = content.info();
        let receipt = Receipt {
            table: info.table,
            table_id: info.table_id,
            version: info.version,
            rows: info.rows,
            bytes: info.bytes,
            rows_put,
            durability: info.durability,
            ticket: info.ticket,
            contract: None,
        };
        let Receipt { version, rows, bytes, durability, .. } = receipt;
        let committed = Happening::Committed { version, rows, rows_put, bytes, mode, durability };
        self.told.push((receipt.table.clone(), receipt.table_id, committed));
        if let Some(key) = key {
            self.keep_key(*key, &receipt);
        }
        Ok(PlannedPut::New(receipt))
    }

    /// Plans a drop of the table that had this id when the drop was asked for.
    pub(crate) fn drop_table(&mut self, name: &TableName, id: TableId) -> Result<TableInfo> {
        let current = self.current(name)?.filter(|content| content.id == id);
        let current = current.ok_or_else(|| table_not_found(name))?;
        self.take_out(&current);
        self.told.push((current.table.clone(), current.id, Happening::Dropped));
        Ok(current.info())
    }

    /// Plans the end of a table that has expired, or of its rows that have; `false` when nothing has, or is gone.
    pub(crate) fn expire(&mut self, name: &TableName, id: TableId) -> bool {
        // One that was made anew with another durability is not meant.
        let current = self.current(name).ok().flatten().filter(|content| content.id == id);
        current.is_some_and(|content| self.end_if_due(&content) || self.forget_old_rows(&content))
    }

    /// Plans another retention.
    pub(crate) fn set_retention(&mut self, name: &TableName, change: RetentionChange) -> Result<TableInfo> {
        let current = self.current(name)?.filter(|content| self.due(content).is_none());
        let current = current.ok_or_else(|| table_not_found(name))?;
        current.check_facts()?;
        let retention = change.apply(current.retention);
        if retention == current.retention || self.end_if_read_up(&current, &retention) {
            return Ok(current.info());
        }
        let keep_from = oldest_kept(current.version.version, &retention);
        self.changes.push(Change::SetRetention { table: current.id, retention, keep_from });
        let step = HistoryStep { keep_from: Some(keep_from), ..HistoryStep::default() };
        Ok(self.keep(Content { retention, ..Content::clone(&current) }, Some(step)).info())
    }

    /// Plans to save how long the store has been open.
    pub(crate) fn save_uptime(&mut self) {
        self.changes.push(Change::SaveUptime { uptime: self.context.now.uptime });
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
        let newest = run.iter().map(SegmentRef::uptime).max().unwrap_or_default();
        let (new, fresh) = self.take(&request.table, request.new, newest);
        let mut content = Content::clone(&current);
        self.superseded.extend(content.segments.splice(range, fresh));
        content.version.bytes = content.received_bytes();
        self.context.shared.ledger.plan_always(content.durability, &current, Some(&content));
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

    /// Whether bytes of what goes are in the catalog.
    pub(crate) fn erases_bodies(&self) -> bool {
        self.erases() && self.superseded.iter().any(|segment| segment.facts().place == Place::Catalog)
    }

    /// What happens to tables, but for what expires.
    pub(crate) fn take_told(&mut self) -> Vec<(TableName, TableId, Happening)> {
        std::mem::take(&mut self.told)
    }

    /// The tables that end since they have expired.
    pub(crate) fn take_expired(&mut self) -> Vec<(TableName, TableId, ExpiryReason)> {
        std::mem::take(&mut self.expired)
    }

    /// Whether a table is dropped, or rows of one go.
    pub(crate) fn erases(&self) -> bool {
        self.changes.iter().any(Change::erases)
    }

    /// Makes the plan visible. What it leaves behind is for the sweeper.
    pub(crate) fn publish(mut self) -> Sweep {
        self.note_keys(&self.context.shared.keys);
        let tables = std::mem::take(&mut self.tables);
        let kept: Vec<Arc<Content>> = tables.values().filter_map(|planned| planned.content.clone()).collect();
        let tables = tables.into_iter().map(|(name, planned)| (name, planned.content, planned.step));
        let contents = self.context.index.publish(tables, &self.context.shared.memory.budget);
        self.context.shared.ledger.publish(self.context.durability);
        self.reserved.clear();
        self.set_deadlines(&kept);
        let counting = std::mem::take(&mut self.counting);
        self.context.counts.publish(counting, self.context.durability, self.context.now.uptime);
        let superseded = std::mem::take(&mut self.superseded);
        let frames = self.context.shared.memory.frames.forget(&superseded);
        let frees_memory = self.context.durability == Durability::Ephemeral && self.erases();
        Sweep { segments: superseded, contents, frames, frees_memory }
    }

    /// Reads since the commit make a deadline later; that is found out when it comes.
    fn set_deadlines(&self, kept: &[Arc<Content>]) {
        for change in &self.changes {
            if let Change::DropTable { table } = change {
                self.context.deadlines.forget(*table);
                self.context.counts.forget_table(*table);
            }
        }
        for content in kept {
            if let Some(due) = content.due(content.version.uptime) {
                self.context.deadlines.watch(content.id, &content.table, content.durability, due);
            }
        }
    }

    /// Takes out a table that has expired; tells whether it has.
    fn end_if_due(&mut self, content: &Content) -> bool {
        let Some(reason) = self.due(content) else { return false };
        self.take_out(content);
        self.expired.push((content.table.clone(), content.id, reason));
        true
    }

    /// Why a table has expired, if it has. What this plan has changed has not.
    fn due(&self, content: &Content) -> Option<ExpiryReason> {
        if self.tables.contains_key(&content.table) {
            return None;
        }
        self.context.index.get(&content.table)?.expired(self.context.now.uptime)
    }

    fn take_out(&mut self, content: &Content) {
        self.context.shared.ledger.plan_always(self.context.durability, content, None);
        self.changes.push(Change::DropTable { table: content.id });
        self.superseded.extend(content.segments.iter().cloned());
        self.tables.insert(content.table.clone(), Planned::default());
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
}

impl Drop for Plan<'_> {
    fn drop(&mut self) {
        self.context.shared.ledger.forget(self.context.durability);
        if !self.reserved.is_empty() {
            self.context.index.release(self.reserved.iter());
        }
    }
}
