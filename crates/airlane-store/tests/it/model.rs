//! Random requests, faults, restarts and crashes, against a model of a few lines (P1).
//!
//! Ids and times come from a seed, so a failing run prints all that it takes to do it again: its seed and its steps.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{
    ByteSize, Clock, Durability, PutMode, Quota, Quotas, Receipt, Result, SharedQuotas, Timestamp, Version, codes,
};
use airlane_store::testing::{Fault, FaultDisk, ManualClock, SeededChance, When};
use airlane_store::{PutSpec, Snapshot, Store, StoreOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::*;
use steps::{Step, step};
use table::{Modelled, WINDOW};

mod steps;
mod table;

const TABLES: [&str; 3] = ["a", "b/c", "d"];

/// Puts of this one ask for a window.
const WINDOWED: &str = "d";

/// Callers that own tables.
const CALLERS: [&str; 2] = ["ada", "bob"];

/// Keys that puts have.
const KEYS: u8 = 4;

/// A put that had a key, and was done.
#[derive(Clone, Debug)]
struct Keyed {
    spec: PutSpec,
    keys: Range<i64>,
    receipt: Receipt,
}

/// What is handed to the store.
struct World {
    disk: FaultDisk,
    clock: Arc<ManualClock>,
    chance: Arc<SeededChance>,
    quotas: SharedQuotas,
}

struct Run {
    folder: TempDir,
    world: World,
    store: Store,
    model: BTreeMap<&'static str, Modelled>,
    held: Vec<(Snapshot, Vec<i64>)>,
    next_key: i64,
    /// By key and table.
    keyed: BTreeMap<(u8, &'static str), Keyed>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World {
            disk: FaultDisk::default(),
            clock: Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000))),
            chance: Arc::new(SeededChance::new(seed)),
            quotas: SharedQuotas::default(),
        };
        let store = open(Self::options(&folder, &world));
        Self { folder, world, store, model: BTreeMap::new(), held: Vec::new(), next_key: 0, keyed: BTreeMap::new() }
    }

    fn options(folder: &TempDir, world: &World) -> StoreOptions {
        let (clock, chance, quotas) = (world.clock.clone(), world.chance.clone(), world.quotas.clone());
        by_hand(StoreOptions { disk: Arc::new(world.disk.clone()), clock, chance, quotas, ..options(folder.path()) })
    }

    async fn step(&mut self, step: Step) {
        self.world.clock.advance(Duration::from_secs(1));
        let before = self.used();
        match step {
            Step::Put { table, append, rows, durability, key } => {
                self.put(TABLES[table], append, rows, durability, key).await;
            }
            Step::Repeat { key, same } => self.repeat(key, same).await,
            Step::Drop { table } => self.drop_table(TABLES[table]).await,
            Step::Read { table, back } => self.read(TABLES[table], back),
            Step::Hold { table } => {
                if let Ok(snapshot) = self.store.snapshot(&name(TABLES[table]), None, None) {
                    self.held.push((snapshot, self.model[TABLES[table]].keys.clone()));
                }
            }
            Step::Merge => drop(self.store.merge_step().await),
            Step::Window { table, set } => self.set_window(TABLES[table], set).await,
            Step::Grow { appends } => {
                for _ in 0..appends {
                    self.world.clock.advance(Duration::from_secs(1));
                    self.put(WINDOWED, true, 3, None, None).await;
                }
                while self.store.merge_step().await {}
            }
            Step::Wait { seconds } => {
                self.world.clock.advance(Duration::from_secs(seconds));
                self.store.expire_due().await;
                if self.world.disk.disarm() > 0 {
                    // What fails is done again later.
                    self.model.values_mut().for_each(|modelled| modelled.is_prompt = false);
                }
                self.forget_old_rows();
            }
            Step::Relieve => self.store.relieve_memory(ByteSize::bytes(0)).await,
            Step::Restart => self.restart().await,
            Step::Fault { nth, fault } => {
                // Everything is opened before: what cannot be read once (EIO) is taken for damaged for good.
                self.verify_reads();
                self.world.disk.arm(When::From(nth), fault);
            }
            Step::Quota { tables, kib } => self.set_quota(tables, kib),
            Step::Crash { table, kept } => {
                self.set_quota(None, None);
                self.crash(TABLES[table], kept).await;
            }
        }
        self.check_quota(before);
        if !matches!(step, Step::Fault { .. }) {
            self.store.settle().await;
            self.world.disk.disarm();
            if self.store.failure().is_some() {
                self.restart().await;
            }
        }
    }

    fn set_quota(&self, tables: Option<u64>, kib: Option<u64>) {
        let quota = Quota { tables, bytes: kib.map(ByteSize::kib), ..Quota::default() };
        let line = ("*".parse().expect("a pattern"), quota);
        self.world.quotas.set(Arc::new(Quotas::new(vec![line], [], quota)));
    }

    /// What there is in each namespace, and of each caller.
    fn used(&self) -> [(u64, ByteSize); 4] {
        let [a, b] = ["default", "b"].map(|namespace| self.store.namespace_use(namespace));
        let [c, d] = CALLERS.map(|caller| self.store.owner_use(caller));
        [a, b, c, d]
    }

    /// Nothing grows above its quota.
    fn check_quota(&self, before: [(u64, ByteSize); 4]) {
        let quota = self.world.quotas.get().of_namespace("default");
        for ((tables, bytes), before) in self.used().into_iter().zip(before) {
            assert!(tables <= before.0.max(quota.tables.unwrap_or(u64::MAX)));
            assert!(bytes <= before.1.max(quota.bytes.unwrap_or(ByteSize::bytes(u64::MAX))));
        }
    }

    async fn put(&mut self, table: &'static str, append: bool, rows: u16, durability: Option<bool>, key: Option<u8>) {
        let keys = self.next_key..self.next_key + i64::from(rows);
        let mode = if append { PutMode::Append } else { PutMode::Replace };
        let durability = durability.map(|durable| if durable { Durability::Durable } else { Durability::Ephemeral });
        let spec = spec(table, mode, durability);
        let rules = [("window", WINDOW)];
        let retention = change(if table == WINDOWED { &rules } else { &[] });
        // Now one caller, now the other, now nobody.
        let caller = CALLERS.get(keys.start as usize % 3).map(|caller| Arc::from(*caller));
        let spec = PutSpec { retention, caller, key: key.map(|key| key_of("ada", &key.to_string())), ..spec };
        if let Some(known) = key.and_then(|key| self.keyed.get(&(key, table))) {
            let asks = |spec: &PutSpec| (spec.mode, spec.durability);
            if keys.is_empty() && known.keys.is_empty() && asks(&spec) == asks(&known.spec) {
                // All contents without rows are the same.
                return;
            }
            self.assert_refused(put(&self.store, spec, keys).await);
            return;
        }
        self.next_key = keys.end;
        let conflict = self.model.get(table).is_some_and(|t| durability.is_some_and(|asked| asked != t.durability));
        match put(&self.store, spec.clone(), keys.clone()).await {
            Ok(receipt) => {
                assert!(!conflict);
                let new = || Modelled::new(receipt.table_id, durability.unwrap_or(Durability::Durable));
                let modelled = self.model.entry(table).or_insert_with(new);
                if !append {
                    modelled.keys.clear();
                    modelled.puts.clear();
                    modelled.is_prompt = true;
                }
                if table == WINDOWED {
                    modelled.is_prompt &= modelled.keys.is_empty() || modelled.has_window;
                    modelled.has_window = true;
                }
                modelled.add(keys.clone(), self.world.clock.steady());
                if let Some(key) = key {
                    let keyed = Keyed { spec, keys: keys.clone(), receipt: receipt.clone() };
                    self.keyed.insert((key, table), keyed);
                }
                let number = receipt.version.get();
                assert_eq!(number, modelled.versions.keys().last().map_or(1, |last| last + 1));
                if !append {
                    modelled.versions.clear();
                }
                modelled.versions.insert(number, modelled.keys.len());
                assert_eq!((receipt.table_id, receipt.rows), (modelled.id, modelled.keys.len() as u64));
                assert_eq!(receipt.durability, modelled.durability);
            }
            Err(error) if error.code() == codes::QUOTA_EXCEEDED => {
                assert_ne!(self.world.quotas.get().of_namespace("default"), Quota::default());
            }
            Err(error) if conflict => assert_eq!(error.code(), codes::DURABILITY_CONFLICT),
            Err(error) => self.assert_fault(&error),
        }
    }

    /// A put with a known key and other rows, unless a fault came first.
    fn assert_refused(&self, outcome: Result<Receipt>) {
        match outcome.expect_err("another content") {
            error if error.code() == codes::IDEMPOTENCY_CONFLICT => {}
            error => self.assert_fault(&error),
        }
    }

    async fn repeat(&self, key: u8, same: bool) {
        for (_, keyed) in self.keyed.iter().filter(|((known, _), _)| *known == key) {
            let Keyed { spec, keys, receipt } = keyed.clone();
            if !same {
                self.assert_refused(put(&self.store, spec, keys.start..keys.end + 1).await);
                continue;
            }
            match put(&self.store, spec, keys).await {
                Ok(again) => assert_eq!(again, receipt),
                Err(error) => self.assert_fault(&error),
            }
        }
    }

    async fn set_window(&mut self, table: &'static str, set: bool) {
        let rule = change(&[("window", if set { WINDOW } else { "none" })]);
        match self.store.set_retention(&name(table), rule).await {
            Ok(info) => {
                let modelled = self.model.get_mut(table).expect("a table");
                assert_eq!(
                    (info.table_id, info.version.get()),
                    (modelled.id, *modelled.versions.keys().last().expect("one"))
                );
                modelled.is_prompt &= modelled.keys.is_empty() || set == modelled.has_window;
                modelled.has_window = set;
            }
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => assert!(!self.model.contains_key(table)),
            Err(error) => self.assert_fault(&error),
        }
    }

    fn forget_old_rows(&mut self) {
        for (table, modelled) in &mut self.model {
            let snapshot = self.store.snapshot(&name(table), None, None).expect("a table");
            modelled.forget_old_rows(snapshot.info(), self.world.clock.steady());
        }
    }

    async fn drop_table(&mut self, table: &'static str) {
        match self.store.drop_table(&name(table)).await {
            Ok(info) => assert_eq!(self.model.remove(table).map(|modelled| modelled.id), Some(info.table_id)),
            Err(error) if error.code() == codes::TABLE_NOT_FOUND => assert!(!self.model.contains_key(table)),
            Err(error) if error.message().starts_with("the table is dropped, but") => drop(self.model.remove(table)),
            Err(error) => self.assert_fault(&error),
        }
    }

    fn assert_fault(&self, error: &airlane_model::Error) {
        let fault = [codes::STORAGE_FAILED, codes::STORAGE_FULL].contains(&error.code());
        assert!(fault && self.world.disk.disarm() > 0, "{error:?}");
    }

    fn read(&self, table: &'static str, back: u64) {
        let current = self.store.snapshot(&name(table), None, None);
        let Some(modelled) = self.model.get(table) else {
            assert_eq!(current.expect_err("no such table").code(), codes::TABLE_NOT_FOUND);
            return;
        };
        let number = current.expect("a table").info().version.get().saturating_sub(back);
        let Some(version) = Version::new(number) else { return };
        let snapshot = self.store.snapshot(&name(table), Some(version), Some(modelled.id));
        match modelled.versions.get(&number) {
            None => assert_eq!(snapshot.expect_err("no such version").code(), codes::VERSION_NOT_FOUND),
            Some(rows) => assert_eq!(keys(&snapshot.expect("a version")).expect("rows"), modelled.keys[..*rows]),
        }
    }

    async fn restart(&mut self) {
        self.world.disk.disarm();
        self.verify_reads();
        self.held.clear();
        self.store.close().await;
        self.model.retain(|_, modelled| modelled.durability == Durability::Durable);
        self.keyed.retain(|_, keyed| keyed.receipt.durability == Durability::Durable);
        // Time in which nothing was committed may be lost.
        self.model.values_mut().for_each(|modelled| modelled.is_prompt = false);
        self.store = open(Self::options(&self.folder, &self.world));
    }

    async fn crash(&mut self, table: &'static str, kept: bool) {
        self.world.disk.arm(When::From(1), if kept { Fault::UnknownKept } else { Fault::UnknownLost });
        if self.model.get(table).is_none_or(|modelled| modelled.durability == Durability::Durable) {
            let keys = self.next_key..self.next_key + 700;
            self.next_key = keys.end;
            let error = append(&self.store, table, keys.clone()).await.expect_err("an unknown commit");
            assert_eq!(error.code(), codes::COMMIT_UNKNOWN);
            self.restart().await;
            if kept {
                let info = self.store.snapshot(&name(table), None, None).expect("a table").info().clone();
                let new = || Modelled::new(info.table_id, Durability::Durable);
                let modelled = self.model.entry(table).or_insert_with(new);
                modelled.add(keys, self.world.clock.steady());
                modelled.versions.insert(info.version.get(), modelled.keys.len());
            }
        }
        self.world.disk.disarm();
    }

    fn verify_reads(&self) {
        for (table, modelled) in &self.model {
            assert_eq!(read(&self.store, table).expect("rows"), modelled.keys);
        }
        for (snapshot, expected) in &self.held {
            assert_eq!(&keys(snapshot).expect("a pinned version"), expected);
        }
    }

    async fn verify(&mut self) {
        self.world.disk.disarm();
        self.set_quota(None, None);
        self.verify_reads();
        assert_eq!(self.store.list("").len(), self.model.len());
        for key in 0..KEYS {
            self.repeat(key, true).await;
        }
        self.verify_reads();
        assert_eq!(self.store.idempotency_keys(), self.keyed.len() as u64);
        // One more sweep, for what a fault kept from being removed.
        replace(&self.store, "last", 0..1).await.expect("a put");
        replace(&self.store, "last", 0..1).await.expect("a put");
        assert_sound(&self.store).await;
        self.held.clear();
        for info in self.store.list("") {
            self.store.drop_table(&info.table).await.expect("a drop");
        }
        self.store.settle().await;
        assert_eq!(facts_of(&self.store), 0, "{:?}", self.store.memory());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn p1_the_store_does_what_the_model_does(
        seed in any::<u64>().no_shrink(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut run = Run::new(seed);
            for step in steps {
                run.step(step).await;
            }
            run.verify().await;
        });
    }
}
