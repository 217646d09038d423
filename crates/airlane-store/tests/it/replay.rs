//! A seed replays a run: the same requests do the same to the disk, down to the names of the files.

use std::sync::Arc;
use std::time::Duration;

use airlane_model::{Clock, TableInfo, Timestamp};
use airlane_store::StoreOptions;
use airlane_store::testing::{Fault, FaultDisk, ManualClock, Operation, SeededChance, When};

use crate::support::*;

/// What a run leaves to compare: everything that was done to the disk, and the tables with their ids and times.
#[derive(Debug, PartialEq)]
struct Trace {
    log: Vec<(Operation, String)>,
    tables: Vec<TableInfo>,
}

const BEGIN: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// Puts, appends, merges, a fault, a drop and a restart.
async fn run(seed: u64) -> Trace {
    let folder = tempfile::tempdir().expect("a folder");
    // The log has the names of folders too, and that of a temporary one is never the same.
    let root = folder.path().join("root/data");
    let (disk, clock) = (FaultDisk::default(), Arc::new(ManualClock::new(BEGIN)));
    let chance = Arc::new(SeededChance::new(seed));
    let options = || {
        let (disk, clock, chance) = (Arc::new(disk.clone()), clock.clone(), chance.clone());
        by_hand(StoreOptions { disk, clock, chance, ..options(&root) })
    };
    std::fs::create_dir(folder.path().join("root")).expect("a folder");
    let mut store = open(options());
    for round in 0..3 {
        replace(&store, "large", 0..3_000).await.expect("a put");
        // Removals are another thread's; waiting for it gives them their place in the log.
        store.settle().await;
        clock.advance(Duration::from_secs(1));
        for part in 0..12 {
            append(&store, "growing", part * 40..(part + 1) * 40).await.expect("an append");
        }
        while store.merge_step().await {
            store.settle().await;
        }
        disk.arm(When::Once(3 + round), Fault::Failed);
        replace(&store, "large", 0..3_000).await.expect_err("a fault");
        disk.disarm();
        store.settle().await;
        append(&store, "large", 3_000..3_002).await.expect("an append");
        replace(&store, "small", 0..3).await.expect("a put");
        store.drop_table(&name("small")).await.expect("a drop");
        store.settle().await;
        store.close().await;
        clock.advance(Duration::from_secs(60));
        store = open(options());
        assert_eq!(read(&store, "large").expect("rows"), (0..3_002).collect::<Vec<_>>());
    }
    assert_eq!(clock.now().saturating_since(BEGIN), Duration::from_secs(183));
    Trace { log: disk.take_log(), tables: store.list("") }
}

#[tokio::test]
async fn the_same_seed_does_the_same() {
    let (first, second, other) = (run(7).await, run(7).await, run(8).await);
    assert!(first.log.len() > 100 && first.tables.len() == 2, "{first:?}");
    let differ = first.log.iter().zip(&second.log).position(|(first, second)| first != second);
    assert_eq!(differ, None, "{:?} and {:?}", differ.map(|at| &first.log[at]), differ.map(|at| &second.log[at]));
    assert_eq!(first, second);

    assert_ne!(first.log, other.log, "another seed names other files");
    let ids = |trace: &Trace| trace.tables.iter().map(|info| info.table_id).collect::<Vec<_>>();
    assert!(ids(&first).iter().all(|id| !ids(&other).contains(id)), "{first:?} and {other:?}");
    // What the requests did is the same: only the names differ.
    let done = |trace: &Trace| trace.log.iter().map(|(operation, _)| *operation).collect::<Vec<_>>();
    assert_eq!(done(&first), done(&other));
}
