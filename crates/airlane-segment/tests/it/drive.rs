//! What the fuzz targets and the mutation tests do with an input, and what must hold for each.

use std::sync::Arc;

use airlane_model::{ByteSize, Error};
use airlane_segment::decode::StreamDecoder;
use airlane_segment::{
    DecodeLimits, Home, Intake, MemfdPool, MemoryBudget, MemoryUse, Segment, TableSchema, Trust, WriterOptions,
};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::DataType;

use crate::stream::{self, Piece};

/// Small enough that every accepted input can be touched in full.
pub(crate) fn limits() -> DecodeLimits {
    DecodeLimits {
        body_bytes_max: ByteSize::mib(8),
        decompressed_bytes_max: ByteSize::mib(8),
        free_rows_max: 4096,
        put_rows_max: 1 << 16,
        dictionaries_max: 256,
        dictionary_bytes_max: ByteSize::mib(8),
        ..DecodeLimits::default()
    }
}

/// What became of an input.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) refused: Option<Error>,
}

/// Sizes so small that a few rows are sliced, gathered and spread over segments.
pub(crate) fn tiny() -> WriterOptions {
    WriterOptions {
        batch_bytes_target: ByteSize::bytes(512),
        batch_bytes_min: ByteSize::bytes(256),
        batch_bytes_max: ByteSize::bytes(1024),
        segment_bytes_target: ByteSize::kib(4),
        segment_small_bytes_max: ByteSize::mib(1),
        dictionary_bytes_max: ByteSize::kib(1),
    }
}

/// Puts a stream through the intake, in chunks of so many bytes, up to its first invalid message.
pub(crate) fn take_in(input: &[u8], chunk_bytes: usize, options: WriterOptions) -> Result<Vec<Segment>, Error> {
    let pieces = stream::split(input);
    let Some((schema, messages)) = pieces.split_first() else { return Ok(Vec::new()) };
    let homes = Box::new(MemfdPool::default());
    let mut intake = Intake::from_message(&schema.header, limits(), options, homes)?;
    for Piece { header, body } in messages {
        intake.begin(header, body.len() as u64)?;
        body.chunks(chunk_bytes).try_for_each(|chunk| intake.body(chunk))?;
        intake.end()?;
    }
    intake.finish()
}

/// The segments hold the rows of the batches, in order.
pub(crate) fn compare(batches: &[RecordBatch], segments: &[Segment]) {
    let mut stored = segments.iter().flat_map(|segment| {
        (0..segment.batch_count()).map(move |index| segment.batch(index).expect("a segment can be read"))
    });
    let mut rest: Option<RecordBatch> = None;
    for batch in batches {
        let mut start = 0;
        while start < batch.num_rows() {
            let found = rest.take().or_else(|| stored.next()).expect("as many rows as were taken in");
            let rows = found.num_rows().min(batch.num_rows() - start);
            assert_eq!(found.slice(0, rows).columns(), batch.slice(start, rows).columns());
            rest = Some(found.slice(rows, found.num_rows() - rows)).filter(|rest| rest.num_rows() > 0);
            start += rows;
        }
    }
    assert!(rest.is_none() && stored.next().is_none(), "more rows than were taken in");
}

/// Target `f1_decode`: what is accepted can be laid out and read back, and what is refused is refused by every way in.
pub(crate) fn stream(input: &[u8]) -> Outcome {
    let outcome = decode(input);
    for (chunk_bytes, options) in [(4096, WriterOptions::default()), (100, tiny())] {
        match (&outcome.refused, take_in(input, chunk_bytes, options)) {
            (None, Ok(segments)) => compare(&outcome.batches, &segments),
            (Some(refused), Err(error)) => assert_eq!(error.code(), refused.code(), "{refused}, and then {error}"),
            (None, Err(error)) => panic!("decoded, and then refused: {error}"),
            (Some(refused), Ok(_)) => panic!("taken in, though refused: {refused}"),
        }
    }
    outcome
}

/// Decodes a stream up to its first invalid message, and touches what was accepted.
pub(crate) fn decode(input: &[u8]) -> Outcome {
    let pieces = stream::split(input);
    let mut outcome = Outcome::default();
    let Some((schema, messages)) = pieces.split_first() else { return outcome };
    let mut decoder = match StreamDecoder::new(&schema.header, limits()) {
        Ok(decoder) => decoder,
        Err(error) => return Outcome { refused: Some(error), ..outcome },
    };
    for Piece { header, body } in messages {
        let checked = decoder.check(header, body.len() as u64);
        let decoded = decoder.decode(header, Buffer::from(body.as_slice()));
        match (checked, decoded) {
            (Ok(()), Ok(None)) => {}
            (Ok(()), Ok(Some(batch))) => {
                assert_eq!(batch.schema_ref(), decoder.schema().arrow());
                touch(&batch);
                outcome.batches.push(batch);
            }
            (Err(_), Ok(_)) => panic!("a message was decoded that the check had refused"),
            (_, Err(error)) => {
                outcome.refused = Some(error);
                return outcome;
            }
        }
    }
    outcome
}

/// Target `f7_open`: a file of a stranger is opened as a segment, and what was accepted is touched.
pub(crate) fn open(input: &[u8]) -> Result<(), Error> {
    let segment = Segment::open(
        Home::heap(Buffer::from(input), MemoryBudget::unlimited().begin(MemoryUse::Tables)),
        Trust::Foreign,
    )?;
    let batches: Vec<_> =
        (0..segment.batch_count()).map(|index| segment.batch(index).expect("it was validated")).collect();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows as u64, segment.rows());
    batches.iter().filter(|batch| batch.num_rows() <= 1 << 12).for_each(touch);
    Ok(())
}

/// Target `f2_schema`: a schema message is judged, and what was accepted is canonical.
pub(crate) fn schema(input: &[u8]) -> Result<TableSchema, Error> {
    let schema = TableSchema::from_message(input)?;
    let again = TableSchema::from_message(schema.message()).expect("its own message is accepted");
    assert_eq!(again.message(), schema.message());
    assert_eq!(again.arrow(), schema.arrow());
    let from_arrow = TableSchema::from_arrow(schema.arrow()).expect("its own schema is accepted");
    assert_eq!(from_arrow.message(), schema.message());
    schema.accept(&again).expect("a schema accepts itself");
    Ok(schema)
}

/// Reads every value in more ways than one: accepted data is valid data.
pub(crate) fn touch(batch: &RecordBatch) {
    for column in batch.columns() {
        column.to_data().validate_full().expect("accepted data is valid");
        assert_eq!(column.len(), batch.num_rows());
        touch_column(column);
    }
}

fn touch_column(column: &ArrayRef) {
    let rows = column.len();
    let every_other = BooleanArray::new(BooleanBuffer::collect_bool(rows, |row| row % 2 == 0), None);
    let backwards = UInt32Array::from_iter_values((0..rows as u32).rev());
    // The kernels of arrow 59 do not know runs everywhere, and count values without a width by their bytes.
    let has_kernels = !holds(column.data_type(), &|data_type| {
        matches!(data_type, DataType::RunEndEncoded(_, _) | DataType::FixedSizeBinary(0))
    });
    if has_kernels {
        let filtered = arrow_select::filter::filter(column, &every_other).expect("filters");
        assert_eq!(filtered.len(), rows.div_ceil(2));
        let taken = arrow_select::take::take(column, &backwards, None).expect("takes");
        assert_eq!(taken.len(), rows);
        filtered.to_data().validate_full().expect("filtered data is valid");
        taken.to_data().validate_full().expect("taken data is valid");
    }
    if arrow_cast::can_cast_types(column.data_type(), &DataType::Utf8) {
        // Values may have no text (a date in the year 10^9); that is an error and no panic.
        let _ = arrow_cast::cast(column, &DataType::Utf8);
    }
    let _ = Arc::clone(column).logical_null_count();
}

fn holds(data_type: &DataType, wanted: &dyn Fn(&DataType) -> bool) -> bool {
    wanted(data_type)
        || match data_type {
            DataType::List(field)
            | DataType::LargeList(field)
            | DataType::ListView(field)
            | DataType::LargeListView(field)
            | DataType::FixedSizeList(field, _)
            | DataType::Map(field, _) => holds(field.data_type(), wanted),
            DataType::Struct(fields) => fields.iter().any(|field| holds(field.data_type(), wanted)),
            DataType::Union(fields, _) => fields.iter().any(|(_, field)| holds(field.data_type(), wanted)),
            DataType::Dictionary(_, value) => holds(value, wanted),
            _ => false,
        }
}
