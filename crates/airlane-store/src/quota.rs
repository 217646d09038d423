//! What the tables of each namespace hold, against its quota.
//!
//! ```text
//! request ─▶ plan: used + what the plan holds already + what another plan may add + this one ≤ quota?
//!              ├─ no  → refused, alone
//!              └─ yes → held by the plan ─┬─ committed and published → used
//!                                         └─ abandoned → forgotten
//! ```
//!
//! Durable and ephemeral tables of a namespace are committed apart, by one plan each at a time. What a plan adds counts for the
//! other from the moment it is planned; what it takes away, only when it is published. So the quota holds at every moment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use airlane_model::{ByteSize, Durability, Error, PutMode, Result, SharedQuotas, TableName, codes};
use parking_lot::Mutex;

use crate::content::Content;
use crate::shared::Shared;
use crate::store::Store;

/// How much there is, or by how much it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    tables: i64,
    bytes: i128,
}

impl Amount {
    fn of(content: Option<&Content>) -> Self {
        let Some(content) = content else { return Self::default() };
        // Damaged facts may say anything: such a table counts, its bytes do not.
        let bytes = if content.damage.is_none() { content.version.bytes } else { 0 };
        Self { tables: 1, bytes: bytes.into() }
    }

    fn add(&mut self, other: Self) {
        self.tables += other.tables;
        self.bytes += other.bytes;
    }

    fn minus(self, other: Self) -> Self {
        Self { tables: self.tables - other.tables, bytes: self.bytes - other.bytes }
    }

    fn growth(self) -> Self {
        Self { tables: self.tables.max(0), bytes: self.bytes.max(0) }
    }
}

/// The running totals of all namespaces.
#[derive(Debug)]
pub(crate) struct Ledger {
    quotas: SharedQuotas,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of what everybody sees. A namespace without tables has no entry.
    used: HashMap<Box<str>, Amount>,
    /// What the plans under way change, by the durability of their tables.
    planned: [HashMap<Box<str>, Amount>; 2],
}

impl State {
    fn used(&self, namespace: &str) -> Amount {
        self.used.get(namespace).copied().unwrap_or_default()
    }

    /// What there may be at most when the plans under way are through.
    fn expected(&self, namespace: &str, lane: Durability) -> Amount {
        let mut amount = self.used(namespace);
        for (index, planned) in self.planned.iter().enumerate() {
            let planned = planned.get(namespace).copied().unwrap_or_default();
            amount.add(if index == lane as usize { planned } else { planned.growth() });
        }
        amount
    }
}

impl Ledger {
    pub(crate) fn new(quotas: SharedQuotas) -> Self {
        Self { quotas, state: Mutex::default() }
    }

    /// Begins with what a start has found.
    pub(crate) fn load<'a>(&self, contents: impl Iterator<Item = &'a Content>) {
        self.state.lock().used = count(contents);
    }

    /// Refuses a put whose first row would be one too many. It looks at what is published alone.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn check_begin(&self, table: &TableName, is_there: bool, mode: PutMode) -> Result<()> {
        let namespace = table.namespace();
        let quota = self.quotas.get().of_namespace(namespace);
        if quota.tables.is_none() && quota.bytes.is_none() {
            return Ok(());
        }
        let used = self.state.lock().used(namespace);
        if let Some(max) = quota.tables.filter(|_| !is_there)
            && used.tables >= clamped(max)
        {
            return Err(too_many_tables(namespace, used, max));
        }
        // A replace may make room.
        let adds = !is_there || mode == PutMode::Append;
        match quota.bytes.filter(|max| adds && used.bytes >= max.as_u64().into()) {
            Some(max) => Err(too_many_bytes(namespace, used, None, max)),
            None => Ok(()),
        }
    }

    /// Takes a change into the plan of this durability, if the quota lets it. What makes nothing larger always passes.
    ///
    /// # Errors
    /// `quota_exceeded`; then the plan is as it was.
    pub(crate) fn plan_put(&self, lane: Durability, before: Option<&Content>, after: &Content) -> Result<()> {
        let namespace = after.table.namespace();
        let quota = self.quotas.get().of_namespace(namespace);
        let change = Amount::of(Some(after)).minus(Amount::of(before));
        let mut state = self.state.lock();
        let used = state.expected(namespace, lane);
        if let Some(max) = quota.tables.filter(|_| change.tables > 0)
            && used.tables + change.tables > clamped(max)
        {
            return Err(too_many_tables(namespace, used, max));
        }
        if let Some(max) = quota.bytes.filter(|_| change.bytes > 0)
            && used.bytes + change.bytes > max.as_u64().into()
        {
            return Err(too_many_bytes(namespace, used, Some(change.bytes), max));
        }
        state.plan(lane, namespace, change);
        Ok(())
    }

    /// Takes a change into the plan of this durability that nobody asks a quota for: a merge, or the end of a table.
    pub(crate) fn plan_always(&self, lane: Durability, before: &Content, after: Option<&Content>) {
        let change = Amount::of(after).minus(Amount::of(Some(before)));
        self.state.lock().plan(lane, before.table.namespace(), change);
    }

    /// The plan of this durability is published.
    pub(crate) fn publish(&self, lane: Durability) {
        let mut state = self.state.lock();
        let State { used, planned } = &mut *state;
        for (namespace, change) in planned[lane as usize].drain() {
            match used.entry(namespace) {
                Entry::Vacant(vacant) => drop(vacant.insert(change)),
                Entry::Occupied(mut occupied) => {
                    occupied.get_mut().add(change);
                    if *occupied.get() == Amount::default() {
                        occupied.remove();
                    }
                }
            }
        }
    }

    /// The plan of this durability is over. What was published of it is not touched.
    pub(crate) fn forget(&self, lane: Durability) {
        self.state.lock().planned[lane as usize].clear();
    }
}

impl State {
    fn plan(&mut self, lane: Durability, namespace: &str, change: Amount) {
        if change == Amount::default() {
            return;
        }
        match self.planned[lane as usize].get_mut(namespace) {
            Some(planned) => planned.add(change),
            None => drop(self.planned[lane as usize].insert(namespace.into(), change)),
        }
    }
}

impl Shared {
    /// Refuses a put early that the quota of its namespace will not let through.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn check_quota(&self, table: &TableName, mode: PutMode) -> Result<()> {
        match self.index.get(table) {
            // The put takes it out first, which makes room.
            Some(current) if current.is_expired(self.uptime.now()) => Ok(()),
            current => self.ledger.check_begin(table, current.is_some(), mode),
        }
    }
}

impl Store {
    /// What the tables of a namespace hold, which its quota bounds: tables, and the bytes of their current versions. Tables that
    /// have expired count until they are swept.
    pub fn namespace_use(&self, namespace: &str) -> (u64, ByteSize) {
        let used = self.shared().ledger.state.lock().used(namespace);
        (u64::try_from(used.tables).unwrap_or_default(), ByteSize::bytes(u64::try_from(used.bytes).unwrap_or(u64::MAX)))
    }
}

/// Compares the totals with a recount.
pub(crate) fn check(shared: &Shared, found: &mut Vec<String>) {
    let contents = shared.index.contents();
    let recount = count(contents.iter().map(AsRef::as_ref));
    let state = shared.ledger.state.lock();
    if state.used != recount {
        found.push(format!("the totals of namespaces differ: {:?} are kept, {recount:?} is there", state.used));
    }
    if state.planned.iter().any(|planned| !planned.is_empty()) {
        found.push(format!("a plan that is over still counts: {:?}", state.planned));
    }
}

fn count<'a>(contents: impl Iterator<Item = &'a Content>) -> HashMap<Box<str>, Amount> {
    let mut used: HashMap<Box<str>, Amount> = HashMap::new();
    for content in contents {
        let namespace = content.table.namespace();
        match used.get_mut(namespace) {
            Some(amount) => amount.add(Amount::of(Some(content))),
            None => drop(used.insert(namespace.into(), Amount::of(Some(content)))),
        }
    }
    used
}

fn clamped(max: u64) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn too_many_tables(namespace: &str, used: Amount, max: u64) -> Error {
    let message = format!("namespace `{namespace}` has {} tables, its quota is {max}", used.tables);
    exceeded(message, namespace, "drop tables that are not needed, or have `tables` of the namespace raised")
}

fn too_many_bytes(namespace: &str, used: Amount, more: Option<i128>, max: ByteSize) -> Error {
    let more = more.map(|more| format!("the put adds {more} bytes, and ")).unwrap_or_default();
    let (bytes, of) = (used.bytes, max.as_u64());
    let message = format!("{more}namespace `{namespace}` has {bytes} bytes, its quota is {of} ({max})");
    exceeded(message, namespace, "drop tables or replace them by smaller ones, or have `bytes` of the namespace raised")
}

fn exceeded(message: String, namespace: &str, hint: &str) -> Error {
    Error::new(codes::QUOTA_EXCEEDED, message)
        .at(format!("namespace `{namespace}`"))
        .hint(format!("{hint} in [quotas.namespaces] of the server's rights file"))
}

#[cfg(test)]
mod tests;
