//! The way of a put: messages in pieces, in order or not.

use airlane_model::error::codes::{DATA_INVALID, LIMIT_EXCEEDED, MESSAGE_INVALID, MESSAGE_ORDER_INVALID};
use airlane_model::{ByteSize, Error};
use airlane_segment::home::HomeKind;
use airlane_segment::{
    DecodeLimits, Home, Intake, MemfdPool, MemoryBudget, SealedMemfds, Sealing, Segment, TableSchema, TableWriter,
    Trust, WriterOptions,
};
use arrow_array::{Array, RecordBatch, make_array};

use crate::forge::Forged;
use crate::stream::{self, Piece};
use crate::{corpus, drive};

fn intake(batches: &[RecordBatch]) -> (Intake, Vec<Piece>) {
    let mut pieces = stream::split(&corpus::stream(batches, None));
    let schema = pieces.remove(0);
    let homes = Box::new(MemfdPool::default());
    let limits = DecodeLimits::default();
    let intake = Intake::from_message(&schema.header, limits, WriterOptions::default(), homes);
    (intake.expect("a valid schema"), pieces)
}

fn local(batch: &RecordBatch) -> Intake {
    let schema = TableSchema::from_arrow(&batch.schema()).expect("a schema");
    Intake::from_schema(schema, WriterOptions::default(), Box::new(MemfdPool::default()))
}

fn take(intake: &mut Intake, piece: &Piece) -> Result<(), Error> {
    intake.begin(&piece.header, piece.body.len() as u64)?;
    piece.body.chunks(100).try_for_each(|chunk| intake.body(chunk))?;
    intake.end()
}

#[test]
fn an_intake_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Intake>();
}

#[test]
fn rows_are_counted_and_laid_out() {
    let batches = [corpus::every_column(9), corpus::every_column(100), corpus::every_column(0)];
    let (mut intake, pieces) = intake(&batches);
    pieces.iter().try_for_each(|piece| take(&mut intake, piece)).expect("valid");
    assert_eq!(intake.rows(), 109);
    assert_eq!(intake.schema().arrow(), &batches[0].schema());
    let segments = intake.finish().expect("sealed");
    assert_eq!(segments.iter().map(airlane_segment::Segment::rows).sum::<u64>(), 109);
    drive::compare(&batches, &segments);
}

#[test]
fn batches_of_this_process_are_laid_out_alike() {
    let batches = [corpus::every_column(9), corpus::every_column(100)];
    let mut intake = local(&batches[0]);
    batches.iter().try_for_each(|batch| intake.append(batch)).expect("valid");
    assert_eq!(intake.rows(), 109);
    drive::compare(&batches, &intake.finish().expect("sealed"));
}

#[test]
fn a12_a_schema_alone_is_a_table_without_rows() {
    let (intake, _) = intake(&[corpus::every_column(1)]);
    let segments = intake.finish().expect("sealed");
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].rows(), 0);
}

/// Steps that a door could take, in an order that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Begin,
    Body,
    End,
    Append,
    Finish,
}

#[test]
fn a12_all_pairs_of_steps_are_taken_or_refused() {
    use Step::{Append, Begin, Body, End, Finish};
    let batch = corpus::batch(corpus::columns(17).into_iter().take(2).collect());
    for prefix in [vec![], vec![Begin], vec![Begin, Body]] {
        for first in [Begin, Body, End, Append, Finish] {
            for second in [Begin, Body, End, Append, Finish] {
                let (mut intake, pieces) = intake(std::slice::from_ref(&batch));
                let piece = &pieces[0];
                let (mut is_open, mut is_full, mut expected) = (false, false, Ok(()));
                let mut got = Ok(());
                let mut finished = false;
                for step in prefix.iter().copied().chain([first, second]) {
                    if expected.is_err() || finished {
                        break;
                    }
                    // The model: what a put is, in five lines.
                    (expected, is_open, is_full) = match (step, is_open, is_full) {
                        (Begin, false, _) => (Ok(()), true, false),
                        (Body, true, false) => (Ok(()), true, true),
                        (Body, true, true) => (Err(MESSAGE_INVALID), true, true),
                        (End, true, true) => (Ok(()), false, false),
                        (End, true, false) => (Err(MESSAGE_INVALID), true, false),
                        (Append | Finish, false, _) => (Ok(()), false, false),
                        _ => (Err(MESSAGE_ORDER_INVALID), is_open, is_full),
                    };
                    got = match step {
                        Begin => intake.begin(&piece.header, piece.body.len() as u64),
                        Body => intake.body(&piece.body),
                        End => intake.end(),
                        Append => intake.append(&batch),
                        Finish => {
                            finished = true;
                            let old = std::mem::replace(&mut intake, local(&batch));
                            old.finish().map(drop)
                        }
                    };
                    let code = got.as_ref().map_err(Error::code).copied();
                    assert_eq!(code, expected, "{prefix:?} {first:?} {second:?}: at {step:?}");
                }
                if let Err(error) = got
                    && !finished
                {
                    for again in [intake.begin(&piece.header, 0), intake.body(&[]), intake.end(), intake.append(&batch)]
                    {
                        let again = again.expect_err("a put that failed has failed");
                        assert_eq!(again.code(), error.code());
                        assert!(again.message().contains(error.message()), "{again}");
                    }
                    assert_eq!(intake.finish().expect_err("failed").code(), error.code());
                }
            }
        }
    }
}

#[test]
fn a12_messages_need_a_schema_message() {
    let batch = corpus::every_column(3);
    let piece = stream::split(&corpus::stream(std::slice::from_ref(&batch), None)).remove(1);
    let error = local(&batch).begin(&piece.header, piece.body.len() as u64).expect_err("no schema message");
    assert_eq!(error.code(), MESSAGE_ORDER_INVALID);
}

#[test]
fn an_error_names_the_row_of_the_put() {
    let batch = corpus::batch(vec![("d", corpus::columns(17).remove(0).1), ("text", texts())]);
    let (mut intake, pieces) = intake(std::slice::from_ref(&batch));
    for _ in 0..100 {
        take(&mut intake, &pieces[0]).expect("valid");
    }
    let mut wrong = Forged::of(&pieces[0]);
    let mut offsets = wrong.buffer(3).to_vec();
    offsets[4 * 5..][..4].copy_from_slice(&i32::MAX.to_le_bytes());
    wrong.set_buffer(3, &offsets);
    let error = take(&mut intake, &wrong.piece()).expect_err("an offset out of bounds");
    assert_eq!((error.code(), error.place()), (DATA_INVALID, Some("row 1704, column \"text\"")));
    assert_eq!(intake.rows(), 1700);
}

fn texts() -> arrow_array::ArrayRef {
    std::sync::Arc::new(arrow_array::StringArray::from_iter_values((0..17).map(|row| format!("text {row}"))))
}

/// Columns of fixed width, some with nulls and some without.
fn fixed(picks: &[(usize, bool)], rows: usize) -> RecordBatch {
    let columns: Vec<_> = corpus::columns(rows)
        .into_iter()
        .filter(|(name, column)| {
            let data_type = column.data_type();
            data_type.is_primitive() || ["bool", "fixed_binary"].contains(name)
        })
        .collect();
    let column = |(pick, has_nulls): &(usize, bool)| {
        let (name, column) = columns[pick % columns.len()].clone();
        let builder = column.to_data().into_builder();
        let required = || make_array(builder.nulls(None).build().expect("valid without nulls"));
        (name, if *has_nulls { column } else { required() })
    };
    corpus::batch(picks.iter().map(column).collect())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Bodies that are laid out while they arrive give the same table as bodies that are decoded first.
    #[test]
    fn both_ways_of_a_body_give_equal_tables(
        picks in proptest::collection::vec((0_usize..100, proptest::bool::ANY), 1..6),
        rows in proptest::collection::vec(1_usize..3_000, 1..5),
        chunk_bytes in 1_usize..5_000,
    ) {
        let batches: Vec<_> = rows.iter().map(|rows| fixed(&picks, *rows)).collect();
        let options = WriterOptions {
            batch_bytes_min: ByteSize::bytes(256),
            batch_bytes_target: ByteSize::kib(4),
            batch_bytes_max: ByteSize::kib(8),
            segment_bytes_target: ByteSize::kib(64),
            ..WriterOptions::default()
        };
        let decoded = drive::decode(&corpus::stream(&batches, None));
        proptest::prop_assert!(decoded.refused.is_none());
        let stream = corpus::stream(&batches, None);
        let laid_out = drive::take_in(&stream, chunk_bytes, options).expect("valid");
        drive::compare(&decoded.batches, &laid_out);
        drive::compare(&batches, &laid_out);
    }
}

#[test]
fn a_body_that_is_laid_out_while_it_comes_is_no_less_distrusted() {
    let batch = fixed(&[(0, true), (4, false)], 4_000);
    let mut pieces = stream::split(&corpus::stream(std::slice::from_ref(&batch), None));
    let schema = pieces.remove(0);
    let attempt = |change: &dyn Fn(&mut Forged), bytes: i64| {
        let mut message = Forged::of(&pieces[0]);
        change(&mut message);
        let piece = message.piece();
        let homes = Box::new(MemfdPool::default());
        let options = WriterOptions { batch_bytes_min: ByteSize::bytes(1), ..WriterOptions::default() };
        let mut intake = Intake::from_message(&schema.header, DecodeLimits::default(), options, homes)?;
        intake.begin(&piece.header, piece.body.len() as u64)?;
        let mut body = piece.body.clone();
        body.resize((body.len() as i64 + bytes) as usize, 0);
        body.chunks(1000).try_for_each(|chunk| intake.body(chunk))?;
        intake.end()?;
        intake.finish().map(|segments| drive::compare(std::slice::from_ref(&batch), &segments))
    };
    attempt(&|_| {}, 0).expect("valid");
    for (change, bytes, code) in [
        ((&|_: &mut Forged| {}) as &dyn Fn(&mut Forged), 1, MESSAGE_INVALID),
        (&|_| {}, -1, MESSAGE_INVALID),
        (&|message| message.nodes[0].1 += 1, 0, DATA_INVALID),
        (&|message| message.nodes[0].1 = 4_000, 0, DATA_INVALID),
        (&|message| message.nodes[1].0 = 4_001, 0, MESSAGE_INVALID),
        (&|message| message.buffers[3].1 = 8, 0, MESSAGE_INVALID),
        (&|message| message.rows = i64::MAX, 0, MESSAGE_INVALID),
    ] {
        assert_eq!(attempt(change, bytes).expect_err("refused").code(), code);
    }
}

#[test]
fn g1_a_body_above_the_limit_is_refused_before_it_comes() {
    let (mut intake, pieces) = intake(&[corpus::every_column(3)]);
    let piece = pieces.last().expect("a batch");
    let error = intake.begin(&piece.header, u64::MAX).expect_err("too large");
    assert_eq!(error.code(), LIMIT_EXCEEDED);
}

/// The segments of some batches, as another process would hand them over.
fn handed_over(batches: &[RecordBatch], options: WriterOptions) -> Vec<Segment> {
    let schema = TableSchema::from_arrow(&batches[0].schema()).expect("a schema");
    let homes = SealedMemfds::new(MemoryBudget::unlimited());
    let mut writer = TableWriter::new(schema, options, Box::new(homes));
    batches.iter().try_for_each(|batch| writer.append(batch)).expect("laid out");
    writer.finish().expect("sealed")
}

fn adopted(segment: &Segment, budget: &MemoryBudget) -> Result<Segment, Error> {
    let fd = segment.lend_memfd().expect("lent").expect("a memfd").try_clone_to_owned().expect("a copy");
    let home = Home::adopt(fd, segment.file_bytes().len() as u64, Sealing::Whole, budget)?;
    Segment::open(home, Trust::Foreign)
}

#[test]
fn segments_of_another_process_stay_where_they_are_if_they_are_large() {
    let batches = [corpus::every_column(3_000), corpus::every_column(9)];
    let options = WriterOptions { segment_small_bytes_max: ByteSize::bytes(0), ..WriterOptions::default() };
    let mut handed = handed_over(&batches[..1], options.clone());
    handed.extend(handed_over(&batches[1..], options));
    let budget = MemoryBudget::unlimited();
    let take = || {
        let own = MemfdPool::new(ByteSize::mib(1), budget.clone());
        let schema = handed[0].schema().clone();
        let mut intake = Intake::from_schema(schema, WriterOptions::default(), Box::new(own)).with_fingerprint();
        for segment in &handed {
            intake.adopt(adopted(segment, &budget).expect("valid")).expect("taken");
        }
        intake
    };
    let (intake, again) = (take(), take());
    assert_eq!((intake.rows(), intake.fingerprint()), (3_009, again.fingerprint()));
    assert_ne!(intake.fingerprint(), local(&batches[0]).with_fingerprint().fingerprint());
    drop(again);
    let segments = intake.finish().expect("sealed");
    let kinds: Vec<HomeKind> = segments.iter().map(Segment::home_kind).collect();
    assert_eq!(kinds, [HomeKind::Memfd, HomeKind::Heap]);
    drive::compare(&batches, &segments);
    let held: usize = segments.iter().map(|segment| segment.file_bytes().len()).sum();
    assert_eq!(budget.used().as_u64(), held as u64);
    drop(segments);
    assert_eq!(budget.used().as_u64(), 0);
}

#[test]
fn a_segment_of_another_schema_is_refused() {
    let other = RecordBatch::try_from_iter([("x", make_array(corpus::every_column(1).column(0).to_data()))]);
    let options = WriterOptions { segment_small_bytes_max: ByteSize::bytes(0), ..WriterOptions::default() };
    let handed = handed_over(&[other.expect("a batch")], options);
    let mut intake = local(&corpus::every_column(1));
    let error = intake.adopt(adopted(&handed[0], &MemoryBudget::unlimited()).expect("valid")).expect_err("another");
    assert_eq!(error.code(), airlane_model::codes::SCHEMA_MISMATCH, "{error}");
}
