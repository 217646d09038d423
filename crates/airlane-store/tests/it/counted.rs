//! Counted reads against a model: whatever readers, clocks and restarts do, no counter gives more reads than it has, and
//! what is free is given.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::{
    Durability, PutMode, ReadId, ReadPart, ReadsAllowed, Result, RowRange, TicketId, Timestamp, codes,
};
use airlane_segment::MemoryUse;
use airlane_store::testing::{Fault, FaultDisk, ManualClock, When};
use airlane_store::{CountedRead, LEASE, ReadSpec, Store, StoreOptions, TicketCount};
use proptest::prelude::*;

use crate::support::*;

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const ROWS: u64 = 10;
/// Reads that a ticket has, and those that its table has.
const TICKET_READS: u64 = 2;
const TABLE_READS: u64 = 3;

fn ticket(number: u8, at_most_once: bool) -> TicketCount {
    let max = NonZeroU64::new(TICKET_READS).expect("some");
    let until = NOW.saturating_add(Duration::from_secs(86_400));
    TicketCount { id: TicketId::from_bytes([number; 16]), allowed: ReadsAllowed { max, until, at_most_once } }
}

fn begin(store: &Store, spec: &ReadSpec) -> Result<CountedRead> {
    let snapshot = store.snapshot(&name("t"), None, None)?;
    Ok(store.begin_counted(&snapshot, spec)?.expect("reads are counted"))
}

fn whole(ticket: Option<TicketCount>, part: Option<ReadPart>) -> ReadSpec {
    ReadSpec { ticket, part, rows: RowRange { start: 0, end: ROWS }, arrived: None, is_to_confirm: false }
}

fn finish(mut read: CountedRead) -> Result<()> {
    read.begin()?;
    read.handed_over(ROWS);
    read.end()
}

#[derive(Clone, Debug)]
enum Step {
    /// By which ticket, and whether as a part of a read that may have others.
    Begin(u8, bool),
    /// Of the streams that are open, one is given its first row.
    First(usize),
    End(usize),
    Vanish(usize),
    Wait(u64),
    Put,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, any::<bool>()).prop_map(|(ticket, part)| Step::Begin(ticket, part)),
        2 => any::<usize>().prop_map(Step::First),
        3 => any::<usize>().prop_map(Step::End),
        2 => any::<usize>().prop_map(Step::Vanish),
        2 => (1..40_u64).prop_map(Step::Wait),
        1 => Just(Step::Put),
        1 => Just(Step::Restart),
    ]
}

/// A read as the model sees it: one stream each, since what several do is for the tests of the exchange.
struct Modelled {
    stream: Option<CountedRead>,
    ticket: u8,
    is_part: bool,
    is_burnt: bool,
    /// The commits of the table when it began.
    commits: u64,
    /// When its claim ends by itself.
    lease: Option<Duration>,
}

#[derive(Default)]
struct Model {
    reads: Vec<Modelled>,
    tickets: BTreeMap<u8, u64>,
    table: u64,
    commits: u64,
    elapsed: Duration,
}

/// Tickets 0 and 1 read at least once, 2 at most once; 3 is none, and only the table counts.
const AT_MOST_ONCE: u8 = 2;
const NONE: u8 = 3;

impl Model {
    /// What is held and not used: of a ticket, and of the table.
    fn claims(&self, ticket: u8) -> (u64, u64) {
        let held = self.reads.iter().filter(|read| read.lease.is_none_or(|lease| lease > self.elapsed));
        let held: Vec<_> = held.collect();
        let of_ticket = held.iter().filter(|read| read.ticket == ticket && !read.is_burnt).count();
        let of_table = held.iter().filter(|read| read.commits == self.commits).count();
        (of_ticket as u64, of_table as u64)
    }

    fn expected(&self, ticket: u8) -> Option<airlane_model::Code> {
        let (of_ticket, of_table) = self.claims(ticket);
        let used = self.tickets.get(&ticket).copied().unwrap_or_default();
        match ticket {
            NONE => {}
            _ if used >= TICKET_READS => return Some(codes::TICKET_USED),
            _ if used + of_ticket >= TICKET_READS => return Some(codes::TICKET_IN_USE),
            _ => {}
        }
        (self.table + of_table >= TABLE_READS).then_some(codes::TICKET_IN_USE)
    }

    fn burn(&mut self, index: usize) {
        let read = &mut self.reads[index];
        if read.ticket == AT_MOST_ONCE && !read.is_burnt {
            read.is_burnt = true;
            *self.tickets.entry(AT_MOST_ONCE).or_default() += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_counter_gives_more_reads_than_it_has(steps in prop::collection::vec(step(), 1..60), durable in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(NOW));
        let durability = if durable { Durability::Durable } else { Durability::Ephemeral };
        let open_store = || open(by_hand(StoreOptions { clock: clock.clone(), ..options(folder.path()) }));
        let rule = change(&[("reads", "3")]);
        let new_table = |store: &Store| {
            let spec = airlane_store::PutSpec { retention: rule, ..spec("t", PutMode::Replace, Some(durability)) };
            runtime.block_on(put(store, spec, 0..ROWS as i64)).expect("a put");
        };
        let mut store = open_store();
        new_table(&store);
        let mut model = Model::default();
        let mut number = 0_u128;
        for step in steps {
            let open_reads: Vec<usize> = (0..model.reads.len()).filter(|read| model.reads[*read].stream.is_some()).collect();
            let chosen = |which: usize| (!open_reads.is_empty()).then(|| open_reads[which % open_reads.len()]);
            match step {
                Step::Begin(of, is_part) => {
                    number += 1;
                    let rows = RowRange { start: 0, end: ROWS };
                    let part = is_part.then(|| ReadPart { id: ReadId::from_bytes(number.to_be_bytes()), rows });
                    let counted = (of != NONE).then(|| ticket(of, of == AT_MOST_ONCE));
                    let expected = model.expected(of);
                    match begin(&store, &whole(counted, part)) {
                        Ok(stream) => {
                            prop_assert_eq!(None, expected);
                            let (commits, stream) = (model.commits, Some(stream));
                            model.reads.push(Modelled { stream, ticket: of, is_part, is_burnt: false, commits, lease: None });
                        }
                        Err(error) => prop_assert_eq!(Some(error.code()), expected, "{}", error),
                    }
                }
                Step::First(which) => if let Some(index) = chosen(which) {
                    model.reads[index].stream.as_mut().expect("open").begin().expect("a commit");
                    model.burn(index);
                },
                Step::End(which) => if let Some(index) = chosen(which) {
                    model.burn(index);
                    let read = model.reads.remove(index);
                    finish(read.stream.expect("open")).expect("a commit");
                    if read.ticket != NONE && read.ticket != AT_MOST_ONCE {
                        *model.tickets.entry(read.ticket).or_default() += 1;
                    }
                    model.table += u64::from(read.commits == model.commits);
                    if model.table == TABLE_READS {
                        prop_assert!(store.list("").is_empty(), "it went with its last read");
                        new_table(&store);
                        (model.table, model.commits) = (0, model.commits + 1);
                    }
                },
                Step::Vanish(which) => if let Some(index) = chosen(which) {
                    drop(model.reads[index].stream.take());
                    match model.reads[index].is_part {
                        true => model.reads[index].lease = Some(model.elapsed + LEASE),
                        false => drop(model.reads.remove(index)),
                    }
                },
                Step::Wait(seconds) => {
                    clock.advance(Duration::from_secs(seconds));
                    model.elapsed += Duration::from_secs(seconds);
                }
                Step::Put => {
                    new_table(&store);
                    (model.table, model.commits) = (0, model.commits + 1);
                }
                Step::Restart => {
                    model.reads.clear();
                    runtime.block_on(store.close());
                    store = open_store();
                    if !durable {
                        // What was used of tickets of a table in memory ended with it.
                        model.tickets.clear();
                        new_table(&store);
                        (model.table, model.commits) = (0, model.commits + 1);
                    }
                }
            }
            prop_assert!(store.list("").len() == 1);
        }
        model.reads.clear();
        runtime.block_on(assert_sound(&store));
    }
}

/// A disk that fails takes no read: its reader hears of it, and may read again.
#[tokio::test]
async fn d5_a_read_that_cannot_be_kept_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(FaultDisk::default());
    let store = open(by_hand(StoreOptions { disk: disk.clone(), ..options(folder.path()) }));
    replace(&store, "t", 0..ROWS as i64).await.expect("a put");
    for at_most_once in [false, true] {
        let spec = whole(Some(ticket(1 + u8::from(at_most_once), at_most_once)), None);
        finish(begin(&store, &spec).expect("a claim")).expect("the first");
        disk.arm(When::Once(1), Fault::Full);
        let refused = finish(begin(&store, &spec).expect("a claim")).expect_err("no room");
        assert_eq!(refused.code(), codes::STORAGE_FULL);
        disk.disarm();
        finish(begin(&store, &spec).expect("a claim")).expect("the second");
        assert_eq!(begin(&store, &spec).expect_err("used up").code(), codes::TICKET_USED);
    }
    assert_sound(&store).await;
}

/// The same of a confirmation: it can be said again, for as long as a lease.
#[tokio::test]
async fn d5_a_confirmation_that_cannot_be_kept_can_be_said_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (disk, clock) = (Arc::new(FaultDisk::default()), Arc::new(ManualClock::new(NOW)));
    let options = StoreOptions { disk: disk.clone(), clock: clock.clone(), ..options(folder.path()) };
    let store = open(by_hand(options));
    let table = replace(&store, "t", 0..ROWS as i64).await.expect("a put");
    for (number, in_time) in [(1, true), (2, false)] {
        let ticket = ticket(number, false);
        let id = ReadId::from_bytes([number; 16]);
        let part = ReadPart { id, rows: RowRange { start: 0, end: ROWS } };
        let spec = ReadSpec { is_to_confirm: true, ..whole(Some(ticket), Some(part)) };
        let confirm = || store.confirm_read(&name("t"), table.table_id, id, ticket.allowed.until);
        finish(begin(&store, &spec).expect("a claim")).expect("its end");
        clock.advance(LEASE / 2);
        disk.arm(When::Once(1), Fault::Full);
        assert_eq!(confirm().expect_err("no room").code(), codes::STORAGE_FULL);
        disk.disarm();
        clock.advance(if in_time { LEASE - Duration::from_micros(1) } else { LEASE });
        // Its claim is held, or given back: of the two reads one or both are free.
        let others: Vec<_> = (0..2).map(|_| begin(&store, &whole(Some(ticket), None)).map(drop).is_ok()).collect();
        assert_eq!(others, [true; 2], "readers that go away");
        let held = [(); 2].map(|()| begin(&store, &whole(Some(ticket), None)));
        assert_eq!(held[1].is_ok(), !in_time, "{held:?}");
        drop(held);
        let outcome = confirm();
        assert_eq!(outcome.map_err(|error| error.code()), if in_time { Ok(()) } else { Err(codes::READ_GIVEN_BACK) });
        finish(begin(&store, &whole(Some(ticket), None)).expect("a claim")).expect("a read");
        assert_eq!(begin(&store, &whole(Some(ticket), None)).is_ok(), !in_time);
    }
    assert_sound(&store).await;
}

/// Counts do not pile up: those of tickets that have expired go with the next that is kept, by both clocks.
#[tokio::test]
async fn d10_counts_are_forgotten_when_their_tickets_have_expired_by_both_clocks() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(NOW));
    let store = open(by_hand(StoreOptions { clock: clock.clone(), ..options(folder.path()) }));
    replace(&store, "t", 0..ROWS as i64).await.expect("a put");
    let use_one = |number: u8| finish(begin(&store, &whole(Some(ticket(number, false)), None))?);
    for number in 1..=100 {
        use_one(number).expect("a read");
    }
    assert_eq!(store.counted_reads(), (100, 0));
    // A clock that somebody sets forgets nothing.
    clock.set(NOW.saturating_add(Duration::from_secs(10 * 365 * 86_400)));
    use_one(101).expect("a read");
    assert_eq!(store.counted_reads().0, 101);
    clock.set(NOW);
    clock.advance(Duration::from_secs(86_401));
    clock.set(NOW);
    use_one(102).expect("a read");
    assert_eq!(store.counted_reads().0, 102, "nor does time alone, while the wall clock says that they are good");
    clock.set(NOW.saturating_add(Duration::from_secs(86_401)));
    use_one(103).expect("a read");
    assert!(store.counted_reads().0 < 102);
    use_one(104).expect("a read");
    assert!(store.counted_reads().0 <= 5, "{:?}", store.counted_reads());
    assert_sound(&store).await;
}

/// Who signs tickets without end takes no memory without end, and makes no used ticket good.
#[tokio::test]
async fn d10_used_reads_have_a_bound() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(ManualClock::new(NOW)));
    let over = || {
        let options = StoreOptions { clock: clock.clone(), counted_tickets_max: 3, ..options(folder.path()) };
        open(by_hand(options))
    };
    let mut store = over();
    let remembered = |store: &Store| {
        let used = store.memory().used;
        used.iter().find(|(usage, _)| *usage == MemoryUse::Remembered).map(|(_, bytes)| bytes.as_u64()).expect("a use")
    };
    replace(&store, "t", 0..ROWS as i64).await.expect("a put");
    let one = |number: u8| whole(Some(ticket(number, false)), None);
    assert_eq!(remembered(&store), 0);
    for number in [1, 1, 2, 2] {
        finish(begin(&store, &one(number)).expect("a claim")).expect("a read");
    }
    let of_two = remembered(&store);
    assert!(of_two > 0);
    let under_way = begin(&store, &one(3)).expect("the third");
    let refused = begin(&store, &one(4)).expect_err("one too many");
    assert_eq!(refused.code(), codes::MEMORY_FULL);
    finish(under_way).expect("what was begun ends well");
    assert_eq!(remembered(&store), of_two / 2 * 3);
    for _ in 0..2 {
        assert_eq!(begin(&store, &one(4)).expect_err("still").code(), codes::MEMORY_FULL);
        assert_eq!(begin(&store, &one(1)).expect_err("used up").code(), codes::TICKET_USED);
        store.close().await;
        store = over();
    }
    clock.advance(Duration::from_secs(86_401));
    finish(begin(&store, &one(4)).expect("others have ended")).expect("a read");
    assert_eq!(store.counted_reads(), (1, 0));
    assert_eq!(remembered(&store), of_two / 2);
    assert_sound(&store).await;
}

/// A count that is damaged gives nobody a read.
#[tokio::test]
async fn d4_a_ticket_whose_count_is_damaged_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(by_hand(options(folder.path())));
    replace(&store, "t", 0..ROWS as i64).await.expect("a put");
    for number in [1, 2] {
        finish(begin(&store, &whole(Some(ticket(number, false)), None)).expect("a claim")).expect("a read");
    }
    store.close().await;
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.db")).expect("the catalog");
    let damage =
        format!("UPDATE counts SET id = CAST(x'07' || substr(id, 2) AS BLOB) WHERE id = x'{}'", "01".repeat(16));
    assert_eq!(catalog.execute(&damage, []).expect("a change"), 1);
    drop(catalog);
    let store = open(by_hand(options(folder.path())));
    let refused = begin(&store, &whole(Some(ticket(1, false)), None)).expect_err("damaged");
    assert_eq!(refused.code(), codes::DATA_DAMAGED);
    finish(begin(&store, &whole(Some(ticket(2, false)), None)).expect("a claim")).expect("the others are not touched");
    finish(begin(&store, &whole(Some(ticket(3, false)), None)).expect("a claim")).expect("nor new ones");
}
