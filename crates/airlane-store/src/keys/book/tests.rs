use std::time::Duration;

use airlane_model::ByteSize;

use super::*;

const LIMITS: KeyLimits = KeyLimits {
    time: Duration::from_secs(60),
    count: 3,
    durable_bytes: ByteSize::bytes(1_000),
    ephemeral_bytes: ByteSize::bytes(500),
};

fn at(seconds: u64) -> Uptime {
    Uptime::from_micros(seconds * 1_000_000)
}

fn key(hash: u64, seconds: u64) -> KeyFacts {
    KeyFacts { hash, also: None, bytes: 100, uptime: at(seconds), is_damaged: false }
}

#[test]
fn d10_a_key_goes_when_it_is_old_and_not_among_the_newest() {
    let book = KeyBook::new(LIMITS, &MemoryBudget::unlimited());
    book.keep(Durability::Durable, &[key(1, 0), key(2, 1), key(3, 2)]);
    let due = |coming: &[KeyFacts], now| book.due(Durability::Durable, coming, at(now));
    assert_eq!(due(&[], 10_000), 0, "old, but among the newest");
    assert_eq!(due(&[key(4, 60)], 60), 0, "not among the newest, but not old");
    assert_eq!(due(&[key(4, 61)], 61), 1);
    assert_eq!(due(&[key(4, 62), key(5, 62)], 62), 2);
    assert_eq!(due(&[key(4, 99), key(5, 99)], 99), 2, "the newest three stay");
    book.keep(Durability::Durable, &[key(4, 61)]);
    book.forget(Durability::Durable, 1);
    assert_eq!((book.count(), book.may_know(1), book.may_know(2), book.may_know(4)), (3, false, true, true));
}

#[test]
fn d10_what_has_no_room_goes_early() {
    let book = KeyBook::new(LIMITS, &MemoryBudget::unlimited());
    let keys: Vec<_> = (0..5).map(|hash| key(hash, 0)).collect();
    for (durability, due) in [(Durability::Ephemeral, 1), (Durability::Durable, 0)] {
        book.keep(durability, &keys);
        assert_eq!(book.due(durability, &[key(9, 0)], at(0)), due);
    }
    book.forget(Durability::Ephemeral, 1);
    assert!(book.may_know(0), "the other catalog has it");
    book.forget(Durability::Durable, 1);
    assert!(!book.may_know(0));
    book.forget(Durability::Durable, 100);
    assert_eq!(book.count(), 4);
    assert_eq!(book.due(Durability::Durable, &[], at(1_000_000)), 0, "there are none");
}

#[test]
fn d10_many_that_are_due_go_in_pieces() {
    let limits = KeyLimits { durable_bytes: ByteSize::mib(1), ..LIMITS };
    let book = KeyBook::new(limits, &MemoryBudget::unlimited());
    book.keep(Durability::Durable, &(0..1_000).map(|hash| key(hash, 0)).collect::<Vec<_>>());
    let due = (0..5).map(|commit| {
        let coming = [key(10_000 + commit, 61 + commit)];
        let due = book.due(Durability::Durable, &coming, at(61 + commit));
        book.keep(Durability::Durable, &coming);
        book.forget(Durability::Durable, due);
        due
    });
    assert_eq!(due.collect::<Vec<_>>(), [FORGOTTEN_MAX, FORGOTTEN_MAX, FORGOTTEN_MAX, 232, 0]);
    assert_eq!(book.count(), 5);
}

/// A small server remembers fewer: neither catalog's keys take more than an eighth of its memory.
#[test]
fn d10_keys_stay_within_a_part_of_the_memory_and_are_counted() {
    let budget = MemoryBudget::new(ByteSize::kib(64), || {});
    let book = KeyBook::new(KeyLimits::default(), &budget);
    for durability in [Durability::Ephemeral, Durability::Durable] {
        let before = budget.used();
        for hash in 0..1_000 {
            let bytes = if durability == Durability::Ephemeral { EPHEMERAL_KEY_BYTES } else { ROW_BYTES + 1 };
            let coming = [KeyFacts { bytes: bytes as u32, ..key(hash, 0) }];
            let due = book.due(durability, &coming, at(0));
            book.keep(durability, &coming);
            book.forget(durability, due);
        }
        let bytes = budget.used_for(MemoryUse::Remembered).as_u64() - before.as_u64();
        assert!((7 << 10..=8 << 10).contains(&bytes), "{durability}: {bytes}");
    }
    drop(book);
    assert_eq!(budget.used(), ByteSize::bytes(0));
}

/// The uptime of a damaged row is not known: it is taken for that of its neighbour, and never for an old one.
#[test]
fn d10_d4_damage_makes_no_key_old() {
    let book = KeyBook::new(KeyLimits { count: 1, ..LIMITS }, &MemoryBudget::unlimited());
    let damaged = KeyFacts { uptime: Uptime::default(), is_damaged: true, ..key(2, 0) };
    book.keep(Durability::Durable, &[key(1, 500), damaged, key(3, 501)]);
    assert_eq!(book.due(Durability::Durable, &[], at(560)), 0);
    assert_eq!(book.due(Durability::Durable, &[], at(561)), 2);
}
