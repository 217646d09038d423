//! CSV, as RFC 4180 has it and with options for what else there is: fields may be quoted, and then hold delimiters, quotes
//! and line ends.
//!
//! ```text
//! bytes → encoding (byte order marks) → chunks of whole records ─┬─ sample → infer: columns and their types
//!                                       (scan: quotes)           └─ threads of a pool → cells → columns → batches, in order
//! ```
//!
//! The types of the columns come from a sample of the file, or from a schema. A value further on that does not fit is an
//! error with line and column. Whatever a file holds, a reader has a sample, a few chunks and what they become in memory.

use std::collections::VecDeque;
use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::Arc;

use airlane_model::{ByteSize, Error, Result, codes};
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::source::Source;
use crate::{BatchReader, Inference, ReadOptions};

mod cells;
mod chunks;
mod columns;
mod encoding;
mod fault;
mod infer;
mod moments;
mod numbers;
mod options;
mod parse;
mod pool;
mod scan;
mod writer;

pub use options::CsvOptions;
pub(crate) use writer::Writer;

use chunks::Chunks;
use fault::Fault;
use parse::{Layout, Parsed, Parser};
use pool::Pool;

/// The most cells of a batch: where each ends is kept while it is parsed.
const BATCH_CELLS_MAX: usize = 4 << 20;
const SAMPLE_STEP_BYTES: u64 = 256 << 10;
const HINT_ENCODING: &str = "convert it on the way: `iconv -f LATIN1 -t UTF-8 FILE | airlane put NAME -`";

/// Reads CSV.
pub(crate) struct Reader {
    name: String,
    layout: Arc<Layout>,
    inference: Inference,
    threads: Option<NonZeroUsize>,
    /// What was looked at, and the bytes of its header.
    sample: Option<(Vec<u8>, usize)>,
    /// What comes behind it, until threads have it.
    rest: Option<Chunks>,
    pool: Option<Pool>,
    line_next: u64,
    ready: VecDeque<RecordBatch>,
    is_done: bool,
}

impl Reader {
    pub(crate) fn open(source: Source, options: &ReadOptions) -> Result<Self> {
        options.csv.check()?;
        let name = source.name().to_owned();
        let input = encoding::decoded(source.into_stream(), &name)?;
        let mut rest = Chunks::new(&name, input, &options.csv);
        let explain = |fault: Fault| fault.explain(&name, 1);
        let sample = rest.sample(options.sample).map_err(explain)?.unwrap_or_default();
        let given = options.schema.as_deref().map(|schema| options.csv.types_of(schema, options.casts_texts));
        let inferred = infer::infer(&sample, rest.is_empty(), &options.csv, given.as_ref()).map_err(explain)?;
        let fields: Vec<_> = inferred.columns.iter().map(|column| column.field.clone()).collect();
        let schema = Arc::new(Schema::new(fields));
        let layout = Layout { options: options.csv.clone(), columns: inferred.columns, schema };
        Ok(Self {
            name,
            layout: Arc::new(layout),
            inference: inferred.inference,
            threads: options.threads,
            sample: Some((sample, inferred.header)),
            rest: Some(rest).filter(|rest| !rest.is_empty()),
            pool: None,
            line_next: 1,
            ready: VecDeque::new(),
            is_done: false,
        })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        while self.ready.is_empty() {
            let Some(parsed) = self.next_chunk() else { return Ok(None) };
            let parsed = parsed.map_err(|fault| fault.explain(&self.name, self.line_next))?;
            self.line_next += parsed.lines;
            self.ready.extend(parsed.batches);
        }
        Ok(self.ready.pop_front())
    }

    fn next_chunk(&mut self) -> Option<Result<Parsed, Fault>> {
        // A small file is the sample alone, and needs no threads. Of another one they begin before the sample is parsed.
        if let Some(rest) = self.rest.take() {
            match Pool::begin(rest, &self.layout, self.threads) {
                Ok(pool) => self.pool = Some(pool),
                Err(error) => {
                    let message = format!("there is no thread: {error}");
                    return Some(Err(Error::new(codes::INTERNAL, message).source(error).into()));
                }
            }
        }
        match self.sample.take() {
            Some((sample, header)) => Some(Parser::new(&self.layout).parse(&sample, header)),
            None => self.pool.as_mut()?.next(),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let item = self.read().transpose();
        self.is_done = !matches!(item, Some(Ok(_)));
        if self.is_done {
            self.pool = None;
        }
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.layout.schema.clone()
    }

    fn inference(&self) -> Option<&Inference> {
        Some(&self.inference)
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
        limit = SAMPLE_STEP_BYTES;
    }
}

#[cfg(test)]
mod tests;
