//! The store: what the other modules do, under one roof.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use airlane_model::{
    Chance, Clock, Durability, Error, PutMode, Result, TableId, TableInfo, TableName, Version, VersionInfo, codes,
};
use airlane_segment::decode::StreamDecoder;
use airlane_segment::{Intake, KnownSchemas, TableSchema};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task;

use crate::catalog::counts::StoredCounts;
use crate::catalog::memory::MemoryCatalog;
use crate::changes::Changes;
use crate::commit::{Job, run_committer};
use crate::content::Snapshot;
use crate::counts::Counts;
use crate::disk::Disk;
use crate::error::storage;
use crate::expiry::{Deadlines, ExpiredCounts, run_expiry, save_uptime, watch_all};
use crate::folder::DataFolder;
use crate::folder::KeptFile;
use crate::index::{Index, table_not_found};
use crate::keys::{KeyBook, Keyed, take_over};
use crate::memory::{Memory, run_rounds};
use crate::merge::{MergeQueue, run_merges};
use crate::options::{Merging, PutSpec, StoreOptions};
use crate::plan::{durability_conflict, schema_mismatch};
use crate::put::Put;
use crate::quota::Ledger;
use crate::recovery::{Recovery, open_catalog, recover, say, uptime_before};
use crate::shared::{EphemeralLane, Health, Shared, no_folder};
use crate::slot::{Origin, SharedCatalog};
use crate::sweeper::Sweeper;
use crate::uptime::{Uptime, UptimeClock};

/// All tables of one server. Cheap to clone; when the last clone goes, its threads end and the folder is unlocked.
#[derive(Clone, Debug)]
pub struct Store {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    merges: Option<JoinHandle<()>>,
    expiry: Option<JoinHandle<()>>,
    memory: Option<JoinHandle<()>>,
    committer: Option<JoinHandle<()>>,
    sweeper: JoinHandle<()>,
    folder: Option<DataFolder>,
}

impl Store {
    /// Opens the data folder: takes its lock, recovers exactly the acknowledged versions, removes orphans. Starts the
    /// threads that commit, merge, sweep and let tables expire.
    ///
    /// # Errors
    /// `folder_locked`, `format_unsupported`, `data_damaged` for a damaged catalog, `storage_failed`, `storage_full`.
    pub fn open(options: StoreOptions) -> Result<(Self, Recovery)> {
        let folder = options.folder.as_deref().map(|root| DataFolder::open(root, options.disk.as_ref())).transpose()?;
        let index = Index::default();
        let memory = Memory::new(options.memory, options.merging == Merging::ByHand);
        let keys = KeyBook::new(options.keys, &memory.budget);
        let (origin, recovery, before, counts) = match &folder {
            Some(folder) => {
                let opened = open_folder(folder, &options.disk, (&index, &keys), &memory)?;
                let (origin, recovery, before, counts) = opened;
                (Some(origin), recovery, before, counts)
            }
            None => Default::default(),
        };
        let counts = Counts::load(counts, options.counted_tickets_max, &memory.budget);
        say(options.folder.as_deref(), &recovery);
        let uptime = UptimeClock::begin(options.clock.clone(), before);
        let parts = Parts { index, keys, counts, memory };
        let handle = start(options, folder, origin, parts, uptime)?;
        Ok((Self { handle: Arc::new(handle) }, recovery))
    }

    /// Begins a put from a stream whose schema message is given. Refuses early what the commit would refuse.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`, `schema_mismatch`, `durability_conflict`, `quota_exceeded`, `shutting_down`; `data_damaged`
    /// when the catalog's facts about the table are: not even a replace gets past that, since the table must be dropped.
    pub fn put_stream(&self, spec: PutSpec, schema_header: &[u8]) -> Result<Put> {
        let shared = &self.handle.shared;
        let decoder = shared.schemas.decoder(schema_header, shared.limits.clone());
        let writer = shared.writer.clone();
        self.begin(spec, |homes| Ok(Intake::from_decoder(decoder?, writer, homes)))
    }

    /// A decoder of a stream whose schema message is given, for whoever has to see its batches before they are put.
    ///
    /// # Errors
    /// `message_invalid`, `schema_invalid`.
    pub fn decoder(&self, schema_header: &[u8]) -> Result<StreamDecoder> {
        let shared = &self.handle.shared;
        shared.schemas.decoder(schema_header, shared.limits.clone())
    }

    /// Begins a put of batches made in this process.
    ///
    /// # Errors
    /// As [`put_stream`](Self::put_stream).
    pub fn put_batches(&self, spec: PutSpec, schema: TableSchema) -> Result<Put> {
        let writer = self.handle.shared.writer.clone();
        self.begin(spec, |homes| Ok(Intake::from_schema(schema, writer, homes)))
    }

    fn begin(
        &self,
        spec: PutSpec,
        intake: impl FnOnce(Box<dyn airlane_segment::HomeFactory>) -> Result<Intake>,
    ) -> Result<Put> {
        let shared = &self.handle.shared;
        shared.check_open()?;
        let PutSpec { table, mode, durability, retention, key, caller } = spec;
        // Looked up before the key: what is not known yet when the first put with it fills the quota is known then.
        let quota = shared.check_quota(&table, mode, caller.as_deref());
        let keyed = key.map(|key| Keyed::begin(shared, key, &table, mode, durability, &retention)).transpose()?;
        if let Some(durability) = keyed.as_ref().and_then(|keyed| keyed.first()) {
            let intake = Box::new(intake(shared.homes(None))?.with_fingerprint().discarding());
            let (shared, staging) = (shared.clone(), None);
            return Ok(Put { shared, table, mode, caller, durability, retention, intake, staging, keyed });
        }
        quota?;
        let current = shared.index.live(&table, shared.uptime.now()).map(|table| table.content());
        current.as_ref().map_or(Ok(()), |content| content.check_facts())?;
        let new = if shared.paths.is_some() { Durability::Durable } else { Durability::Ephemeral };
        let has = current.as_ref().map(|content| content.durability);
        let asked = durability.or(has).unwrap_or(new);
        if let Some(has) = has.filter(|has| *has != asked) {
            return Err(durability_conflict(&table, has, asked));
        }
        if asked == Durability::Durable && shared.paths.is_none() {
            return Err(no_folder());
        }
        let staging = shared.staging(asked);
        let intake = intake(shared.homes(staging.as_ref()))?;
        let intake = Box::new(if keyed.is_some() { intake.with_fingerprint() } else { intake });
        if let Some(content) = current.filter(|_| mode == PutMode::Append) {
            content.schema.accept(intake.schema()).map_err(|error| schema_mismatch(&table, &error))?;
        }
        Ok(Put { shared: shared.clone(), table, mode, caller, durability: asked, retention, intake, staging, keyed })
    }

    /// One version of a table: the current one, or the one asked for. Versions since the last replace can be read, or as
    /// many of them as its retention keeps. It is no read, as far as `idle` goes.
    ///
    /// # Errors
    /// `table_not_found`, `version_not_found`, `table_recreated`; `data_damaged` when the catalog's facts about it are.
    pub fn snapshot(&self, table: &TableName, version: Option<Version>, id: Option<TableId>) -> Result<Snapshot> {
        let now = self.handle.shared.uptime.moment();
        let found = self.handle.shared.index.find(table, now.uptime)?;
        if id.is_some_and(|id| id != found.content().id) {
            let message = format!("table `{table}` was dropped and made anew since the ticket was given");
            return Err(Error::new(codes::TABLE_RECREATED, message)
                .at(format!("table `{table}`"))
                .hint("ask for a new ticket"));
        }
        found.snapshot(version, now)
    }

    /// What happens to tables, for whoever watches.
    pub fn changes(&self) -> &Changes {
        &self.handle.shared.told
    }

    /// The versions of a table that can be read, oldest first.
    ///
    /// # Errors
    /// `table_not_found`.
    pub fn versions(&self, table: &TableName) -> Result<Vec<VersionInfo>> {
        let now = self.handle.shared.uptime.moment();
        let found = self.handle.shared.index.find(table, now.uptime)?;
        let (current, mut versions) = (found.content().version, found.history());
        versions.retain(|stored| stored.version < current.version);
        versions.push(current);
        Ok(versions.into_iter().map(Into::into).collect())
    }

    /// The same version, counted as read for as long as it is held: meanwhile the table is not `idle`.
    pub fn begin_read(&self, snapshot: Snapshot) -> Snapshot {
        snapshot.begin_read(&self.handle.shared.uptime)
    }

    /// The tables whose names begin with `prefix`, in the order of their names, without those whose facts are damaged
    /// ([`Recovery::damaged`] names them).
    pub fn list(&self, prefix: &str) -> Vec<TableInfo> {
        let now = self.handle.shared.uptime.moment();
        let tables = self.handle.shared.index.list(prefix).into_iter();
        tables.filter(|table| !table.is_expired(now.uptime)).map(|table| table.info(now)).collect()
    }

    /// Drops a table: gone from catalog, memory and disk when this returns; running readers finish.
    ///
    /// # Errors
    /// `table_not_found`, `commit_unknown`, `shutting_down`; `storage_failed` when the catalog could not commit, or
    /// when it has, and the bytes could not be removed yet.
    pub fn drop_table(&self, table: &TableName) -> impl Future<Output = Result<TableInfo>> + Send + use<> {
        let shared = self.handle.shared.clone();
        let table = table.clone();
        async move {
            shared.check_open()?;
            let found = shared.index.live(&table, shared.uptime.now()).ok_or_else(|| table_not_found(&table))?;
            let content = found.content();
            drop(found);
            let (durability, id) = (content.durability, content.id);
            // Whoever holds the content is taken for a reader.
            drop(content);
            let (reply, answer) = oneshot::channel();
            shared.submit(durability, Job::Drop(table, id, reply));
            answer.await.unwrap_or_else(|_| Err(shared.closed()))
        }
    }

    /// Stops the threads after what was begun; later puts answer `shutting_down`. Readers finish, and the folder is
    /// free for the next server.
    pub fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        let handle = self.handle.clone();
        async move {
            handle.shared.close();
            // The threads have ended when this has, whatever became of waiting for them.
            let _ = task::spawn_blocking(move || handle.stop()).await;
        }
    }

    /// Where a SIGBUS handler writes the labels of segments that could not be read, one of 32 hexadecimal digits per
    /// line; the next start looks at them first. `None` without a data folder.
    pub fn damage_report_file(&self) -> Option<PathBuf> {
        self.handle.shared.paths.as_ref().map(crate::folder::Paths::damage_report)
    }

    /// The clock that was handed in.
    pub fn clock(&self) -> &dyn Clock {
        self.handle.shared.clock.as_ref()
    }

    /// The source of random bytes that was handed in.
    pub fn chance(&self) -> &dyn Chance {
        self.handle.shared.chance.as_ref()
    }

    /// Where in the data folder queries may keep what memory does not hold; nothing in there outlives the server. `None`
    /// without a data folder.
    pub fn query_folder(&self) -> Option<PathBuf> {
        self.handle.shared.paths.as_ref().map(crate::folder::Paths::queries)
    }

    /// A file of the data folder, as it was [kept](Self::keep); `None` when none was, and without a folder.
    ///
    /// # Errors
    /// `storage_failed`.
    pub fn kept(&self, file: KeptFile) -> Result<Option<Vec<u8>>> {
        self.handle.shared.paths.as_ref().map_or(Ok(None), |paths| paths.kept(file))
    }

    /// Keeps a file in the data folder, for its owner alone. Without a folder nothing is kept.
    ///
    /// # Errors
    /// `storage_failed`, `storage_full`; then what was kept before is still there.
    pub fn keep(&self, file: KeptFile, content: &str) -> Result<()> {
        let shared = &self.handle.shared;
        shared.paths.as_ref().map_or(Ok(()), |paths| paths.keep(file, content.as_bytes(), shared.disk.as_ref()))
    }

    /// Tables whose entry in the catalog, or one of whose segments, is known to be damaged.
    pub fn damaged_tables(&self) -> usize {
        self.handle.shared.index.damaged()
    }

    /// Why the store can take no more puts (a commit failed), if that is so. The server ends then.
    pub fn failure(&self) -> Option<String> {
        match &*self.handle.shared.health.borrow() {
            Health::Poisoned(reason) => Some(reason.clone()),
            Health::Open | Health::Closing => None,
        }
    }

    /// Waits for a [`failure`](Self::failure), and gives its reason. Never ends while there is none.
    pub fn failed(&self) -> impl Future<Output = String> + Send + use<> {
        let mut health = self.handle.shared.health.subscribe();
        async move {
            loop {
                if let Health::Poisoned(reason) = &*health.borrow_and_update() {
                    return reason.clone();
                }
                if health.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    pub(crate) fn shared_handle(&self) -> Arc<Shared> {
        self.handle.shared.clone()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn merges_in_background(&self) -> bool {
        self.handle.threads.lock().as_ref().is_some_and(|threads| threads.merges.is_some())
    }
}

/// What a folder holds.
type Opened = (Arc<Origin>, Recovery, Uptime, StoredCounts);

fn open_folder(
    folder: &DataFolder,
    disk: &Arc<dyn Disk>,
    (index, keys): (&Index, &KeyBook),
    memory: &Arc<Memory>,
) -> Result<Opened> {
    let paths = folder.paths().clone();
    let mut catalog = open_catalog(&paths, disk.as_ref())?;
    folder.sync_names(disk.as_ref())?;
    let stored = catalog.load()?;
    let found = catalog.keys()?;
    let before = uptime_before(catalog.as_mut(), &stored, &found)?;
    take_over(keys, &found);
    let counts = catalog.counts()?;
    let catalog: SharedCatalog = Arc::new(Mutex::new(Some(catalog)));
    let origin = Arc::new(Origin { disk: disk.clone(), paths, catalog, memory: memory.clone() });
    let recovery = recover(&origin, stored, before, index)?;
    Ok((origin, recovery, before, counts))
}

/// What a store begins with in memory.
struct Parts {
    index: Index,
    keys: KeyBook,
    counts: Counts,
    memory: Arc<Memory>,
}

fn start(
    options: StoreOptions,
    folder: Option<DataFolder>,
    origin: Option<Arc<Origin>>,
    parts: Parts,
    uptime: UptimeClock,
) -> Result<Handle> {
    let Parts { index, keys, counts, memory } = parts;
    let ledger = Ledger::new(options.quotas);
    ledger.load(index.contents().iter().map(AsRef::as_ref));
    let failed = |error| storage("start a thread", Path::new("airlane-store"), error);
    let paths = folder.as_ref().map(|folder| folder.paths().clone());
    let files = paths.clone().map(|paths| (options.disk.clone(), paths));
    let (sweeper, sweeping) = Sweeper::start(files, memory.pool.clone()).map_err(failed)?;
    let (jobs, requests) = channel();
    let ephemeral: SharedCatalog = Arc::new(Mutex::new(Some(Box::new(MemoryCatalog::default()))));
    let shared = Arc::new(Shared {
        clock: options.clock,
        uptime,
        chance: options.chance,
        disk: options.disk,
        writer: options.writer,
        limits: options.limits,
        schemas: KnownSchemas::default(),
        paths,
        index,
        ephemeral: EphemeralLane { turn: Mutex::new(()), catalog: ephemeral },
        committer: origin.is_some().then_some(jobs),
        origin,
        memory,
        sweeper,
        merges: MergeQueue::new(),
        retention: options.retention,
        deadlines: Deadlines::default(),
        expired: ExpiredCounts::default(),
        told: Changes::default(),
        keys,
        counts: Arc::new(counts),
        ledger,
        health: watch::Sender::new(Health::Open),
    });
    let mut threads = Threads { merges: None, expiry: None, memory: None, committer: None, sweeper: sweeping, folder };
    threads.committer = start_committer(&shared, requests).map_err(failed)?;
    watch_all(&shared);
    if options.merging == Merging::Background {
        let merging = shared.clone();
        let thread = thread::Builder::new().name("airlane-merges".into());
        threads.merges = Some(thread.spawn(move || run_merges(&merging)).map_err(failed)?);
        // An earlier process may have ended before it had merged all.
        for table in shared.index.list("") {
            shared.merges.consider(&shared, &table.content().table);
        }
        let expiring = shared.clone();
        let thread = thread::Builder::new().name("airlane-expiry".into());
        threads.expiry = Some(thread.spawn(move || run_expiry(&expiring)).map_err(failed)?);
        let moving = shared.clone();
        let thread = thread::Builder::new().name("airlane-memory".into());
        threads.memory = Some(thread.spawn(move || run_rounds(&moving)).map_err(failed)?);
    }
    Ok(Handle { shared, threads: Mutex::new(Some(threads)) })
}

fn start_committer(shared: &Arc<Shared>, requests: Receiver<Job>) -> std::io::Result<Option<JoinHandle<()>>> {
    let Some(catalog) = shared.origin.as_ref().map(|origin| origin.catalog.clone()) else { return Ok(None) };
    let shared = shared.clone();
    let thread = thread::Builder::new().name("airlane-commits".into());
    thread.spawn(move || run_committer(&shared, &catalog, &requests)).map(Some)
}

impl Handle {
    /// Ends the threads, each after those that hand it work, then gives catalog and folder back.
    fn stop(&self) {
        let Some(threads) = self.threads.lock().take() else { return };
        let shared = &self.shared;
        shared.close();
        shared.memory.stop();
        join(threads.memory);
        shared.merges.stop();
        join(threads.merges);
        shared.deadlines.stop();
        join(threads.expiry);
        if shared.deadlines.has_durable() {
            save_uptime(shared);
        }
        if let Some(committer) = &shared.committer {
            // A committer that is gone has nothing to stop.
            let _ = committer.send(Job::Stop);
        }
        join(threads.committer);
        shared.sweeper.stop();
        join(Some(threads.sweeper));
        if let Some(origin) = &shared.origin {
            origin.catalog.lock().take();
        }
        drop(threads.folder);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the store panicked");
    }
}
