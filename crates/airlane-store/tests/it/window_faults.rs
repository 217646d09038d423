//! A disk that fails when old rows go.

use std::sync::Arc;
use std::time::Duration;

use airlane_store::testing::{Fault, FaultDisk, ManualClock, When};
use airlane_store::{ExpiredRows, StoreOptions};

use crate::retention::{HOUR, MICRO, NOW, bytes_found, clock, over};
use crate::support::*;
use crate::window::{MINUTE, more, three_puts};

/// Every operation on the disk fails once, and from some point on: the rows are all there or gone as a whole, and go later.
#[tokio::test]
async fn d2_d5_the_nth_operation_fails_when_rows_go() {
    let mut failures = 0;
    for fault in [Fault::Failed, Fault::Full, Fault::ShortWrite] {
        for when in [When::Once, When::From] {
            for nth in 1.. {
                assert!(nth < 200, "rows take no end of operations to go");
                let (folder, clock, disk) = (tempfile::tempdir().expect("a folder"), clock(), FaultDisk::default());
                let mut store = open(StoreOptions { disk: Arc::new(disk.clone()), ..over(folder.path(), &clock) });
                three_puts(&store, &clock).await;
                clock.advance(20 * MINUTE + MICRO);
                store.settle().await;
                disk.arm(when(nth), fault);
                store.expire_due().await;
                store.settle().await;
                let operations = disk.disarm();
                let case = format!("{fault:?}, {:?}", when(nth));
                let after = store.list("")[0].rows;
                assert!([3_020, 10].contains(&after), "{case}: {after}");
                let expected: Vec<i64> = (900_000..900_010).chain(800_000..803_000).chain(700_000..700_010).collect();
                let skipped = usize::try_from(3_020 - after).expect("few");
                assert_eq!(read(&store, "t").expect("rows"), expected[skipped..], "{case}");
                failures += u64::from(after != 10 || store.failure().is_some());
                if store.failure().is_some() {
                    store.close().await;
                    store = open(StoreOptions { disk: Arc::new(disk.clone()), ..over(folder.path(), &clock) });
                }
                more(&store, 1..2).await;
                clock.advance(Duration::from_secs(30));
                store.expire_due().await;
                assert_eq!(store.list("")[0].rows, 11, "{case}");
                // One more sweep, for what could not be removed.
                replace(&store, "last", 0..3_000).await.expect("a put");
                replace(&store, "last", 0..3).await.expect("a put");
                store.drop_table(&name("last")).await.expect("a drop");
                assert_sound(&store).await;
                assert!(files(folder.path()).is_empty() && !bytes_found(folder.path(), b"row 900001"), "{case}");
                if nth > operations {
                    assert_eq!(after, 10, "{case}");
                    break;
                }
            }
        }
    }
    assert!(failures > 3, "only {failures} failed");
}

/// A commit whose outcome is unknown: the next start finds all rows, or those that are left.
#[tokio::test]
async fn d2_an_unknown_outcome_is_decided_by_the_next_start() {
    for (fault, rows) in [(Fault::UnknownKept, 10), (Fault::UnknownLost, 3_020)] {
        let (folder, clock, disk) = (tempfile::tempdir().expect("a folder"), clock(), FaultDisk::default());
        let store = open(StoreOptions { disk: Arc::new(disk.clone()), ..over(folder.path(), &clock) });
        three_puts(&store, &clock).await;
        clock.advance(20 * MINUTE + MICRO);
        disk.arm(When::From(1), fault);
        store.expire_due().await;
        disk.disarm();
        assert!(store.failure().is_some());
        assert_eq!(store.expired_rows(), ExpiredRows::default());
        store.close().await;
        let next = Arc::new(ManualClock::new(NOW));
        let store = open(over(folder.path(), &next));
        assert_eq!(store.list("")[0].rows, rows);
        next.advance(HOUR);
        store.expire_due().await;
        assert_eq!(store.list("")[0].rows, 0);
        assert!(files(folder.path()).is_empty());
        assert_sound(&store).await;
    }
}
