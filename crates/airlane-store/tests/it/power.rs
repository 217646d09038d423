//! Power goes after every operation on the disk; a start finds what was acknowledged.

use std::sync::Arc;

use airlane_store::testing::{PowerDisk, Removals};
use airlane_store::{Store, StoreOptions};

use crate::kills::{Request, State, apply, request, state_of};
use crate::support::*;

/// All kinds of requests, and enough appends that they are merged.
const REQUESTS: usize = 16;

/// The data folder below the top: two of its levels are made by the first start.
const DATA: &str = "new/data";

async fn run(store: &Store, number: usize) {
    let done = match request(number) {
        Request::Replace(table, keys) => replace(store, table, keys).await.map(drop),
        Request::Append(table, keys) => append(store, table, keys).await.map(drop),
        Request::Drop(table) => store.drop_table(&name(table)).await.map(drop),
    };
    done.unwrap_or_else(|error| panic!("request {number}: {error:?}"));
}

#[tokio::test]
async fn d1_d3_power_lost_after_any_operation_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = PowerDisk::new(folder.path()).expect("a disk");
    let options_of = |top: &std::path::Path| by_hand(options(&top.join(DATA)));
    let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..options_of(folder.path()) });
    let mut states = vec![State::new()];
    for number in 0..REQUESTS {
        run(&store, number).await;
        disk.acknowledge();
        while store.merge_step().await {}
        store.settle().await;
        let mut state = states.last().cloned().unwrap_or_default();
        apply(&mut state, number);
        states.push(state);
    }
    assert_eq!(state_of(&store), states[REQUESTS]);
    store.close().await;

    let cuts = disk.take_cuts();
    assert!(cuts.len() > 20, "{} cuts", cuts.len());
    for (index, cut) in cuts.iter().enumerate() {
        for removals in [Removals::Lost, Removals::Kept] {
            let top = tempfile::tempdir().expect("a folder");
            cut.restore(top.path(), removals).expect("what a cut leaves");
            let (store, recovery) = Store::open(options_of(top.path())).expect("the store opens");
            let case = format!("cut {index}, {removals:?}, after {} requests", cut.acknowledged);
            assert_eq!(recovery.damaged, [], "{case}");
            let found = state_of(&store);
            // The request under way may have been committed, and not answered yet.
            let possible = &states[cut.acknowledged..(cut.acknowledged + 2).min(states.len())];
            assert!(possible.contains(&found), "{case}: {:?}", found.keys());
            assert_sound(&store).await;
            store.close().await;
        }
    }
}
