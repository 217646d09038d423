//! Compressed reads share what was compressed before.

use std::collections::HashMap;
use std::sync::Arc;

use airlane_exchange::{Exchange, ReadStream, StreamMessage, TicketSpec};
use airlane_model::{ByteSize, Caller, PutMode, TableName};
use airlane_segment::encode::compress;
use airlane_segment::{Codec, MemoryUse, Message};
use airlane_store::{FrameCounts, MemoryOptions, Merging, Store, StoreOptions};
use arrow_array::{ArrayRef, RecordBatch, StringViewArray};
use proptest::prelude::*;

use crate::support::*;

const CODECS: [Codec; 2] = [Codec::Lz4Frame, Codec::Zstd];

fn store(memory: MemoryOptions) -> (Exchange, Store) {
    exchange_over(StoreOptions { memory, merging: Merging::ByHand, ..StoreOptions::new(None) })
}

fn ample() -> (Exchange, Store) {
    store(MemoryOptions::default())
}

/// A read of a ticket, or of a ticket and some columns: `t?rows=0-7 key,name`.
fn begin(exchange: &Exchange, text: &str, codec: Option<Codec>, is_plain: bool) -> ReadStream {
    let (text, columns) = text.split_once(' ').map_or((text, None), |(text, columns)| (text, Some(columns)));
    let ticket = columns.map_or(ticket(text), |columns| {
        let columns = columns.split(',').map(str::to_owned).collect();
        let spec = TicketSpec { columns: Some(columns), ..TicketSpec::default() };
        exchange.sign(&Caller::local(), &ticket(text), spec).expect("a ticket").ticket.into()
    });
    let stream = exchange.read(&Caller::local(), &ticket).expect("a read").compressed(codec);
    if is_plain { stream.in_plain_types().expect("plain types") } else { stream }
}

fn inner(message: &StreamMessage) -> &Message {
    let (StreamMessage::Dictionary(message) | StreamMessage::Batch { message, .. }) = message;
    message
}

fn all(exchange: &Exchange, text: &str, codec: Option<Codec>, is_plain: bool) -> Vec<StreamMessage> {
    messages(&mut begin(exchange, text, codec, is_plain)).0
}

/// What would be sent without anything kept: compressed here, from what an uncompressed read gives.
fn anew(exchange: &Exchange, text: &str, codec: Codec, is_plain: bool) -> Vec<Message> {
    let stored = all(exchange, text, None, is_plain);
    stored.iter().map(|message| compress(inner(message), codec).expect("it can be")).collect()
}

fn assert_same(found: &[StreamMessage], expected: &[Message], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().map(inner).zip(expected) {
        assert!(found.header == expected.header && found.body == expected.body, "{what}");
    }
}

/// Whether a message is sent without compression.
fn is_as_it_was(message: &Message) -> bool {
    let message = arrow_ipc::root_as_message(&message.header).expect("a message");
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let batch = message.header_as_record_batch().or(dictionary).expect("it has a body");
    batch.compression().is_none()
}

fn counts_of<T>(store: &Store, work: impl FnOnce() -> T) -> (T, FrameCounts) {
    let before = store.memory().frames;
    let done = work();
    let after = store.memory().frames;
    (done, FrameCounts { kept: after.kept - before.kept, made: after.made - before.made })
}

fn assert_exact(store: &Store) -> u64 {
    let charged = store.memory_budget().used_for(MemoryUse::Frames).as_u64();
    assert_eq!(store.kept_frames(), (charged, 0));
    charged
}

/// Views and a dictionary of views, which plain types write anew.
fn views(keys: std::ops::Range<i64>) -> RecordBatch {
    let texts: Vec<String> = keys.map(|key| format!("the text of row {key}, which is not short")).collect();
    let text: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    RecordBatch::try_from_iter([("other", text.clone()), ("text", text)]).expect("a batch")
}

#[tokio::test]
async fn the_second_read_is_the_same_bytes_and_compresses_nothing() {
    let (exchange, store) = ample();
    put(&exchange, "t", PutMode::Replace, &[batch(0..9_000, &["a", "b"])]).await;
    put(&exchange, "t", PutMode::Append, &[batch(9_000..9_020, &["c"])]).await;
    put(&exchange, "views", PutMode::Replace, &[views(0..3_000)]).await;
    let columns = ["t", "t name", "t name,key", "views", "views text"];
    for (text, codec) in columns.iter().flat_map(|text| CODECS.map(|codec| (*text, codec))) {
        for is_plain in [false, true] {
            let what = format!("{text}, {codec:?}, plain: {is_plain}");
            let expected = anew(&exchange, text, codec, is_plain);
            let (first, counts) = counts_of(&store, || all(&exchange, text, Some(codec), is_plain));
            assert_same(&first, &expected, &what);
            let shares = is_plain && text.starts_with('t');
            let made = FrameCounts { kept: 0, made: expected.len() as u64 };
            assert_eq!(counts, if shares { flipped(made) } else { made }, "{what}: plain types may be the table's own");
            let (second, counts) = counts_of(&store, || all(&exchange, text, Some(codec), is_plain));
            assert_same(&second, &expected, &what);
            assert_eq!(counts, flipped(made), "{what}");
            let is_same = |(first, second)| {
                let (first, second): (&Message, &Message) = (inner(first), inner(second));
                // One that does not shrink and is made for a reader is made again.
                first.body.as_ptr() == second.body.as_ptr() || is_as_it_was(first)
            };
            assert!(first.iter().zip(&second).all(is_same), "{what}: the same memory");
            drop((first, second));
            assert_exact(&store);
        }
    }
    for table in ["t", "views"] {
        exchange.drop_table(&Caller::local(), &TableName::parse(table).expect("a name")).await.expect("a drop");
        assert_exact(&store);
    }
    assert_eq!(assert_exact(&store), 0);
    assert_eq!(store.memory_budget().used_for(MemoryUse::Reads), ByteSize::bytes(0));
}

fn flipped(counts: FrameCounts) -> FrameCounts {
    FrameCounts { kept: counts.made, made: counts.kept }
}

#[tokio::test]
async fn narrowed_reads_share_whole_messages_and_keep_none_of_their_own() {
    let (exchange, store) = ample();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["a", "b"])]).await;
    put(&exchange, "views", PutMode::Replace, &[views(0..3_000)]).await;
    // Each lies inside one batch of the table, and changes nothing.
    all(&exchange, "t?rows=0-1", Some(Codec::Zstd), false);
    let of_dictionary = assert_exact(&store);
    for start in 1..60 {
        let (_, counts) =
            counts_of(&store, || all(&exchange, &format!("t?rows={start}-{}", start + 9), Some(Codec::Zstd), false));
        assert_eq!(counts, FrameCounts { kept: 1, made: 0 }, "that of the dictionary");
        all(&exchange, &format!("views?rows={start}-{}", start + 9), Some(Codec::Zstd), true);
        all(&exchange, &format!("views?rows=0-{start}"), Some(Codec::Zstd), true);
    }
    assert_eq!(assert_exact(&store), of_dictionary);
    for (table, is_plain) in [("t", false), ("views", true)] {
        let whole = all(&exchange, table, Some(Codec::Zstd), is_plain);
        let kept = assert_exact(&store);
        for (start, end) in [(0, 3_000), (1, 3_000), (0, 2_999), (17, 2_500), (1_200, 1_210)] {
            let text = format!("{table}?rows={start}-{end}");
            let mut stream = begin(&exchange, &text, Some(Codec::Zstd), is_plain);
            let found = messages(&mut stream).0;
            let shared = found
                .iter()
                .filter(|message| whole.iter().any(|whole| inner(whole).body.as_ptr() == inner(message).body.as_ptr()));
            let shared = shared.count();
            if is_plain {
                assert!(shared >= 1 || start > 0, "{text}");
            } else {
                assert!(shared + 2 >= found.len(), "{text}: all but the two ends");
            }
            let expected = messages(&mut begin(&exchange, &text, None, is_plain)).0;
            assert_eq!(rows(&decode(stream.schema(), &found)), rows(&decode(stream.schema(), &expected)), "{text}");
            assert!(assert_exact(&store) >= kept);
        }
        let after = all(&exchange, table, Some(Codec::Zstd), is_plain);
        assert!(after.iter().zip(&whole).all(|(after, whole)| inner(after).body == inner(whole).body), "{table}");
    }
}

#[tokio::test]
async fn old_versions_share_the_frames_of_the_segments_that_they_have() {
    let (exchange, store) = ample();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["a", "b"])]).await;
    let first = all(&exchange, "t@1", Some(Codec::Lz4Frame), false);
    put(&exchange, "t", PutMode::Append, &[batch(3_000..3_100, &["a", "b"])]).await;
    let (again, counts) = counts_of(&store, || all(&exchange, "t@1", Some(Codec::Lz4Frame), false));
    assert_eq!(counts, FrameCounts { kept: first.len() as u64, made: 0 });
    let (both, counts) = counts_of(&store, || all(&exchange, "t", Some(Codec::Lz4Frame), false));
    assert_eq!((counts.kept, both.len() as u64), (first.len() as u64, counts.kept + counts.made));
    assert!(again.iter().zip(&first).all(|(again, first)| inner(again).body == inner(first).body));
    let count = both.len();
    drop((first, again, both));
    // A reader of what was replaced goes on, and keeps nothing.
    let mut reader = begin(&exchange, "t", Some(Codec::Zstd), false);
    put(&exchange, "t", PutMode::Replace, &[batch(0..10, &["a"])]).await;
    assert_eq!(assert_exact(&store), 0);
    assert_eq!(messages(&mut reader).0.len(), count);
    assert_eq!(assert_exact(&store), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_at_the_same_time_have_each_message_made_once() {
    let (exchange, store) = ample();
    // Large enough that it is waited for.
    let large = batch(0..40_000, &["a", "b"]);
    put(&exchange, "t", PutMode::Replace, &[large]).await;
    let count = all(&exchange, "t", None, false).len() as u64;
    let readers = (0..4).map(|_| {
        let exchange = exchange.clone();
        tokio::task::spawn_blocking(move || all(&exchange, "t key,name", Some(Codec::Zstd), false))
    });
    let readers: Vec<_> = readers.collect();
    let mut found = Vec::new();
    for reader in readers {
        found.push(reader.await.expect("no panic"));
    }
    for other in &found[1..] {
        assert!(other.iter().zip(&found[0]).all(|(other, one)| inner(other).body == inner(one).body));
        assert_eq!(other.len(), found[0].len());
    }
    let counts = store.memory().frames;
    assert_eq!(counts.kept + counts.made, 4 * count);
    // The last segment may be so small that nobody waits for it.
    assert!(counts.made < 2 * count, "{counts:?} of {count} messages");
    assert_exact(&store);
}

#[derive(Clone, Debug)]
enum Step {
    Replace(usize, i64),
    Append(usize, i64),
    Drop(usize),
    Merge,
    Read { table: usize, codec: usize, is_plain: bool, columns: usize, from: u64, rows: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let table = 0..3_usize;
    let step = prop_oneof![
        1 => (table.clone(), 1..3_000_i64).prop_map(|(table, rows)| Step::Replace(table, rows)),
        2 => (table.clone(), 1..1_000_i64).prop_map(|(table, rows)| Step::Append(table, rows)),
        1 => table.clone().prop_map(Step::Drop),
        1 => Just(Step::Merge),
        8 => (table, 0..2_usize, any::<bool>(), 0..3_usize, prop_oneof![2 => Just(0), 1 => 0..2_000_u64],
              prop_oneof![2 => Just(u64::MAX), 1 => 0..2_000_u64])
            .prop_map(|(table, codec, is_plain, columns, from, rows)| Step::Read { table, codec, is_plain, columns, from, rows }),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is put, read and dropped: a compressed read gives what it would without anything kept, what is charged is
    /// what is kept, within its bound, of tables that are there; and nothing is left.
    #[test]
    fn any_puts_reads_and_drops(steps in steps(), bound in prop_oneof![Just(0_u64), 1_000..60_000_u64, Just(1 << 30)]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let memory = MemoryOptions { frames_max: Some(ByteSize::bytes(bound)), ..MemoryOptions::default() };
        let (exchange, store) = store(memory);
        let mut tables: HashMap<usize, i64> = HashMap::new();
        let names = ["t0", "t1", "t2"];
        for step in steps {
            match step {
                Step::Replace(table, rows) => {
                    runtime.block_on(put(&exchange, names[table], PutMode::Replace, &[batch(0..rows, &["a", "b"])]));
                    tables.insert(table, rows);
                }
                Step::Append(table, more) => {
                    let rows = tables.entry(table).or_default();
                    let part = batch(*rows..*rows + more, &["a", "b", "c"][..1 + more as usize % 3]);
                    runtime.block_on(put(&exchange, names[table], PutMode::Append, &[part]));
                    *rows += more;
                }
                Step::Drop(table) => {
                    if tables.remove(&table).is_some() {
                        let name = TableName::parse(names[table]).expect("a name");
                        runtime.block_on(exchange.drop_table(&Caller::local(), &name)).expect("a drop");
                    }
                }
                Step::Merge => {
                    runtime.block_on(store.merge_step());
                }
                Step::Read { table, codec, is_plain, columns, from, rows } => {
                    let Some(all_rows) = tables.get(&table).map(|rows| *rows as u64) else { continue };
                    let from = from.min(all_rows);
                    let to = from.saturating_add(rows).min(all_rows);
                    let columns = ["", " name", " name,key"][columns];
                    let text = format!("{}?rows={from}-{to}{columns}", names[table]);
                    let expected = anew(&exchange, &text, CODECS[codec], is_plain);
                    assert_same(&all(&exchange, &text, Some(CODECS[codec]), is_plain), &expected, &text);
                }
            }
            prop_assert!(assert_exact(&store) <= bound);
        }
        for table in tables.into_keys() {
            let name = TableName::parse(names[table]).expect("a name");
            runtime.block_on(exchange.drop_table(&Caller::local(), &name)).expect("a drop");
        }
        prop_assert_eq!(assert_exact(&store), 0);
        let left = [MemoryUse::Tables, MemoryUse::Puts, MemoryUse::Reads].map(|usage| store.memory_budget().used_for(usage));
        prop_assert_eq!(left, [ByteSize::bytes(0); 3]);
    }
}
