use Durability::{Durable, Ephemeral};

use super::*;
use crate::StoreOptions;

fn amount(tables: i64, bytes: i128) -> Amount {
    Amount { tables, bytes }
}

#[test]
fn what_another_plan_adds_counts_at_once_and_what_it_takes_away_when_it_is_published() {
    let ledger = Ledger::new(SharedQuotas::default());
    let plan = |lane, change| ledger.state.lock().plan(lane, "eu", change);
    let expected = |lane| ledger.state.lock().expected("eu", lane);
    plan(Durable, amount(2, 200));
    assert_eq!((expected(Durable), expected(Ephemeral)), (amount(2, 200), amount(2, 200)));
    assert_eq!(ledger.state.lock().used("eu"), amount(0, 0), "nobody sees it yet");
    ledger.publish(Durable);
    ledger.forget(Durable);
    assert_eq!(ledger.state.lock().used("eu"), amount(2, 200));

    plan(Durable, amount(-1, -150));
    plan(Ephemeral, amount(1, 30));
    assert_eq!((expected(Durable), expected(Ephemeral)), (amount(2, 80), amount(3, 230)));
    plan(Durable, amount(0, 160));
    assert_eq!(expected(Ephemeral), amount(3, 240), "of a plan counts what all of it does");
    ledger.forget(Durable);
    assert_eq!((expected(Durable), expected(Ephemeral)), (amount(3, 230), amount(3, 230)), "it was abandoned");
    ledger.publish(Ephemeral);
    plan(Durable, amount(-3, -230));
    ledger.publish(Durable);
    assert!(ledger.state.lock().used.is_empty(), "a namespace without tables is forgotten");
}

#[test]
fn a_check_finds_totals_that_are_wrong() {
    let (store, _) = Store::open(StoreOptions::new(None)).expect("a store");
    assert_eq!(store.check(), [""; 0]);
    let ledger = &store.shared().ledger;
    ledger.state.lock().used.insert("eu".into(), amount(0, 1));
    assert!(store.check().iter().any(|found| found.contains("the totals of namespaces differ")));
    ledger.state.lock().used.clear();
    ledger.state.lock().plan(Durable, "eu", amount(1, 0));
    assert!(store.check().iter().any(|found| found.contains("still counts")));
}
