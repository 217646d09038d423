//! Names to tables, in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::ops::Bound;
use std::sync::Arc;

use airlane_model::name::NAMESPACE_DEFAULT;
use airlane_model::{Durability, Error, Result, TableName, codes};
use airlane_segment::MemoryBudget;
use parking_lot::RwLock;

use crate::content::{Content, HistoryStep, Table};
use crate::uptime::Uptime;

/// How much there is of some tables, in their current versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tables.
    pub tables: u64,
    /// Segments.
    pub segments: u64,
    /// The bodies of record batches and dictionaries.
    pub bytes: u64,
}

/// All tables of a store, durable and ephemeral.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: RwLock<BTreeMap<TableName, Entry>>,
}

#[derive(Clone, Debug)]
enum Entry {
    Table(Arc<Table>),
    /// A commit under way creates the table; nobody sees it yet, and nobody else can take the name.
    Reserved,
}

impl Index {
    pub(crate) fn insert(&self, table: Table) {
        self.entries.write().insert(table.content().table.clone(), Entry::Table(Arc::new(table)));
    }

    /// The table of this name, also one that has expired; `None` also while a first put is not committed.
    pub(crate) fn get(&self, name: &TableName) -> Option<Arc<Table>> {
        match self.entries.read().get(name)? {
            Entry::Table(table) => Some(table.clone()),
            Entry::Reserved => None,
        }
    }

    /// The table of this name, unless it has expired.
    pub(crate) fn live(&self, name: &TableName, now: Uptime) -> Option<Arc<Table>> {
        self.get(name).filter(|table| !table.is_expired(now))
    }

    /// The table of this name, if it can be read.
    pub(crate) fn find(&self, name: &TableName, now: Uptime) -> Result<Arc<Table>> {
        let table = self.live(name, now).ok_or_else(|| table_not_found(name))?;
        table.content().check_facts()?;
        Ok(table)
    }

    /// Tables, also expired ones, whose names begin with `prefix`, in the order of their names. Bare names live in the namespace
    /// `default`, so `default/` lists them too. Tables whose facts are damaged are left out: nothing that a list shows
    /// of them would be certain.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Arc<Table>> {
        let bare = prefix.strip_prefix(NAMESPACE_DEFAULT).and_then(|rest| rest.strip_prefix('/'));
        let entries = self.entries.read();
        let matches = |name: &str| {
            name.starts_with(prefix) || bare.is_some_and(|rest| !name.contains('/') && name.starts_with(rest))
        };
        let table = |entry: &Entry| match entry {
            Entry::Table(table) => Some(table.clone()).filter(|table| table.content().damage.is_none()),
            Entry::Reserved => None,
        };
        if bare.is_some() {
            let found = entries.iter().filter(|(name, _)| matches(name.as_str()));
            return found.filter_map(|(_, entry)| table(entry)).collect();
        }
        let from = entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(name, _)| matches(name.as_str())).filter_map(|(_, entry)| table(entry)).collect()
    }

    /// All contents, also those of tables that have expired or whose facts are damaged.
    pub(crate) fn contents(&self) -> Vec<Arc<Content>> {
        let content = |entry: &Entry| match entry {
            Entry::Table(table) => Some(table.content()),
            Entry::Reserved => None,
        };
        self.entries.read().values().filter_map(content).collect()
    }

    /// How many tables are known to be damaged.
    pub(crate) fn damaged(&self) -> usize {
        let is_damaged = |entry: &&Entry| matches!(entry, Entry::Table(table) if table.content().is_damaged());
        self.entries.read().values().filter(is_damaged).count()
    }

    /// What there is of each durability, also what has expired and is not swept yet.
    pub(crate) fn totals(&self) -> [(Durability, Totals); 2] {
        let mut totals = [(Durability::Ephemeral, Totals::default()), (Durability::Durable, Totals::default())];
        for entry in self.entries.read().values() {
            let Entry::Table(table) = entry else { continue };
            let content = table.content();
            if let Some((_, totals)) = totals.iter_mut().find(|(durability, _)| *durability == content.durability) {
                totals.tables += 1;
                totals.segments += content.segments.len() as u64;
                totals.bytes += content.version.bytes;
            }
        }
        totals
    }

    /// Takes a name that no table has, for a table that a commit is about to create.
    pub(crate) fn reserve(&self, name: &TableName) -> bool {
        match self.entries.write().entry(name.clone()) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(Entry::Reserved);
                true
            }
            MapEntry::Occupied(_) => false,
        }
    }

    pub(crate) fn is_reserved(&self, name: &TableName) -> bool {
        matches!(self.entries.read().get(name), Some(Entry::Reserved))
    }

    /// Gives reserved names back.
    pub(crate) fn release<'a>(&self, names: impl Iterator<Item = &'a TableName>) {
        let mut entries = self.entries.write();
        for name in names {
            if let MapEntry::Occupied(occupied) = entries.entry(name.clone())
                && matches!(occupied.get(), Entry::Reserved)
            {
                occupied.remove();
            }
        }
    }

    /// Makes a commit visible, all of its tables at one moment. Gives back the contents that were there before.
    pub(crate) fn publish(
        &self,
        tables: impl Iterator<Item = (TableName, Option<Arc<Content>>, HistoryStep)>,
        budget: &MemoryBudget,
    ) -> Vec<Arc<Content>> {
        let mut entries = self.entries.write();
        let mut before = Vec::new();
        for (name, content, step) in tables {
            let old = match entries.get(&name) {
                Some(Entry::Table(table)) => Some(table.clone()),
                Some(Entry::Reserved) | None => None,
            };
            match (old, content) {
                (Some(table), Some(content)) if table.content().id == content.id => {
                    before.push(table.publish(content, step));
                }
                (old, Some(content)) => {
                    before.extend(old.map(|table| table.content()));
                    let created = content.version.uptime;
                    entries.insert(name, Entry::Table(Arc::new(Table::new(content, step.versions, created, budget))));
                }
                (old, None) => {
                    before.extend(old.map(|table| table.content()));
                    entries.remove(&name);
                }
            }
        }
        before
    }
}

/// What whoever asks for a table that is not there is answered; a table that the caller may not see is not there either.
pub fn table_not_found(name: &TableName) -> Error {
    Error::new(codes::TABLE_NOT_FOUND, format!("there is no table `{name}`"))
        .hint("list the tables; names are case-sensitive")
}
