//! CSV with a header line, as RFC 4180 has it: fields may be quoted, and then hold commas, quotes and line ends.
//!
//! The types of the columns come from a sample of the file ([`infer`]). A value further on that does not fit is an
//! error with row and column.

use std::io::{BufRead, BufReader, Read};

use airlane_model::{ByteSize, Error, Result};
use arrow_array::RecordBatch;
use arrow_csv::reader::Decoder;
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{failed, from_arrow, invalid, message_of};
use crate::source::Source;
use crate::{BATCH_BYTES_TARGET, BATCH_ROWS_MAX, BatchReader, BatchWriter};

mod infer;

/// The most cells of a batch: the parser keeps an offset for each, also for those that are not there yet.
const BATCH_CELLS_MAX: usize = 4 << 20;
const CHUNK_BYTES: usize = 256 << 10;
const HINT_ENCODING: &str = "convert it on the way: `iconv -f LATIN1 -t UTF-8 FILE | airlane put NAME -`";

/// Reads CSV.
pub(crate) struct Reader {
    name: String,
    schema: SchemaRef,
    input: BufReader<Box<dyn Read + Send>>,
    decoder: Decoder,
    pending_bytes: u64,
    rows: u64,
    done: bool,
}

impl Reader {
    pub(crate) fn open(source: Source, sample: ByteSize) -> Result<Self> {
        let name = source.name().to_owned();
        let mut input = source.into_stream();
        let (sample, complete) = read_sample(&mut input, sample).map_err(|error| failed(error, &name))?;
        let schema = infer::schema(&sample, complete, &name)?;
        let batch_rows = (BATCH_CELLS_MAX / schema.fields().len().max(1)).clamp(1, BATCH_ROWS_MAX);
        let decoder =
            arrow_csv::ReaderBuilder::new(schema.clone()).with_header(true).with_batch_size(batch_rows).build_decoder();
        let input: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(sample).chain(input));
        let input = BufReader::with_capacity(CHUNK_BYTES, input);
        Ok(Self { name, schema, input, decoder, pending_bytes: 0, rows: 0, done: false })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let capacity = self.decoder.capacity();
            let chunk = self.input.fill_buf().map_err(|error| failed(error, &self.name))?;
            // When the batch has bytes enough, lines are fed one by one: a record that ends with such a piece leaves
            // nothing behind it in the decoder, so that the batch can end there.
            let full = self.pending_bytes >= BATCH_BYTES_TARGET.as_u64();
            let piece = match memchr::memchr2(b'\n', b'\r', chunk) {
                Some(end) if full => &chunk[..=end],
                _ => chunk,
            };
            let decoded =
                self.decoder.decode(piece).map_err(|error| explain(error, &self.name, &self.schema, self.rows))?;
            let ended = full && decoded == piece.len() && self.decoder.capacity() < capacity;
            self.input.consume(decoded);
            self.pending_bytes += decoded as u64;
            if decoded == 0 || ended || self.decoder.capacity() == 0 {
                break;
            }
        }
        self.pending_bytes = 0;
        let batch = self.decoder.flush().map_err(|error| explain(error, &self.name, &self.schema, self.rows))?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch)
    }
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
}

/// The first bytes of an input, and whether they are all of it. However long lines are, a header and a row are whole.
pub(crate) fn read_sample(input: &mut impl Read, limit: ByteSize) -> std::io::Result<(Vec<u8>, bool)> {
    const LINES_MIN: usize = 2;
    let mut sample = Vec::new();
    let mut limit = limit.as_u64().max(1);
    let mut lines = 0;
    loop {
        let known = sample.len();
        let read = input.take(limit).read_to_end(&mut sample)? as u64;
        lines += memchr::memchr_iter(b'\n', &sample[known..]).count();
        if read < limit || lines >= LINES_MIN {
            return Ok((sample, read < limit));
        }
        limit = CHUNK_BYTES as u64;
    }
}

/// The parser's errors with a column's name instead of its number and rows counted from the first below the header.
fn explain(error: ArrowError, name: &str, schema: &SchemaRef, rows: u64) -> Error {
    let text = match &error {
        ArrowError::CsvError(text) | ArrowError::ParseError(text) => text,
        _ => return from_arrow(error, name),
    };
    let at = |row: u64, column: Option<usize>| {
        let column = column.and_then(|column| schema.fields().get(column));
        let column = column.map(|field| format!(", column \"{}\"", field.name())).unwrap_or_default();
        format!("{name}, row {row}{column}")
    };
    match Fault::parse(text) {
        Some(Fault::Value { value, data_type, column, row }) => {
            invalid(format!("\"{}\" is not of type {data_type}", shorten(value)), at(row, Some(column)))
                .hint("the types come from the first part of the file; a larger one (`--sample 64MiB`) sees more")
        }
        Some(Fault::Width { row, expected, got }) => invalid(
            format!("{got} field{} where the header has {expected}", if got == "1" { "" } else { "s" }),
            at(row, None),
        )
        .hint("quote fields that hold commas or line ends"),
        Some(Fault::Encoding { row, field }) => {
            invalid("the text is not UTF-8", at(row, field.checked_sub(1))).hint(HINT_ENCODING)
        }
        None => invalid(message_of(error), format!("{name}, after row {rows}")),
    }
}

/// What arrow-csv says, taken apart again: it has no other form than text. Its lines are records: some of its messages
/// count the header, others do not; rows are counted from 1 below the header.
#[derive(Debug, PartialEq)]
enum Fault<'a> {
    Value { value: &'a str, data_type: &'a str, column: usize, row: u64 },
    Width { row: u64, expected: u64, got: &'a str },
    Encoding { row: u64, field: usize },
}

impl<'a> Fault<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("Error while parsing value '") {
            let (value, rest) = rest.split_once("' as type '")?;
            let (data_type, rest) = rest.split_once("' for column ")?;
            let (column, rest) = rest.split_once(" at line ")?;
            let (line, _) = rest.split_once('.')?;
            return Some(Self::Value { value, data_type, column: column.parse().ok()?, row: line.parse().ok()? });
        }
        if let Some(rest) = text.strip_prefix("Error parsing column ") {
            let (column, rest) = rest.split_once(" at line ")?;
            let (line, value) = rest.split_once(": ")?;
            let value = value.rsplit_once("from '").map_or(value, |(_, value)| value);
            let value = value.split_once('\'').map_or(value, |(value, _)| value);
            let (column, row) = (column.parse().ok()?, line.parse().ok()?);
            return Some(Self::Value { value, data_type: "timestamp", column, row });
        }
        if let Some(rest) = text.strip_prefix("incorrect number of fields for line ") {
            let (line, rest) = rest.split_once(", expected ")?;
            let (expected, got) = rest.split_once(" got ")?;
            let row = line.parse::<u64>().ok()?.checked_sub(1)?;
            return Some(Self::Width { row, expected: expected.parse().ok()?, got });
        }
        let rest = text.strip_prefix("Encountered invalid UTF-8 data for line ")?;
        let (line, field) = rest.split_once(" and field ")?;
        let row = line.parse::<u64>().ok()?.checked_sub(1)?;
        Some(Self::Encoding { row, field: field.parse().ok()? })
    }
}

fn shorten(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        None => value.escape_debug().to_string(),
        Some((end, _)) => format!("{}…", value[..end].escape_debug()),
    }
}

/// Writes CSV with a header line; nulls are empty fields.
pub(crate) struct Writer {
    inner: arrow_csv::Writer<Box<dyn std::io::Write + Send>>,
    schema: SchemaRef,
    begun: bool,
}

impl Writer {
    pub(crate) fn new(output: Box<dyn std::io::Write + Send>, schema: SchemaRef) -> Result<Self> {
        if let Some(field) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
            let place = format!("column \"{}\" of type {}", field.name(), field.data_type());
            return Err(invalid("CSV has no nested columns", place).hint("write Parquet, Arrow or NDJSON"));
        }
        Ok(Self { inner: arrow_csv::WriterBuilder::new().with_header(true).build(output), schema, begun: false })
    }
}

impl BatchWriter for Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.begun = true;
        self.inner.write(batch).map_err(|error| from_arrow(error, "the CSV output"))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if !self.begun {
            // Also a table without rows has a header line.
            self.write(&RecordBatch::new_empty(self.schema.clone()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
