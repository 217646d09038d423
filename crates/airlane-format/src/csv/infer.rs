//! The types of CSV columns, from a sample.
//!
//! Beyond what arrow-csv infers: a column without a value in the sample is text, since anything may follow; numbers
//! with leading zeros (postal codes, account numbers) are text, since a number would lose the zeros; and timestamps
//! with an offset are moments in UTC, not wall times.

use std::sync::Arc;

use airlane_model::{Error, Result};
use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_csv::reader::Format;
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::error::{from_arrow, invalid};

const CHECK_ROWS: usize = 1024;

pub(super) fn schema(sample: &[u8], complete: bool, name: &str) -> Result<SchemaRef> {
    let sample = if complete { sample } else { whole_records(sample) };
    let format = Format::default().with_header(true).with_truncated_rows(true);
    let (inferred, _) = format.infer_schema(sample, None).map_err(|error| explain(from_arrow(error, name)))?;
    if inferred.fields().is_empty() {
        return Err(invalid("the file is empty", name).hint("a CSV file begins with a line of column names"));
    }
    Ok(Arc::new(refine(inferred, sample)))
}

fn explain(error: Error) -> Error {
    if error.message().contains("UTF-8") {
        return error.hint(super::HINT_ENCODING);
    }
    error
}

/// The sample up to the last line end outside of quotes.
fn whole_records(sample: &[u8]) -> &[u8] {
    let mut quoted = false;
    let mut end = sample.len();
    for at in memchr::memchr2_iter(b'"', b'\n', sample) {
        match sample[at] {
            b'"' => quoted = !quoted,
            _ if !quoted => end = at + 1,
            _ => {}
        }
    }
    &sample[..end]
}

/// What a look at the texts of a column says about it.
#[derive(Clone, Default)]
struct Texts {
    leading_zero: bool,
    offset: bool,
}

fn refine(inferred: Schema, sample: &[u8]) -> Schema {
    let texts = look(&inferred, sample);
    let fields = inferred.fields().iter().zip(texts).map(|(field, texts)| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            DataType::Int64 | DataType::Float64 if texts.leading_zero => DataType::Utf8,
            DataType::Timestamp(unit, None) if texts.offset => DataType::Timestamp(*unit, Some("UTC".into())),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn look(inferred: &Schema, sample: &[u8]) -> Vec<Texts> {
    let mut texts = vec![Texts::default(); inferred.fields().len()];
    let as_text = inferred.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
    let reader = arrow_csv::ReaderBuilder::new(Arc::new(Schema::new(as_text.collect::<Vec<_>>())))
        .with_header(true)
        .with_truncated_rows(true)
        .with_batch_size((super::BATCH_CELLS_MAX / texts.len()).clamp(1, CHECK_ROWS))
        .build(sample);
    let Ok(reader) = reader else { return texts };
    // A row that cannot be parsed ends the look; reading reports it with its place.
    for batch in reader.map_while(Result::ok) {
        look_at(&batch, inferred, &mut texts);
    }
    texts
}

fn look_at(batch: &RecordBatch, inferred: &Schema, texts: &mut [Texts]) {
    for ((column, field), texts) in batch.columns().iter().zip(inferred.fields()).zip(texts) {
        let values = column.as_string::<i32>();
        let values = (0..values.len()).filter(|row| values.is_valid(*row)).map(|row| values.value(row));
        match field.data_type() {
            DataType::Int64 | DataType::Float64 => texts.leading_zero |= values.into_iter().any(has_leading_zero),
            DataType::Timestamp(_, _) => texts.offset |= values.into_iter().any(has_offset),
            _ => {}
        }
    }
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit()
}

/// Whether a timestamp ends with `Z`, `+02:00` or the like: after the seconds there is no `-` otherwise.
fn has_offset(text: &str) -> bool {
    const DATE_AND_TIME_CHARS: usize = "2013-01-01T05:00:00".len();
    let rest = text.get(DATE_AND_TIME_CHARS..).unwrap_or_default();
    rest.contains(['Z', 'z', '+', '-'])
}
