//! Compressed messages that are kept for the next reader: how they come in, and what makes them go.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use airlane_model::{ByteSize, Durability, PutMode, Result, Timestamp};
use airlane_segment::{Codec, MemoryUse, Message};
use airlane_store::testing::ManualClock;
use airlane_store::{Asked, Frame, FrameForm, FramePart, Making, MemoryOptions, SegmentRef, Store, StoreOptions};
use bytes::Bytes;

use crate::support::*;

const LIMIT: u64 = 512 << 10;
/// Where no more is kept, whatever the bound.
const HIGH: u64 = LIMIT / 16 * 14;
/// Bytes of the messages here, and what one is charged.
const BODY: usize = 4 << 10;
const CHARGED: u64 = BODY as u64 + 512;
/// Rows of a table of about 72 KiB.
const ROWS: i64 = 3_000;
const PIECE: u64 = 80 << 10;

fn store_of(folder: Option<&Path>, bound: u64) -> Store {
    open(options_of(folder, bound))
}

fn options_of(folder: Option<&Path>, bound: u64) -> StoreOptions {
    let memory = MemoryOptions {
        limit: ByteSize::bytes(LIMIT),
        frames_max: Some(ByteSize::bytes(bound)),
        disk_free_min: ByteSize::bytes(0),
        ..MemoryOptions::default()
    };
    by_hand(StoreOptions { memory, writer: small_sizes(), ..StoreOptions::new(folder.map(Path::to_owned)) })
}

async fn put_ephemeral(store: &Store, table: &str, rows: i64, room: bool) -> Result<()> {
    let mut put = store.put_batches(spec(table, PutMode::Replace, Some(Durability::Ephemeral)), schema())?;
    if room {
        put.room(PIECE).await?;
    }
    put.append(&batch(0..rows))?;
    put.commit().await.map(drop)
}

fn segment(store: &Store, table: &str) -> SegmentRef {
    store.snapshot(&name(table), None, None).expect("a table").segments()[0].clone()
}

fn form() -> Arc<FrameForm> {
    Arc::new(FrameForm { codec: Codec::Zstd, is_plain: false, columns: None })
}

fn frame(piece: u64) -> Frame {
    let message = Message { header: Bytes::new(), body: vec![piece as u8; BODY].into() };
    Frame { rows_end: piece + 1, message: Some(message) }
}

fn ask(store: &Store, segment: &SegmentRef, piece: u64) -> Asked {
    store.frames().ask(segment, &form(), FramePart::Rows(piece), u64::MAX, true)
}

/// Reads a piece as a reader does; tells whether it was kept.
fn read_piece(store: &Store, segment: &SegmentRef, piece: u64) -> bool {
    let (found, was_kept) = match ask(store, segment, piece) {
        Asked::Kept(found) => (found, true),
        Asked::Make(making) => (making.keep(frame(piece)), false),
    };
    let body = found.message.expect("a message").body;
    assert!(body.len() == BODY && body.iter().all(|byte| *byte == piece as u8), "that of the piece");
    was_kept
}

fn read_pieces(store: &Store, segment: &SegmentRef, pieces: std::ops::Range<u64>) -> usize {
    pieces.filter(|piece| read_piece(store, segment, *piece)).count()
}

fn charged(store: &Store) -> u64 {
    store.memory_budget().used_for(MemoryUse::Frames).as_u64()
}

/// What is charged is what is kept, and all of it is of segments that tables have.
fn assert_exact(store: &Store) {
    assert_eq!(store.kept_frames(), (charged(store), 0));
}

#[tokio::test]
async fn what_was_made_once_is_found_and_goes_with_its_table() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_800_000_000_000_000)));
    let store = open(StoreOptions { clock: clock.clone(), ..options_of(None, LIMIT) });
    for (table, other) in [("dropped", false), ("replaced", false), ("expired", false), ("other", true)] {
        put_ephemeral(&store, table, 10, true).await.expect("room");
        let of_table = segment(&store, table);
        assert_eq!(read_pieces(&store, &of_table, 0..5), 0);
        assert_eq!(read_pieces(&store, &of_table, 0..5), 5);
        assert_exact(&store);
        assert_eq!(charged(&store), 5 * CHARGED);
        match table {
            "dropped" => drop(store.drop_table(&name(table)).await.expect("a drop")),
            "replaced" => put_ephemeral(&store, table, 20, true).await.expect("room"),
            "expired" => {
                store.set_retention(&name(table), change(&[("ttl", "1ms")])).await.expect("a change");
                clock.advance(Duration::from_secs(1));
                store.expire_due().await;
            }
            _ => {}
        }
        assert_eq!(charged(&store), if other { 5 * CHARGED } else { 0 }, "{table}");
        assert_exact(&store);
        // It is no table's any more, although somebody reads it.
        assert_eq!(read_pieces(&store, &of_table, 0..5), if other { 5 } else { 0 }, "{table}");
        assert_eq!(charged(&store), if other { 5 * CHARGED } else { 0 }, "{table}");
    }
    let counts = store.memory().frames;
    assert_eq!((counts.kept, counts.made), (25, 35));
}

#[tokio::test]
async fn merges_take_the_frames_of_what_they_merge() {
    let store = store_of(None, LIMIT);
    for rows in 0..12 {
        append(&store, "t", rows..rows + 1).await.expect("an append");
    }
    let snapshot = store.snapshot(&name("t"), None, None).expect("a table");
    snapshot.segments().iter().for_each(|segment| assert!(!read_piece(&store, segment, 0)));
    assert_eq!(charged(&store), 12 * CHARGED);
    while store.merge_step().await {
        assert_exact(&store);
    }
    assert!(charged(&store) < 12 * CHARGED, "something was merged");
    store.drop_table(&name("t")).await.expect("a drop");
    assert_eq!(charged(&store), 0);
}

#[tokio::test]
async fn a_frame_is_charged_until_its_last_reader_has_it() {
    let store = store_of(None, LIMIT);
    put_ephemeral(&store, "t", 10, true).await.expect("room");
    let of_table = segment(&store, "t");
    read_pieces(&store, &of_table, 0..2);
    let Asked::Kept(held) = ask(&store, &of_table, 0) else { panic!("it is there") };
    store.drop_table(&name("t")).await.expect("a drop");
    assert_eq!((charged(&store), store.kept_frames()), (CHARGED, (0, 0)), "that of the reader");
    drop(held);
    assert_eq!(charged(&store), 0);
    drop(of_table);
    assert_eq!(store.memory_budget().used_for(MemoryUse::Tables).as_u64(), 0);
}

#[tokio::test]
async fn what_does_not_shrink_is_known_and_takes_little() {
    let store = store_of(None, LIMIT);
    put_ephemeral(&store, "t", 10, true).await.expect("room");
    let of_table = segment(&store, "t");
    let Asked::Make(making) = ask(&store, &of_table, 0) else { panic!("nobody has made it") };
    making.keep(Frame { rows_end: 7, message: None });
    let Asked::Kept(Frame { rows_end: 7, message: None }) = ask(&store, &of_table, 0) else { panic!("it is known") };
    assert_eq!(charged(&store), 512);
    assert_exact(&store);
}

#[tokio::test]
async fn forms_and_ends_are_told_apart() {
    let store = store_of(None, LIMIT);
    put_ephemeral(&store, "t", 10, true).await.expect("room");
    let of_table = segment(&store, "t");
    let forms = [Codec::Zstd, Codec::Lz4Frame].into_iter().flat_map(|codec| {
        [false, true].into_iter().flat_map(move |is_plain| {
            let columns = [None, Some([0].into()), Some([1].into()), Some([0, 1].into()), Some([1, 0].into())];
            columns.into_iter().map(move |columns| Arc::new(FrameForm { codec, is_plain, columns }))
        })
    });
    for form in forms {
        for part in [FramePart::Rows(0), FramePart::Dictionary(0)] {
            let asked = store.frames().ask(&of_table, &form, part, 10, true);
            let Asked::Make(making) = asked else { panic!("{form:?} {part:?} was not made") };
            making.keep(frame(0));
        }
    }
    assert_eq!(charged(&store), 40 * CHARGED);
    // The rows of this one end later than the read.
    let asked = store.frames().ask(&of_table, &form(), FramePart::Rows(0), 0, true);
    assert!(matches!(&asked, Asked::Make(_)), "{asked:?}");
    drop(asked);
    assert!(read_piece(&store, &of_table, 0), "it is still there");
    assert_exact(&store);
}

#[tokio::test]
async fn a_table_larger_than_the_bound_flushes_nothing() {
    let store = store_of(None, 10 * CHARGED);
    for table in ["hot", "large", "next"] {
        put_ephemeral(&store, table, 10, true).await.expect("room");
    }
    let (hot, large, next) = (segment(&store, "hot"), segment(&store, "large"), segment(&store, "next"));
    read_pieces(&store, &hot, 0..4);
    for scan in 0..5 {
        assert_eq!(read_pieces(&store, &hot, 0..4), 4, "scan {scan}");
        let found = read_pieces(&store, &large, 0..30);
        assert_eq!(found, if scan == 0 { 0 } else { 6 }, "scan {scan}: what has found room stays");
        assert_eq!(charged(&store), 10 * CHARGED);
        assert_exact(&store);
    }
    // Nobody reads them any more: what is read twice takes their place, what is read once does not.
    assert_eq!(read_pieces(&store, &next, 0..10), 0);
    assert_eq!(store.kept_frames().0, 10 * CHARGED);
    assert_eq!(read_pieces(&store, &hot, 0..4), 4, "one read of another table has flushed none");
    assert_eq!(read_pieces(&store, &next, 0..6), 0);
    assert_eq!(read_pieces(&store, &next, 0..6), 6);
    assert_eq!(read_pieces(&store, &hot, 0..4), 4, "they were asked for later");
    assert_eq!(read_pieces(&store, &large, 0..6), 0, "they were not");
    assert_exact(&store);
}

#[tokio::test]
async fn nothing_is_kept_that_is_larger_than_the_bound_and_nothing_without_one() {
    for bound in [0, CHARGED - 1] {
        let store = store_of(None, bound);
        put_ephemeral(&store, "t", 10, true).await.expect("room");
        let of_table = segment(&store, "t");
        for _ in 0..3 {
            assert_eq!(read_pieces(&store, &of_table, 0..3), 0);
            assert_eq!((charged(&store), store.kept_frames()), (0, (0, 0)));
        }
    }
}

/// Reads pieces until none is kept any more that is new.
fn fill(store: &Store, of_table: &SegmentRef) -> u64 {
    let before = (0..1_000).take_while(|piece| {
        let before = charged(store);
        read_piece(store, of_table, *piece);
        charged(store) > before
    });
    before.count() as u64
}

#[tokio::test]
async fn frames_are_given_up_before_any_table_goes_to_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_of(Some(folder.path()), LIMIT);
    put_ephemeral(&store, "first", ROWS, true).await.expect("room");
    let of_table = segment(&store, "first");
    assert!(fill(&store, &of_table) > 50);
    let used = store.memory_budget().used().as_u64();
    assert!(used <= HIGH && used + CHARGED > HIGH, "{used}: they take what is free and no more");
    let mut given_up = false;
    for table in 0..12 {
        let frames = charged(&store);
        put_ephemeral(&store, &format!("t{table}"), ROWS, true).await.expect("room is made");
        store.relieve_memory(ByteSize::bytes(HIGH)).await;
        let memory = store.memory();
        given_up |= charged(&store) < frames && memory.spills == 0;
        assert!(memory.spills == 0 || charged(&store) == 0, "{memory:?}");
        assert_exact(&store);
    }
    assert!(given_up, "some were given up while all tables were in memory");
    assert!(store.memory().spills > 0 && charged(&store) == 0, "{:?}", store.memory());
    assert_eq!(read(&store, "first").expect("rows").len(), usize::try_from(ROWS).expect("few"));
    // What is on disk is compressed and kept like other tables; nothing is while memory is used up.
    assert!(!read_piece(&store, &of_table, 0));
    assert!(store.memory_budget().used().as_u64() <= LIMIT);
}

/// A round, for which puts wait, gives spare memory back before anything else.
#[tokio::test]
async fn frames_make_room_without_a_round() {
    let store = store_of(None, LIMIT);
    for _ in 0..2 {
        put_ephemeral(&store, "first", ROWS, true).await.expect("room");
        store.settle().await;
    }
    let spare = store.spare_memory();
    assert!(spare > ByteSize::bytes(0), "a replace leaves some");
    let of_table = segment(&store, "first");
    fill(&store, &of_table);
    let frames = charged(&store);
    let spec = spec("next", PutMode::Replace, Some(Durability::Ephemeral));
    store.put_batches(spec, schema()).expect("a put").room(PIECE).await.expect("room");
    assert!(charged(&store) < frames && charged(&store) > 0, "as many as it takes");
    assert_eq!(store.spare_memory(), spare, "nobody waited for a round");
    assert!(store.memory_budget().used().as_u64() + PIECE <= LIMIT / 16 * 15);
}

#[tokio::test]
async fn as_many_puts_find_room_as_without_frames() {
    for room in [true, false] {
        let mut counts = Vec::new();
        for with_frames in [false, true] {
            let store = store_of(None, LIMIT);
            put_ephemeral(&store, "first", 10, true).await.expect("room");
            let of_table = segment(&store, "first");
            let mut count = 0;
            while put_ephemeral(&store, &format!("t{count}"), ROWS, room).await.is_ok() {
                count += 1;
                if with_frames {
                    fill(&store, &of_table);
                }
                assert!(store.memory_budget().used().as_u64() <= LIMIT, "{:?}", store.memory());
                assert_exact(&store);
            }
            counts.push(count);
        }
        assert!(counts[0] >= 4 && counts[0] == counts[1], "{counts:?}, room {room}");
    }
}

#[tokio::test]
async fn one_makes_a_piece_and_the_others_wait_for_it() {
    let store = store_of(None, LIMIT);
    put_ephemeral(&store, "t", 10, true).await.expect("room");
    let of_table = segment(&store, "t");
    let make = |piece| match ask(&store, &of_table, piece) {
        Asked::Make(making) => making,
        Asked::Kept(_) => panic!("nobody has made it"),
    };
    let beside = |making: Making, ends: fn(Making)| {
        thread::scope(|scope| {
            let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_piece(&store, &of_table, 1))).collect();
            ends(making);
            readers.into_iter().map(|reader| reader.join().expect("no panic")).collect::<Vec<_>>()
        })
    };
    let mut found = beside(make(1), drop);
    found.sort_unstable();
    assert!(!found[0], "{found:?}: it was not made, so one of them makes it");
    store.drop_table(&name("t")).await.expect("a drop");
    // Nothing is kept of it any more; who waits has it all the same.
    assert_eq!(charged(&store), 0);
    put_ephemeral(&store, "t", 10, true).await.expect("room");
    let of_table = segment(&store, "t");
    let Asked::Make(making) = ask(&store, &of_table, 1) else { panic!("nobody has made it") };
    let who_may_not_wait = store.frames().ask(&of_table, &form(), FramePart::Rows(1), u64::MAX, false);
    let Asked::Make(alone) = who_may_not_wait else { panic!("it is not there yet") };
    alone.keep(frame(1));
    assert_eq!(charged(&store), 0, "it is the other one's to keep");
    let found = thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_piece(&store, &of_table, 1))).collect();
        making.keep(frame(1));
        readers.into_iter().map(|reader| reader.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(found, [true; 4], "none of them made it");
    assert_exact(&store);
}
