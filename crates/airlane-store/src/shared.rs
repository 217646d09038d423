//! What the parts of an open store share.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use airlane_model::{
    Chance, Clock, Durability, Error, Happening, Result, RetentionDefaults, TableChange, TableId, TableName, codes,
};
use airlane_segment::{DecodeLimits, HomeFactory, KnownSchemas, WriterOptions};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::changes::Changes;
use crate::commit::{Job, refuse, run_batch};
use crate::counts::Counts;
use crate::disk::Disk;
use crate::expiry::{Deadlines, ExpiredCounts, ExpiryReason};
use crate::folder::Paths;
use crate::index::Index;
use crate::keys::KeyBook;
use crate::memory::Memory;
use crate::merge::MergeQueue;
use crate::plan::RowsGone;
use crate::quota::Ledger;
use crate::slot::{Origin, SharedCatalog};
use crate::staging::Staging;
use crate::sweeper::Sweeper;
use crate::uptime::UptimeClock;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) uptime: UptimeClock,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) writer: WriterOptions,
    pub(crate) limits: DecodeLimits,
    /// Of puts over a wire.
    pub(crate) schemas: KnownSchemas,
    pub(crate) paths: Option<Paths>,
    pub(crate) index: Index,
    pub(crate) ephemeral: EphemeralLane,
    /// The committer and where its segments come from; `None` without a data folder.
    pub(crate) committer: Option<Sender<Job>>,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) sweeper: Sweeper,
    pub(crate) merges: MergeQueue,
    pub(crate) retention: RetentionDefaults,
    pub(crate) deadlines: Deadlines,
    pub(crate) expired: ExpiredCounts,
    pub(crate) told: Changes,
    pub(crate) keys: KeyBook,
    pub(crate) counts: Arc<Counts>,
    pub(crate) ledger: Ledger,
    pub(crate) health: watch::Sender<Health>,
}

/// Ephemeral commits: one at a time, on the thread of whoever commits.
#[derive(Debug)]
pub(crate) struct EphemeralLane {
    pub(crate) turn: Mutex<()>,
    pub(crate) catalog: SharedCatalog,
}

/// Whether a store takes puts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Open,
    Closing,
    /// A commit's outcome is unknown, for this reason.
    Poisoned(String),
}

impl Shared {
    /// Whether new work is taken.
    pub(crate) fn check_open(&self) -> Result<()> {
        match &*self.health.borrow() {
            Health::Open => Ok(()),
            Health::Closing => Err(self.closed()),
            Health::Poisoned(reason) => Err(poisoned(reason)),
        }
    }

    /// Tells whoever watches what has been committed.
    pub(crate) fn tell(
        &self,
        told: Vec<(TableName, TableId, Happening)>,
        expired: &[(TableName, TableId, ExpiryReason)],
        rows_gone: &[RowsGone],
    ) {
        let time = self.clock.now();
        let expired = expired
            .iter()
            .map(|(table, id, reason)| (table.clone(), *id, Happening::Expired { reason: reason.name().to_owned() }));
        let trimmed = rows_gone
            .iter()
            .map(|gone| (gone.table.clone(), gone.id, Happening::Trimmed { version: gone.version, rows: gone.rows }));
        // What makes way for a put goes before it.
        let all = expired.chain(trimmed).chain(told);
        self.told.note(all.map(|(table, id, what)| TableChange { time, table, table_id: Some(id), what }));
    }

    /// Whether work that was begun may be committed: also while closing.
    pub(crate) fn check_health(&self) -> Result<()> {
        match &*self.health.borrow() {
            Health::Open | Health::Closing => Ok(()),
            Health::Poisoned(reason) => Err(poisoned(reason)),
        }
    }

    pub(crate) fn closed(&self) -> Error {
        Error::new(codes::SHUTTING_DOWN, "the server is stopping").hint("repeat the request when it is back")
    }

    pub(crate) fn poison(&self, reason: String) {
        self.health.send_replace(Health::Poisoned(reason));
    }

    pub(crate) fn close(&self) {
        self.health.send_if_modified(|health| {
            let open = *health == Health::Open;
            if open {
                *health = Health::Closing;
            }
            open
        });
    }

    /// Hands a change to where tables of this durability are committed.
    pub(crate) fn submit(&self, durability: Durability, job: Job) {
        match (durability, &self.committer) {
            (Durability::Ephemeral, _) => {
                let _turn = self.ephemeral.turn.lock();
                run_batch(self, &self.ephemeral.catalog, durability, vec![job]);
            }
            (Durability::Durable, Some(committer)) => {
                if let Err(error) = committer.send(job) {
                    refuse(error.0, self.closed());
                }
            }
            (Durability::Durable, None) => refuse(job, no_folder()),
        }
    }

    /// The files of a put of this durability.
    pub(crate) fn staging(&self, durability: Durability) -> Option<Arc<Staging>> {
        let paths = self.paths.clone().filter(|_| durability == Durability::Durable)?;
        let budget = self.memory.budget.clone();
        Some(Staging::new(self.disk.clone(), self.chance.clone(), paths, self.sweeper.clone(), budget))
    }

    /// Homes for large segments: files where there is a staging, else memory.
    pub(crate) fn homes(&self, staging: Option<&Arc<Staging>>) -> Box<dyn HomeFactory> {
        match staging {
            Some(staging) => staging.homes(),
            None => Box::new(self.memory.pool.clone()),
        }
    }
}

fn poisoned(reason: &str) -> Error {
    Error::new(codes::SHUTTING_DOWN, format!("the server stops, since a commit failed: {reason}"))
        .hint("repeat the request when it is back")
}

pub(crate) fn no_folder() -> Error {
    Error::new(codes::DURABILITY_CONFLICT, "this server has no data folder, so it keeps ephemeral tables only")
        .hint("put the table as ephemeral, or start the server with `--data-dir`")
}
