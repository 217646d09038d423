//! What happens to tables, as a caller may know of it.

use std::sync::Arc;

use airlane_model::{Caller, TableChange};
use airlane_store::SomeChanges;

use crate::{Exchange, access};

/// Changes as one caller sees them, from some number on.
#[derive(Debug)]
pub struct Watch {
    exchange: Exchange,
    caller: Caller,
    prefix: String,
    next: u64,
}

/// A change and its number, from 0 in each life of a server.
#[derive(Clone, Debug)]
pub struct NumberedChange {
    /// Its number.
    pub number: u64,
    /// The change.
    pub change: Arc<TableChange>,
}

/// What comes next.
#[derive(Clone, Debug)]
pub struct Seen {
    /// In order; none where all that happened is not for this caller.
    pub changes: Vec<NumberedChange>,
    /// How many were forgotten before the caller came for them. Whoever keeps a picture of the tables has to list them again.
    pub missed: u64,
    /// The number to go on at.
    pub next: u64,
}

impl Exchange {
    /// Watches the tables that the caller may read and whose names begin with `prefix`: from a number on, or what comes from now on.
    pub fn watch(&self, caller: &Caller, prefix: &str, from: Option<u64>) -> Watch {
        let next = from.unwrap_or_else(|| self.store.changes().count());
        Watch { exchange: self.clone(), caller: caller.clone(), prefix: prefix.to_owned(), next }
    }
}

impl Watch {
    /// Waits for what comes next.
    pub async fn next(&mut self) -> Seen {
        let SomeChanges { first, changes, missed } = self.exchange.store.changes().from(self.next).await;
        self.next = first + changes.len() as u64;
        let is_theirs = |change: &TableChange| {
            change.table.as_str().starts_with(&self.prefix) && access::is_listed(&self.caller, &change.table)
        };
        let numbered = (first..).zip(changes).map(|(number, change)| NumberedChange { number, change });
        let changes = numbered.filter(|numbered| is_theirs(&numbered.change)).collect();
        Seen { changes, missed, next: self.next }
    }
}
