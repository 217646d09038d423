//! What puts make of tables: new ones, new contents, longer contents.
//!
//! All that can refuse a put is asked before the first change is planned, and the quota last: it notes what it lets pass.

use std::sync::Arc;

use airlane_model::{Error, Result, Retention, TableId, TableName, Version, codes};

use super::Plan;
use super::refusals::{raced, schema_mismatch};
use crate::catalog::{Change, NewSegment, StoredVersion};
use crate::content::{Content, HistoryStep, VERSIONS_KEPT_MAX};
use crate::facts::OwnFacts;
use crate::request::{PutRequest, Written};
use crate::slot::SegmentRef;
use crate::uptime::{Moment, Uptime};

impl Plan<'_> {
    pub(super) fn create(&mut self, request: PutRequest) -> Result<Arc<Content>> {
        let PutRequest { table, caller: owner, retention: change, schema, rows, segments, .. } = request;
        let (id, created) = (TableId::random(self.context.chance), self.context.now.wall);
        let retention = change.apply(self.context.retention.of(&table));
        let mut content = Content {
            table: table.clone(),
            id,
            created,
            owner,
            durability: self.context.durability,
            retention,
            schema,
            version: self.version(Version::FIRST, rows),
            segments: Vec::new(),
            damage: None,
            facts: OwnFacts::default(),
        };
        let new = self.lay_in(&mut content, segments);
        // A table that this plan drops keeps its entry, and with it the name, until the plan is published.
        let is_new = !self.tables.contains_key(&table);
        if is_new && !self.context.index.reserve(&table) {
            return Err(raced(&table));
        }
        if let Err(error) = self.charge(None, &content, true) {
            if is_new {
                self.context.index.release(std::iter::once(&table));
            }
            return Err(error);
        }
        if is_new {
            self.reserved.push(table.clone());
        }
        self.changes.push(Change::CreateTable { id, name: table, created });
        self.retain(id, Retention::default(), retention);
        Ok(self.begin_anew(content, new))
    }

    pub(super) fn replace(&mut self, current: &Content, request: PutRequest) -> Result<Arc<Content>> {
        let mut content = Content {
            owner: request.caller,
            retention: request.retention.apply(current.retention),
            schema: request.schema,
            version: self.version(current.version.version.next(), request.rows),
            segments: Vec::new(),
            ..current.clone()
        };
        let new = self.lay_in(&mut content, request.segments);
        self.charge(Some(current), &content, true)?;
        self.superseded.extend(current.segments.iter().cloned());
        self.retain(current.id, current.retention, content.retention);
        Ok(self.begin_anew(content, new))
    }

    pub(super) fn append(&mut self, current: &Content, request: PutRequest) -> Result<Arc<Content>> {
        current.schema.accept(&request.schema).map_err(|error| schema_mismatch(&request.table, &error))?;
        let rows = current.version.rows.checked_add(request.rows).ok_or_else(|| {
            Error::new(codes::LIMIT_EXCEEDED, format!("table `{}` has too many rows to append to", request.table))
        })?;
        let number = current.version.version.next();
        let mut segments = request.segments;
        segments.retain(|segment| segment.new.facts.rows > 0);
        let (new, fresh) = self.take(&request.table, segments, self.context.now.uptime);
        let mut content = current.clone();
        content.retention = request.retention.apply(current.retention);
        content.segments.extend(fresh);
        content.version = self.version(number, rows);
        content.version.bytes = content.received_bytes();
        let is_owners = request.caller == current.owner;
        self.charge(Some(current), &content, is_owners)?;
        self.retain(current.id, current.retention, content.retention);
        let keep_from = oldest_kept(number, &content.retention);
        self.changes.push(Change::AppendContent {
            table: content.id,
            version: content.version,
            segments: new,
            keep_from,
        });
        let step = HistoryStep { restart: false, versions: vec![content.version], keep_from: Some(keep_from) };
        Ok(self.keep(content, Some(step)))
    }

    /// Counts a put against the quotas of its namespace and of the owner of its table, who may be somebody else.
    fn charge(&self, before: Option<&Content>, after: &Content, is_owners: bool) -> Result<()> {
        self.context.shared.ledger.plan_put(self.context.durability, before, after, is_owners)
    }

    /// Gives a content its only segments.
    fn lay_in(&self, content: &mut Content, segments: Vec<Written>) -> Vec<NewSegment> {
        let (new, fresh) = self.take(&content.table, segments, self.context.now.uptime);
        content.segments = fresh;
        content.version.bytes = content.received_bytes();
        new
    }

    /// Plans a content that has nothing of the one before.
    fn begin_anew(&mut self, content: Content, segments: Vec<NewSegment>) -> Arc<Content> {
        let (table, schema) = (content.id, content.schema.message().clone());
        self.changes.push(Change::ReplaceContent {
            table,
            owner: content.owner.clone(),
            schema,
            version: content.version,
            segments,
        });
        let step = HistoryStep { restart: true, versions: vec![content.version], keep_from: None };
        self.keep(content, Some(step))
    }

    /// Plans the retention that a put brings, where it is another one. Which versions go is for the put.
    fn retain(&mut self, table: TableId, before: Retention, retention: Retention) {
        if retention != before {
            self.changes.push(Change::SetRetention { table, retention, keep_from: Version::FIRST });
        }
    }

    fn version(&self, version: Version, rows: u64) -> StoredVersion {
        let Moment { wall: committed, uptime } = self.context.now;
        StoredVersion { version, rows, bytes: 0, committed, uptime, put: version }
    }

    /// Takes in segments whose newest row was put at `put`.
    pub(super) fn take(
        &self,
        table: &TableName,
        segments: Vec<Written>,
        put: Uptime,
    ) -> (Vec<NewSegment>, Vec<SegmentRef>) {
        let (origin, budget) = (self.context.origin, &self.context.shared.memory.budget);
        let refer = |mut written: Written| {
            written.new.facts.uptime = put;
            // That of an append need not be the table's.
            written.segment.schema().charge(budget);
            let fresh =
                SegmentRef::written(table.clone(), written.new.facts.clone(), written.segment, origin.cloned(), budget);
            (written.new, fresh)
        };
        segments.into_iter().map(refer).unzip()
    }

    pub(super) fn keep(&mut self, mut content: Content, step: Option<HistoryStep>) -> Arc<Content> {
        content.charge(&self.context.shared.memory.budget);
        let content = Arc::new(content);
        let planned = self.tables.entry(content.table.clone()).or_default();
        planned.content = Some(content.clone());
        if let Some(step) = step {
            if step.restart {
                planned.step = step;
            } else {
                planned.step.versions.extend(step.versions);
                planned.step.keep_from = planned.step.keep_from.max(step.keep_from);
            }
        }
        content
    }
}

/// The oldest version that can be read beside this one.
pub(super) fn oldest_kept(current: Version, retention: &Retention) -> Version {
    let kept = retention.versions.map_or(VERSIONS_KEPT_MAX, |versions| versions.get().min(VERSIONS_KEPT_MAX));
    Version::new(current.get().saturating_sub(kept - 1)).unwrap_or(Version::FIRST)
}
