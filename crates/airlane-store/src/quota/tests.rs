use Durability::{Durable, Ephemeral};

use super::*;
use crate::StoreOptions;

fn amount(tables: i64, bytes: i128) -> Amount {
    Amount { tables, bytes }
}

#[test]
fn what_another_plan_adds_counts_at_once_and_what_it_takes_away_when_it_is_published() {
    for of in [Of::Namespace, Of::Owner] {
        let ledger = Ledger::new(SharedQuotas::default());
        let plan = |lane, change| ledger.books.lock()[of as usize].plan(lane, "eu", change);
        let expected = |lane| ledger.books.lock()[of as usize].expected("eu", lane);
        let used = || ledger.books.lock()[of as usize].used("eu");
        plan(Durable, amount(2, 200));
        assert_eq!((expected(Durable), expected(Ephemeral)), (amount(2, 200), amount(2, 200)));
        assert_eq!(used(), amount(0, 0), "nobody sees it yet");
        ledger.publish(Durable);
        ledger.forget(Durable);
        assert_eq!(used(), amount(2, 200));

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
        let books = ledger.books.lock();
        assert!(books.iter().all(|book| book.used.is_empty()), "who has no tables is forgotten");
    }
}

#[test]
fn a_check_finds_totals_that_are_wrong() {
    let (store, _) = Store::open(StoreOptions::new(None)).expect("a store");
    assert_eq!(store.check(), [""; 0]);
    let books = || store.shared().ledger.books.lock();
    for (of, whose) in [(Of::Namespace, "namespaces"), (Of::Owner, "owners")] {
        books()[of as usize].used.insert("eu".into(), amount(0, 1));
        assert!(store.check()[0].contains(&format!("the totals of {whose} differ")));
        books()[of as usize].used.clear();
        books()[of as usize].plan(Durable, "eu", amount(1, 0));
        assert!(store.check()[0].contains(&format!("still counts for {whose}")));
        books()[of as usize].planned[Durable as usize].clear();
        assert_eq!(store.check(), [""; 0]);
    }
}
