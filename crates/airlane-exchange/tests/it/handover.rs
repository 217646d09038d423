//! Tables handed over by descriptors: the same rows as by streams, and nothing behind a descriptor but them.

use std::io::Write;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;

use airlane_exchange::{Exchange, HandOut, Producer, PutSpec, TicketSpec};
use airlane_model::caller::Grant;
use airlane_model::{
    ByteSize, Caller, Durability, PutMode, Receipt, Result, RetentionChange, Right, RowRange, Ticket, codes,
};
use airlane_segment::home::HomeKind;
use airlane_segment::{
    Cut, Home, MemoryBudget, SealedMemfds, Sealing, Segment, TableSchema, TableWriter, Trust, WriterOptions,
};
use airlane_store::{Store, StoreOptions};
use arrow_array::RecordBatch;

use crate::support::*;

/// What a reader elsewhere makes of a table that it was handed.
fn received(out: &HandOut) -> Vec<RecordBatch> {
    let budget = MemoryBudget::unlimited();
    let homes = out.descriptors().iter().map(|descriptor| {
        let fd = descriptor.fd.try_clone().expect("a copy");
        let file = std::fs::File::from(fd.try_clone().expect("a copy"));
        let bytes = file.metadata().expect("facts").len();
        match descriptor.kind {
            HomeKind::Memfd => Home::adopt(fd, bytes, Sealing::Future, &budget).expect("sealed"),
            HomeKind::File => Home::map_file(&file, bytes, 0).expect("mapped"),
            HomeKind::Heap => panic!("the heap has no descriptor"),
        }
    });
    let homes: Vec<Home> = homes.collect();
    let segments = out.pieces().iter().map(|piece| {
        let home = homes[piece.descriptor].part(piece.offset, piece.bytes).expect("inside");
        let segment = Segment::open(home, Trust::Validated).expect("whole");
        assert_eq!(segment.rows(), piece.rows);
        segment
    });
    let batches = segments.flat_map(|segment| {
        let batch = |index| segment.batch_as(index, out.schema()).expect("a batch");
        (0..segment.batch_count()).map(batch).collect::<Vec<_>>()
    });
    batches.collect()
}

fn hand_out(exchange: &Exchange, of: &Ticket) -> Result<HandOut> {
    exchange.hand_out(&Caller::local(), of)
}

/// The rows of a ticket by a stream and by descriptors, which are of these kinds.
fn compare(exchange: &Exchange, of: &Ticket, kinds: &[HomeKind]) {
    let mut stream = exchange.read(&Caller::local(), of).expect("a stream");
    let streamed: Vec<_> = std::iter::from_fn(|| stream.next_batch().expect("a batch")).collect();
    let out = hand_out(exchange, of).expect("handed out");
    let batches = received(&out);
    assert_eq!(rows(&batches), rows(&streamed), "{of}");
    assert!(same_columns(stream.schema().arrow(), &batches));
    assert_eq!(Some(out.rows().rows()), stream.rows());
    let found: Vec<_> = out.descriptors().iter().map(|descriptor| descriptor.kind).collect();
    assert_eq!(found, kinds, "{of}");
}

fn narrowed(exchange: &Exchange, of: &str, columns: Option<&str>, rows: Option<std::ops::Range<u64>>) -> Ticket {
    let rows = rows.map(|rows| RowRange { start: rows.start, end: rows.end });
    let columns = columns.map(|column| vec![column.to_owned()]);
    let spec = TicketSpec { columns, rows, ..TicketSpec::default() };
    exchange.sign(&Caller::local(), &ticket(of), spec).expect("signed").ticket.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_maps_what_a_stream_would_send() {
    use HomeKind::{File, Memfd};
    let folder = tempfile::tempdir().expect("a folder");
    for folder in [None, Some(folder.path().to_owned())] {
        let home = if folder.is_some() { File } else { Memfd };
        let exchange = exchange_of(StoreOptions::new(folder));
        let names = ["ada", "bob", "cyd"];
        put(&exchange, "large", PutMode::Replace, &[batch(0..3_000, &names)]).await;
        put(&exchange, "small", PutMode::Replace, &[batch(0..9, &names)]).await;
        put(&exchange, "empty", PutMode::Replace, &[batch(0..0, &names)]).await;
        put(&exchange, "both", PutMode::Replace, &[batch(0..3_000, &names)]).await;
        put(&exchange, "both", PutMode::Append, &[batch(3_000..3_009, &names)]).await;
        let segments = exchange.list(&Caller::local(), "large")[0].segments as usize;
        assert!(segments > 1, "{segments}");
        compare(&exchange, &ticket("large"), &vec![home; segments]);
        for few in ["small", "empty"] {
            compare(&exchange, &ticket(few), &[Memfd]);
        }
        let mut both = vec![home; segments];
        both.push(Memfd);
        compare(&exchange, &ticket("both"), &both);
        compare(&exchange, &ticket("both@1"), &vec![home; segments]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_descriptor_shows_no_row_and_no_column_that_may_not_be_read() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["ada", "secret"])]).await;
    let secret = |out: &HandOut| {
        out.descriptors().iter().any(|descriptor| {
            let file = std::fs::File::from(descriptor.fd.try_clone().expect("a copy"));
            let mut bytes = vec![0; file.metadata().expect("facts").len() as usize];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).expect("read");
            bytes.windows(6).any(|window| window == b"secret")
        })
    };
    assert!(secret(&hand_out(&exchange, &ticket("t")).expect("handed out")));
    let keys = narrowed(&exchange, "t", Some("key"), None);
    assert!(!secret(&hand_out(&exchange, &keys).expect("handed out")));
    compare(&exchange, &keys, &vec![HomeKind::Memfd; hand_out(&exchange, &keys).expect("again").descriptors().len()]);
    // One row: what is made for it is small, so it lies with other loose parts in one memfd.
    let row = narrowed(&exchange, "t", None, Some(7..8));
    let out = hand_out(&exchange, &row).expect("handed out");
    let bytes: u64 = out.pieces().iter().map(|piece| piece.bytes).sum();
    assert!(bytes < 4_096, "{bytes} bytes for one row");
    compare(&exchange, &row, &[HomeKind::Memfd]);
    // Segments that are all in the range are lent as they are, those at its ends in part.
    compare(&exchange, &ticket("t?rows=1-3000"), &vec![HomeKind::Memfd; out_count(&exchange, "t?rows=1-3000")]);
    // Looks at no rows have the schema.
    compare(&exchange, &ticket("t?rows=5-5"), &[HomeKind::Memfd]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_lent_and_not_counted_is_quick() {
    let folder = tempfile::tempdir().expect("a folder");
    for folder in [None, Some(folder.path().to_owned())] {
        let is_in_memory = folder.is_none();
        let exchange = exchange_of(StoreOptions::new(folder));
        put(&exchange, "large", PutMode::Replace, &[batch(0..3_000, &["ada", "bob"])]).await;
        put(&exchange, "small", PutMode::Replace, &[batch(0..9, &["ada"])]).await;
        let is_quick = |of: &Ticket| exchange.begin_hand_out(&Caller::local(), of).expect("begun").is_quick();
        assert_eq!(is_quick(&ticket("large")), is_in_memory);
        // A part is laid out anew, what is small is copied.
        assert!(!is_quick(&ticket("large?rows=1-3000")) && !is_quick(&narrowed(&exchange, "large", Some("key"), None)));
        assert!(!is_quick(&ticket("small")));
        assert_eq!(is_quick(&narrowed(&exchange, "large", None, None)), is_in_memory);
        let spec = TicketSpec { reads: NonZeroU64::new(1), ..TicketSpec::default() };
        let once: Ticket = exchange.sign(&Caller::local(), &ticket("large"), spec).expect("signed").ticket.into();
        assert!(!is_quick(&once));
        let once = RetentionChange::of("reads", "1").expect("a rule");
        exchange.set_retention(&Caller::local(), &ticket_table("large"), once).await.expect("set");
        assert!(!is_quick(&ticket("large")));
    }
}

fn ticket_table(name: &str) -> airlane_model::TableName {
    airlane_model::TableName::parse(name).expect("a name")
}

fn out_count(exchange: &Exchange, of: &str) -> usize {
    hand_out(exchange, &ticket(of)).expect("handed out").descriptors().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counted_read_is_used_at_the_end_and_given_back_without_one() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..3_000, &["ada"])]).await;
    let spec = TicketSpec { reads: NonZeroU64::new(1), ..TicketSpec::default() };
    let once: Ticket = exchange.sign(&Caller::local(), &ticket("t"), spec).expect("signed").ticket.into();
    let out = hand_out(&exchange, &once).expect("handed out");
    assert_eq!(hand_out(&exchange, &once).expect_err("it is being read").code(), codes::TICKET_IN_USE);
    drop(out);
    let mut out = hand_out(&exchange, &once).expect("it was given back");
    out.take_read().expect("it is counted").end().expect("used");
    assert!(out.take_read().is_none());
    assert_eq!(hand_out(&exchange, &once).expect_err("it is used").code(), codes::TICKET_USED);
}

/// The segments that a producer lays out in its own memory.
fn produced(batches: &[RecordBatch]) -> Vec<Segment> {
    let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
    let options = WriterOptions {
        segment_bytes_target: ByteSize::kib(16),
        segment_small_bytes_max: ByteSize::bytes(0),
        ..WriterOptions::default()
    };
    let mut writer = TableWriter::new(schema, options, Box::new(SealedMemfds::new(MemoryBudget::unlimited())));
    let mut segments = Vec::new();
    for batch in batches {
        writer.append(batch).expect("laid out");
        segments.extend(writer.take_sealed(Cut::Now).expect("sealed"));
    }
    segments
}

fn memfd(segment: &Segment) -> OwnedFd {
    segment.lend_memfd().expect("lent").expect("a memfd").try_clone_to_owned().expect("a copy")
}

fn spec(table: &str, durability: Option<Durability>) -> PutSpec {
    let table = table.parse().expect("a name");
    PutSpec {
        table,
        mode: PutMode::Replace,
        durability,
        retention: RetentionChange::default(),
        key: None,
        caller: None,
    }
}

async fn hand_in(exchange: &Exchange, spec: PutSpec, segments: &[Segment]) -> Result<Receipt> {
    hand_in_as(exchange, &Caller::local(), spec, segments).await
}

async fn hand_in_as(exchange: &Exchange, caller: &Caller, spec: PutSpec, segments: &[Segment]) -> Result<Receipt> {
    let mut put = exchange.hand_in(caller, spec, Producer::Stranger)?;
    for segment in segments {
        let bytes = segment.file_bytes().len() as u64;
        put.room(bytes).await?;
        assert_eq!(put.take(memfd(segment), bytes)?, segment.rows());
    }
    put.commit().await
}

/// Whatever a door says.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_owned_by_who_handed_it_in_or_put_it() {
    let exchange = exchange();
    let caller = |name: &str, right| {
        let rights = vec![Right::Read, Right::Write, right];
        Caller::new(name, vec![Grant { namespaces: "*".parse().expect("a pattern"), rights }])
    };
    let (ada, bob, admin) = (caller("ada", Right::Read), caller("bob", Right::Read), caller("root", Right::Admin));
    let owner = |by: &Caller| exchange.describe(by, &plain("t")).expect("a table").info.owner;
    let batch = batch(0..5, &["ada"]);
    let segments = produced(std::slice::from_ref(&batch));
    let claimed = || PutSpec { caller: Some("carl".into()), ..spec("t", Some(Durability::Ephemeral)) };
    hand_in_as(&exchange, &ada, claimed(), &segments).await.expect("committed");
    let local = Caller::local();
    for (by, told) in [(&ada, Some("ada")), (&admin, Some("ada")), (&local, Some("ada")), (&bob, None)] {
        assert_eq!(owner(by).as_deref(), told, "{}", by.name());
    }
    let listed =
        exchange.list(&ada, "").into_iter().chain([exchange.flights(&ada, &ticket("t"), 1).expect("one").info]);
    assert!(listed.map(|info| info.owner).all(|owner| owner.is_none()), "only where it was asked for");
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    let mut put = exchange.put_batches(&bob, claimed(), schema).expect("a put");
    put.append(&batch).expect("rows");
    put.commit().await.expect("committed");
    assert_eq!((owner(&bob).as_deref(), owner(&ada)), (Some("bob"), None));
    hand_in(&exchange, claimed(), &segments).await.expect("committed");
    assert_eq!(owner(&admin), None, "without access control nobody owns anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_a_producer_become_a_table_of_either_durability() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = || StoreOptions::new(Some(folder.path().to_owned()));
    let exchange = exchange_of(options());
    let batches = [batch(0..3_000, &["ada", "bob"]), batch(3_000..3_005, &["cyd"])];
    let segments = produced(&batches);
    let expected = rows(&batches);
    for (name, durability, kind) in
        [("kept", Durability::Durable, HomeKind::File), ("passing", Durability::Ephemeral, HomeKind::Memfd)]
    {
        let receipt = hand_in(&exchange, spec(name, Some(durability)), &segments).await.expect("committed");
        assert_eq!((receipt.rows, receipt.durability), (3_005, durability));
        let out = hand_out(&exchange, &ticket(name)).expect("handed out");
        assert_eq!(rows(&received(&out)), expected, "{name}");
        assert_eq!(out.descriptors()[0].kind, kind, "{name}");
    }
    // Whoever streams reads the same.
    compare(&exchange, &ticket("passing"), &vec![HomeKind::Memfd; out_count(&exchange, "passing")]);
    drop(exchange);
    let exchange = Exchange::open(Store::open(options()).expect("a store").0).expect("keys");
    let mut stream = exchange.read(&Caller::local(), &ticket("kept")).expect("it is there after a restart");
    let found: Vec<_> = std::iter::from_fn(|| stream.next_batch().expect("a batch")).collect();
    assert_eq!(rows(&found), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_producer_must_not_hand_in_is_refused_and_leaves_nothing() {
    let exchange = exchange();
    let segments = produced(&[batch(0..3_000, &["ada"])]);
    let bytes = segments[0].file_bytes();
    let begin = |table| exchange.hand_in(&Caller::local(), spec(table, None), Producer::Stranger).expect("begun");
    let empty = begin("t").commit().await.expect_err("no segment");
    assert_eq!(empty.code(), codes::MESSAGE_ORDER_INVALID);
    // The right seals around the wrong bytes.
    for (at, with) in [(0, b'X'), (bytes.len() - 1, b'X'), (bytes.len() / 2, 0xff)] {
        let mut wrong = bytes.to_vec();
        wrong[at] ^= with;
        let (home, _) = SealedMemfds::new(MemoryBudget::unlimited()).pack(&[&wrong]).expect("packed");
        let fd = home.lend_memfd().expect("lent").expect("a memfd").try_clone_to_owned().expect("a copy");
        let mut put = begin("t");
        // A changed value is a value.
        let _ = put.take(fd, home.bytes().len() as u64).map_err(|error| {
            assert!([codes::MESSAGE_INVALID, codes::DATA_INVALID].contains(&error.code()), "{error}");
        });
    }
    let mut put = begin("t");
    put.take(memfd(&segments[0]), bytes.len() as u64).expect("a good one");
    let other = produced(&[RecordBatch::try_from_iter([("x", batch(0..9, &["a"]).column(0).clone())]).expect("one")]);
    let refused = put.take(memfd(&other[0]), other[0].file_bytes().len() as u64).expect_err("another schema");
    assert_eq!(refused.code(), codes::SCHEMA_MISMATCH);
    assert!(put.commit().await.is_err(), "after an error there is no commit");
    assert!(exchange.list(&Caller::local(), "").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_copied_before_it_is_looked_at() {
    let exchange = exchange();
    let segments = produced(&[batch(0..3_000, &["ada"])]);
    let bytes = segments[0].file_bytes();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    let reopened = |file: &std::fs::File| {
        let mut copy = file.try_clone().expect("a copy");
        std::io::Seek::rewind(&mut copy).expect("at its start");
        copy
    };
    let mut put = exchange.hand_in(&Caller::local(), spec("t", None), Producer::Stranger).expect("begun");
    put.take_copy(&reopened(&file), bytes.len() as u64).expect("taken");
    file.set_len(0).expect("its owner may do what it likes");
    put.commit().await.expect("committed");
    compare(&exchange, &ticket("t"), &vec![HomeKind::Memfd; out_count(&exchange, "t")]);
    let mut put = exchange.hand_in(&Caller::local(), spec("t", None), Producer::Stranger).expect("begun");
    let refused = put.take_copy(&reopened(&file), bytes.len() as u64).expect_err("shorter than announced");
    assert_eq!(refused.code(), codes::SEGMENT_REFUSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn h4_a_large_part_is_not_copied_for_a_reader() {
    let mut options = StoreOptions::new(None);
    options.memory.limit = ByteSize::mib(12);
    let exchange = exchange_of(options);
    put(&exchange, "t", PutMode::Replace, &[batch(0..200_000, &["ada"])]).await;
    let keys = narrowed(&exchange, "t", Some("key"), None);
    let refused = hand_out(&exchange, &keys).expect_err("1.6 MB of 12 MiB");
    assert_eq!(refused.code(), codes::LIMIT_EXCEEDED, "{refused}");
    assert!(refused.hint_text().is_some_and(|hint| hint.contains("stream")));
    let some = narrowed(&exchange, "t", Some("key"), Some(0..10_000));
    assert_eq!(rows(&received(&hand_out(&exchange, &some).expect("80 kB"))).len(), 10_000);
    hand_out(&exchange, &ticket("t")).expect("whole segments are lent");
}
