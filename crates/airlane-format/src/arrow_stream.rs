//! The Arrow IPC stream format: a schema, then dictionaries and record batches as messages, until the end marker.
//!
//! The bytes are handed to arrow-ipc as they arrive, so that memory grows with what is there and never with what a
//! message claims.

use std::io::{Read, Write};
use std::sync::Arc;

use airlane_model::Result;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Schema, SchemaRef};

use crate::error::{failed, from_arrow, invalid};
use crate::guard::guarded;
use crate::source::Source;
use crate::{BatchReader, BatchWriter};

const CHUNK_BYTES: u64 = 1 << 20;

/// Reads a stream.
pub(crate) struct Reader {
    name: String,
    input: Box<dyn Read + Send>,
    decoder: StreamDecoder,
    chunk: Buffer,
    schema: SchemaRef,
    /// The batch that was met when the schema was looked for.
    first: Option<RecordBatch>,
    batches: u64,
    done: bool,
}

impl Reader {
    pub(crate) fn open(source: Source) -> Result<Self> {
        let mut reader = Self {
            name: source.name().to_owned(),
            input: source.into_stream(),
            decoder: StreamDecoder::new(),
            chunk: Buffer::from_vec(Vec::<u8>::new()),
            schema: Arc::new(Schema::empty()),
            first: None,
            batches: 0,
            done: false,
        };
        reader.first = reader.decode()?;
        reader.schema = reader.decoder.schema().ok_or_else(|| invalid("the stream has no schema", &reader.name))?;
        Ok(reader)
    }

    fn decode(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.chunk.is_empty() {
                self.chunk = read_chunk(&mut self.input, &self.name)?;
            }
            let place = || format!("{}, batch {}", self.name, self.batches);
            if self.chunk.is_empty() {
                return match self.decoder.finish() {
                    Ok(()) => Ok(None),
                    Err(_) => Err(invalid("the stream ends inside a message", place())),
                };
            }
            let (decoder, chunk) = (&mut self.decoder, &mut self.chunk);
            let decoded = guarded(place, || match decoder.decode(chunk) {
                Ok(batch) => Ok(batch),
                // The end marker was met: what follows it is not part of the stream.
                Err(_) if decoder.finish().is_ok() => Ok(None),
                Err(error) => Err(from_arrow(error, place())),
            })?;
            if decoded.is_some() {
                self.batches += 1;
                return Ok(decoded);
            }
            if !self.chunk.is_empty() {
                return Ok(None);
            }
        }
    }
}

fn read_chunk(input: &mut impl Read, name: &str) -> Result<Buffer> {
    let mut chunk = Vec::new();
    input.take(CHUNK_BYTES).read_to_end(&mut chunk).map_err(|error| failed(error, name))?;
    Ok(Buffer::from_vec(chunk))
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.first.take() {
            return Some(Ok(batch));
        }
        if self.done {
            return None;
        }
        let item = self.decode().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Writes a stream; a dictionary that changes between batches is written again.
pub(crate) struct Writer {
    inner: StreamWriter<Box<dyn Write + Send>>,
}

const PLACE: &str = "the Arrow output";

impl Writer {
    pub(crate) fn new(output: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Self> {
        let inner = StreamWriter::try_new(output, &schema).map_err(|error| from_arrow(error, PLACE))?;
        Ok(Self { inner })
    }
}

impl BatchWriter for Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.inner.write(batch).map_err(|error| from_arrow(error, PLACE))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.inner.finish().map_err(|error| from_arrow(error, PLACE))?;
        self.inner.get_mut().flush().map_err(|error| failed(error, PLACE))
    }
}
