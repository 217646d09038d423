//! JSON objects as rows: one per line (NDJSON), or all in one array.
//!
//! The columns and their types come from a sample of the file; a key or a value further on that does not fit is an
//! error with its line or element, never dropped. The elements of an array become lines first ([`Rows`]).

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::sync::Arc;

use airlane_model::{Error, Result};
use arrow_array::RecordBatch;
use arrow_json::writer::{JsonArray, JsonFormat, LineDelimited};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};

use crate::csv::read_sample;
use crate::error::{failed, from_arrow, invalid, message_of};
use crate::rows::{Form, Rows};
use crate::source::Source;
use crate::{BATCH_BYTES_TARGET, BATCH_ROWS_MAX, BatchReader, BatchWriter, Inference, ReadOptions};

mod infer;
mod whole;

const CHUNK_BYTES: usize = 256 << 10;

/// Reads JSON objects.
pub(crate) struct Reader {
    name: String,
    form: Form,
    schema: SchemaRef,
    inference: Inference,
    input: BufReader<Box<dyn Read + Send>>,
    /// The lines that are decoded together, kept so that an error can be traced to its line.
    lines: Vec<u8>,
    line_first: u64,
    line_next: u64,
    ready: VecDeque<RecordBatch>,
    done: bool,
}

impl Reader {
    pub(crate) fn open(source: Source, form: Form, options: &ReadOptions) -> Result<Self> {
        let name = source.name().to_owned();
        let mut input = Rows::new(source.into_stream(), form, &name);
        let (sample, complete) = read_sample(&mut input, options.sample).map_err(|error| failed(error, &name))?;
        let inferred = infer(&sample, complete, form, &name)?;
        let given = options.schema.as_ref().filter(|_| !options.casts_texts);
        let schema = infer::with_given(&inferred, given);
        let inference = infer::reasons(&sample, complete, &schema, given);
        let start = if sample.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut sample = Cursor::new(sample);
        sample.set_position(start as u64);
        let input: Box<dyn Read + Send> = Box::new(sample.chain(input));
        Ok(Self {
            name,
            form,
            schema,
            inference,
            input: BufReader::with_capacity(CHUNK_BYTES, input),
            lines: Vec::new(),
            line_first: 1,
            line_next: 1,
            ready: VecDeque::new(),
            done: false,
        })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() {
            self.lines.clear();
            self.line_first = self.line_next;
            let mut rows = 0;
            while rows < BATCH_ROWS_MAX && (self.lines.len() as u64) < BATCH_BYTES_TARGET.as_u64() {
                let read = self.input.read_until(b'\n', &mut self.lines).map_err(|error| failed(error, &self.name))?;
                if read == 0 {
                    break;
                }
                self.line_next += 1;
                rows += 1;
            }
            if rows == 0 {
                return Ok(None);
            }
            match decode(&self.lines, &self.schema) {
                Ok(batches) => self.ready.extend(batches),
                Err(error) => return Err(self.explain(error)),
            }
        }
        Ok(self.ready.pop_front())
    }

    fn explain(&self, error: ArrowError) -> Error {
        let lines = self.lines.split_inclusive(|byte| *byte == b'\n');
        let found = lines
            .zip(self.line_first..)
            .find_map(|(line, number)| decode(line, &self.schema).err().map(|error| (number, error)));
        let (number, error) = found.unwrap_or((self.line_first, error));
        let hint = "columns and types come from the first part of the file; a larger one (`--sample 64MiB`) sees more";
        invalid(message_of(error), format!("{}, {} {number}", self.name, self.form.word())).hint(hint)
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn decode(lines: &[u8], schema: &SchemaRef) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut decoder = arrow_json::ReaderBuilder::new(schema.clone())
        .with_batch_size(BATCH_ROWS_MAX)
        .with_strict_mode(true)
        .build_decoder()?;
    let mut batches = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let decoded = decoder.decode(rest)?;
        rest = &rest[decoded..];
        if !rest.is_empty() {
            batches.extend(decoder.flush()?);
        }
    }
    if decoder.has_partial_record() {
        return Err(ArrowError::JsonError("the object does not end on its line".into()));
    }
    batches.extend(decoder.flush()?);
    whole::check(lines, schema)?;
    Ok(batches)
}

fn infer(sample: &[u8], complete: bool, form: Form, name: &str) -> Result<SchemaRef> {
    let end = match memchr::memrchr(b'\n', sample) {
        Some(end) if !complete => end + 1,
        _ => sample.len(),
    };
    let sample = &sample[..end];
    let sample = sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample);
    if sample.trim_ascii_start().starts_with(b"[") {
        return Err(
            invalid("the file is one JSON array", format!("{name}, line 1")).hint("the format of arrays is `json`")
        );
    }
    let schema = match arrow_json::reader::infer_json_schema(sample, None) {
        Ok((schema, _)) => schema,
        Err(error) => return Err(explain_infer(error, sample, form, name)),
    };
    if schema.fields().is_empty() {
        return Err(invalid("the file holds no object with a key", name));
    }
    Ok(Arc::new(Schema::new(schema.fields().iter().map(known).collect::<Vec<_>>())))
}

fn explain_infer(error: ArrowError, sample: &[u8], form: Form, name: &str) -> Error {
    let lines = sample.split_inclusive(|byte| *byte == b'\n').zip(1u64..);
    for (line, number) in lines {
        if let Err(error) = arrow_json::reader::infer_json_schema(line, None) {
            let error = invalid(message_of(error), format!("{name}, {} {number}", form.word()));
            return match form {
                Form::Lines => {
                    error.hint("write one object per line: `jq -c . FILE | airlane put NAME - --format ndjson`")
                }
                Form::Array => error,
            };
        }
    }
    // Each line alone is right: two of them disagree on a key.
    from_arrow(error, name)
}

/// A field whose values were all null in the sample is text: the type of what follows is not known.
fn known(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::List(item) => DataType::List(known(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(known).collect()),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn inference(&self) -> Option<&Inference> {
        Some(&self.inference)
    }
}

/// Writes JSON objects. Nulls are written, so that each has every key.
pub(crate) struct Writer<F: JsonFormat> {
    inner: arrow_json::Writer<Box<dyn Write + Send>, F>,
}

/// One object on each line.
pub(crate) type LinesWriter = Writer<LineDelimited>;
/// One array of objects.
pub(crate) type ArrayWriter = Writer<JsonArray>;

const PLACE: &str = "the JSON output";

impl<F: JsonFormat> Writer<F> {
    pub(crate) fn new(output: Box<dyn Write + Send>) -> Self {
        Self { inner: arrow_json::WriterBuilder::new().with_explicit_nulls(true).build(output) }
    }
}

impl<F: JsonFormat + Send> BatchWriter for Writer<F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.inner.write(batch).map_err(|error| from_arrow(error, PLACE))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.inner.finish().map_err(|error| from_arrow(error, PLACE))?;
        self.inner.get_mut().flush().map_err(|error| failed(error, PLACE))
    }
}

#[cfg(test)]
mod tests;
