//! What the tables of each namespace and of each owner hold, against their quotas.
//!
//! ```text
//! request ─▶ plan: used + what the plan holds already + what another plan may add + this one ≤ quota?    of the namespace, of the owner
//!              ├─ no  → refused, alone
//!              └─ yes → held by the plan ─┬─ committed and published → used
//!                                         └─ abandoned → forgotten
//! ```
//!
//! A table is its owner's: the caller's who put its whole content. It counts for the owner whoever appends to it, as a file does
//! on a disk. A replace by another caller moves it from one account to the other.
//!
//! Durable and ephemeral tables are committed apart, by one plan each at a time. What a plan adds counts for the
//! other from the moment it is planned; what it takes away, only when it is published. So the quotas hold at every moment.

mod account;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use airlane_model::{ByteSize, Durability, PutMode, Result, SharedQuotas, TableName};
use parking_lot::Mutex;

use crate::content::Content;
use crate::shared::Shared;
use crate::store::Store;
use account::{Account, Of, Teller};

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

/// The running totals of all namespaces and owners.
#[derive(Debug)]
pub(crate) struct Ledger {
    quotas: SharedQuotas,
    /// By [`Of`].
    books: Mutex<[Book; 2]>,
}

/// The totals of all accounts of one kind.
#[derive(Debug, Default)]
struct Book {
    /// Of what everybody sees. Who has no tables has no entry.
    used: Totals,
    /// What the plans under way change, by the durability of their tables.
    planned: [Totals; 2],
}

type Totals = HashMap<Box<str>, Amount>;

impl Book {
    fn used(&self, name: &str) -> Amount {
        self.used.get(name).copied().unwrap_or_default()
    }

    /// What there may be at most when the plans under way are through.
    fn expected(&self, name: &str, lane: Durability) -> Amount {
        let mut amount = self.used(name);
        for (index, planned) in self.planned.iter().enumerate() {
            let planned = planned.get(name).copied().unwrap_or_default();
            amount.add(if index == lane as usize { planned } else { planned.growth() });
        }
        amount
    }

    fn plan(&mut self, lane: Durability, name: &str, change: Amount) {
        if change != Amount::default() {
            add(&mut self.planned[lane as usize], name, change);
        }
    }

    fn publish(&mut self, lane: Durability) {
        for (name, change) in self.planned[lane as usize].drain() {
            match self.used.entry(name) {
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
}

fn add(totals: &mut Totals, name: &str, amount: Amount) {
    match totals.get_mut(name) {
        Some(total) => total.add(amount),
        None => drop(totals.insert(name.into(), amount)),
    }
}

impl Ledger {
    pub(crate) fn new(quotas: SharedQuotas) -> Self {
        Self { quotas, books: Mutex::default() }
    }

    /// Begins with what a start has found.
    pub(crate) fn load<'a>(&self, contents: impl Iterator<Item = &'a Content>) {
        let mut books = self.books.lock();
        for (book, used) in books.iter_mut().zip(count(contents)) {
            book.used = used;
        }
    }

    /// Refuses a put whose first row would be one too many. It looks at what is published alone.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn check_begin(
        &self,
        table: &TableName,
        current: Option<&Content>,
        mode: PutMode,
        caller: Option<&str>,
    ) -> Result<()> {
        let appended = current.filter(|_| mode == PutMode::Append);
        let owner = appended.map_or(caller, |current| current.owner.as_deref());
        let is_own = current.is_some_and(|current| current.owner.as_deref() == owner);
        let of_owner = owner.map(|owner| (Account::owner(owner, caller == Some(owner)), is_own));
        let quotas = self.quotas.get();
        for (account, has_it) in [(Account::namespace(table), current.is_some())].into_iter().chain(of_owner) {
            let quota = account.quota(&quotas);
            if quota.tables.is_none() && quota.bytes.is_none() {
                continue;
            }
            let teller = Teller { account, table, quota };
            let used = self.books.lock()[account.of as usize].used(account.name);
            teller.judge_tables(used, i64::from(!has_it))?;
            // A replace may make room.
            if !has_it || appended.is_some() {
                teller.judge_full(used)?;
            }
        }
        Ok(())
    }

    /// Takes a change into the plan of this durability, if the quotas let it. What makes nothing larger always passes. `is_owners`
    /// says whether who puts owns the table, and so may be told about the owner's quota.
    ///
    /// # Errors
    /// `quota_exceeded`; then the plan is as it was.
    pub(crate) fn plan_put(
        &self,
        lane: Durability,
        before: Option<&Content>,
        after: &Content,
        is_owners: bool,
    ) -> Result<()> {
        let quotas = self.quotas.get();
        let mut books = self.books.lock();
        for (account, change) in changes(before, Some(after), is_owners) {
            let teller = Teller { account, table: &after.table, quota: account.quota(&quotas) };
            let used = books[account.of as usize].expected(account.name, lane);
            teller.judge_tables(used, change.tables)?;
            teller.judge_bytes(used, change.bytes)?;
        }
        for (account, change) in changes(before, Some(after), is_owners) {
            books[account.of as usize].plan(lane, account.name, change);
        }
        Ok(())
    }

    /// Takes a change into the plan of this durability that nobody asks a quota for: a merge, or the end of a table.
    pub(crate) fn plan_always(&self, lane: Durability, before: &Content, after: Option<&Content>) {
        let mut books = self.books.lock();
        for (account, change) in changes(Some(before), after, true) {
            books[account.of as usize].plan(lane, account.name, change);
        }
    }

    /// The plan of this durability is published.
    pub(crate) fn publish(&self, lane: Durability) {
        self.books.lock().iter_mut().for_each(|book| book.publish(lane));
    }

    /// The plan of this durability is over. What was published of it is not touched.
    pub(crate) fn forget(&self, lane: Durability) {
        self.books.lock().iter_mut().for_each(|book| book.planned[lane as usize].clear());
    }

    /// What is used by what everybody sees.
    fn used(&self, of: Of, name: &str) -> (u64, ByteSize) {
        let used = self.books.lock()[of as usize].used(name);
        (u64::try_from(used.tables).unwrap_or_default(), ByteSize::bytes(u64::try_from(used.bytes).unwrap_or(u64::MAX)))
    }
}

/// What becomes of each account, when the second content takes the place of the first.
fn changes<'a>(
    before: Option<&'a Content>,
    after: Option<&'a Content>,
    is_owners: bool,
) -> impl Iterator<Item = (Account<'a>, Amount)> {
    let change = Amount::of(after).minus(Amount::of(before));
    let namespace = after.or(before).map(|content| (Account::namespace(&content.table), change));
    let owner = |content: Option<&'a Content>| content.and_then(|content| content.owner.as_deref());
    let (from, to) = (owner(before), owner(after));
    let is_same = from == to;
    let account = move |name| Account::owner(name, is_owners);
    let of_owner = to.map(|name| (account(name), if is_same { change } else { Amount::of(after) }));
    let of_former = from.filter(|_| !is_same);
    let of_former = of_former.map(|name| (account(name), Amount::default().minus(Amount::of(before))));
    namespace.into_iter().chain(of_former).chain(of_owner)
}

impl Shared {
    /// Refuses a put early that the quota of its namespace, or of the owner of its table, will not let through.
    ///
    /// # Errors
    /// `quota_exceeded`.
    pub(crate) fn check_quota(&self, table: &TableName, mode: PutMode, caller: Option<&str>) -> Result<()> {
        match self.index.get(table) {
            // The put takes it out first, which makes room.
            Some(current) if current.is_expired(self.uptime.now()) => Ok(()),
            current => {
                let current = current.map(|table| table.content());
                self.ledger.check_begin(table, current.as_deref(), mode, caller)
            }
        }
    }
}

impl Store {
    /// What the tables of a namespace hold, which its quota bounds: tables, and the bytes of their current versions. Tables that
    /// have expired count until they are swept.
    pub fn namespace_use(&self, namespace: &str) -> (u64, ByteSize) {
        self.shared().ledger.used(Of::Namespace, namespace)
    }

    /// The same of the tables that a caller owns.
    pub fn owner_use(&self, caller: &str) -> (u64, ByteSize) {
        self.shared().ledger.used(Of::Owner, caller)
    }
}

/// Compares the totals with a recount.
pub(crate) fn check(shared: &Shared, found: &mut Vec<String>) {
    let contents = shared.index.contents();
    let recounts = count(contents.iter().map(AsRef::as_ref));
    let books = shared.ledger.books.lock();
    for ((book, recount), whose) in books.iter().zip(recounts).zip(["namespaces", "owners"]) {
        if book.used != recount {
            found.push(format!("the totals of {whose} differ: {:?} are kept, {recount:?} is there", book.used));
        }
        if book.planned.iter().any(|planned| !planned.is_empty()) {
            found.push(format!("a plan that is over still counts for {whose}: {:?}", book.planned));
        }
    }
}

/// By [`Of`].
fn count<'a>(contents: impl Iterator<Item = &'a Content>) -> [Totals; 2] {
    let mut used = <[Totals; 2]>::default();
    for content in contents {
        for (account, amount) in changes(None, Some(content), true) {
            add(&mut used[account.of as usize], account.name, amount);
        }
    }
    used
}

#[cfg(test)]
mod tests;
