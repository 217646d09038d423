use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let budget = MemoryBudget::new(ByteSize::bytes(100), || {});
    let mut tables = budget.charge(MemoryUse::Tables, 60).expect("fits");
    let error = budget.charge(MemoryUse::Puts, 41).expect_err("too much");
    assert_eq!(error.code(), codes::MEMORY_FULL);
    assert!(error.message().contains("tables 60 B"), "{error}");
    assert_eq!(tables.resize(101).expect_err("too much").code(), codes::MEMORY_FULL);
    assert_eq!((tables.bytes(), budget.used()), (60, ByteSize::bytes(60)));
    tables.resize(100).expect("all there is");
    assert_eq!(budget.charge(MemoryUse::Puts, u64::MAX).expect_err("no overflow").code(), codes::MEMORY_FULL);
    tables.resize(10).expect("less");
    tables.move_to(MemoryUse::Spare);
    let reads = budget.overdraw(MemoryUse::Reads, 200);
    assert_eq!(MemoryUse::ALL.map(|usage| budget.used_for(usage).as_u64()), [0, 0, 200, 10, 0, 0, 0, 0]);
    assert!(budget.charge(MemoryUse::Puts, 1).is_err(), "a budget that is overdrawn gives nothing");
    drop((reads, tables));
    assert_eq!(budget.used(), ByteSize::bytes(0));
}

#[test]
fn what_comes_back_is_told() {
    let calls = Arc::new(AtomicUsize::new(0));
    let told = calls.clone();
    let budget = MemoryBudget::new(ByteSize::kib(1), move || {
        told.fetch_add(1, Ordering::Relaxed);
    });
    let mut charge = budget.charge(MemoryUse::Puts, 100).expect("fits");
    charge.resize(200).expect("fits");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    charge.shrink(50);
    charge.shrink(60);
    assert_eq!((charge.bytes(), calls.load(Ordering::Relaxed)), (50, 1));
    drop(charge);
    drop(budget.begin(MemoryUse::Puts));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn many_threads_never_take_more_than_there_is() {
    let budget = MemoryBudget::new(ByteSize::bytes(1_000), || {});
    let largest = AtomicU64::new(0);
    thread::scope(|scope| {
        for first in 1..=4_u64 {
            let (budget, largest) = (&budget, &largest);
            scope.spawn(move || {
                let mut held = Vec::new();
                for step in 0..5_000 {
                    match budget.charge(MemoryUse::Puts, (step * first) % 150) {
                        Ok(charge) => held.push(charge),
                        Err(_) => held.clear(),
                    }
                    largest.fetch_max(budget.used().as_u64(), Ordering::Relaxed);
                }
            });
        }
    });
    assert!((500..=1_000).contains(&largest.load(Ordering::Relaxed)), "{largest:?}");
    assert_eq!(budget.used(), ByteSize::bytes(0));
}

#[test]
fn what_must_not_be_forgotten_is_taken_whether_it_is_there_or_not() {
    let budget = MemoryBudget::new(ByteSize::bytes(100), || {});
    let mut charge = budget.begin(MemoryUse::Remembered);
    for bytes in [90, 250, 40, 130] {
        charge.overdraw_to(bytes);
        let used = (budget.used().as_u64(), budget.used_for(MemoryUse::Remembered).as_u64(), charge.bytes());
        assert_eq!(used, (bytes, bytes, bytes));
    }
    assert!(budget.charge(MemoryUse::Puts, 1).is_err());
    drop(charge);
    assert_eq!(budget.used(), ByteSize::bytes(0));
}

#[test]
fn frames_are_given_up_before_anything_is_refused_and_not_in_vain() {
    let frames = Arc::new(Mutex::new(Vec::<Charge>::new()));
    let kept = frames.clone();
    let budget =
        MemoryBudget::reclaiming(ByteSize::bytes(100), || {}, move |_| kept.lock().expect("whole").pop().is_some());
    for _ in 0..4 {
        let frame = budget.overdraw(MemoryUse::Frames, 10);
        frames.lock().expect("whole").push(frame);
    }
    let tables = budget.charge(MemoryUse::Tables, 75).expect("fits without some of them");
    assert_eq!(budget.used_for(MemoryUse::Frames), ByteSize::bytes(20), "as many as it takes");
    for bytes in [46, 1_000, u64::MAX] {
        assert_eq!(budget.charge(MemoryUse::Puts, bytes).expect_err("never").code(), codes::MEMORY_FULL);
        assert_eq!(budget.used_for(MemoryUse::Frames), ByteSize::bytes(20), "{bytes} do not fit without them either");
    }
    drop((tables, budget.charge(MemoryUse::Puts, 25).expect("all there is")));
    frames.lock().expect("whole").clear();
    assert_eq!(budget.used(), ByteSize::bytes(0));
}
