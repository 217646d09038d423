//! The Arrow IPC stream format: a schema, then dictionaries and record batches as messages, until the end marker.
//!
//! ```text
//! FFFFFFFF | length of the flatbuffer, u32 LE | flatbuffer | body        … FFFFFFFF 00000000
//! ```
//!
//! Before Arrow 0.15 there was no continuation marker, FFFFFFFF. Memory grows with what is there and never with what a message
//! claims, and each message is judged before it is decoded ([`StreamDecoder`]).

use std::io::{self, Read, Write};

use airlane_model::{ByteSize, Result};
use airlane_segment::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;

use crate::error::{failed, from_arrow, from_segment, invalid};
use crate::{BatchReader, BatchWriter};

const CONTINUATION: u32 = u32::MAX;
/// The flatbuffer of a message may be so large.
const HEADER_BYTES_MAX: ByteSize = ByteSize::mib(16);
/// What is set aside for a body at once; a larger one grows as it comes.
const BODY_PIECE_BYTES: usize = 4 << 20;

/// Reads a stream.
pub(crate) struct Reader<R> {
    name: String,
    input: R,
    decoder: StreamDecoder,
    batches: u64,
    done: bool,
}

impl<R: Read + Send> Reader<R> {
    /// Reads the schema of an input that errors call `name`.
    pub(crate) fn open(mut input: R, name: &str, limits: DecodeLimits) -> Result<Self> {
        let header = read_header(&mut input, name)?;
        let header = header.ok_or_else(|| invalid("the stream has no schema", name))?;
        let decoder = StreamDecoder::new(&header, limits);
        let decoder = decoder.map_err(|error| from_segment(error, format!("{name}, schema")))?;
        Ok(Self { name: name.to_owned(), input, decoder, batches: 0, done: false })
    }

    /// Where the bytes come from.
    pub(crate) fn input_mut(&mut self) -> &mut R {
        &mut self.input
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let place = format!("{}, batch {}", self.name, self.batches);
            let Some(header) = read_header(&mut self.input, &place)? else { return Ok(None) };
            let body_bytes = arrow_ipc::root_as_message(&header).ok().map(|message| message.bodyLength());
            let body_bytes = body_bytes.and_then(|bytes| u64::try_from(bytes).ok());
            let body_bytes = body_bytes.ok_or_else(|| invalid("the header of a message is damaged", &*place))?;
            let refused = |error| from_segment(error, &*place);
            self.decoder.check(&header, body_bytes).map_err(refused)?;
            let body = read_body(&mut self.input, body_bytes, &place)?;
            if let Some(batch) = self.decoder.decode(&header, body).map_err(refused)? {
                self.batches += 1;
                return Ok(Some(batch));
            }
        }
    }
}

/// The flatbuffer of the next message; none at the end.
pub(crate) fn read_header(input: &mut impl Read, place: &str) -> Result<Option<Vec<u8>>> {
    let Some(mut length) = read_u32(input, place)? else { return Ok(None) };
    if length == CONTINUATION {
        length = read_u32(input, place)?.ok_or_else(|| cut_off(place))?;
    }
    if length == 0 {
        return Ok(None);
    }
    if u64::from(length) > HEADER_BYTES_MAX.as_u64() {
        let length = ByteSize::bytes(length.into());
        return Err(invalid(format!("the header of a message has {length}, and may have {HEADER_BYTES_MAX}"), place));
    }
    let mut header = Vec::new();
    let read = input.take(length.into()).read_to_end(&mut header).map_err(|error| failed(error, place))?;
    if read < length as usize { Err(cut_off(place)) } else { Ok(Some(header)) }
}

fn read_u32(input: &mut impl Read, place: &str) -> Result<Option<u32>> {
    let mut bytes = Vec::with_capacity(4);
    match input.take(4).read_to_end(&mut bytes).map_err(|error| failed(error, place))? {
        0 => Ok(None),
        _ => bytes.try_into().map(|bytes| Some(u32::from_le_bytes(bytes))).map_err(|_| cut_off(place)),
    }
}

fn read_body(input: &mut impl Read, bytes: u64, place: &str) -> Result<Buffer> {
    let bytes = usize::try_from(bytes).map_err(|_| cut_off(place))?;
    let mut body = MutableBuffer::new(bytes.min(BODY_PIECE_BYTES));
    while body.len() < bytes {
        let begin = body.len();
        body.resize(bytes.min(begin + BODY_PIECE_BYTES.max(begin)), 0);
        input.read_exact(&mut body.as_slice_mut()[begin..]).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(place),
            _ => failed(error, place),
        })?;
    }
    Ok(body.into())
}

fn cut_off(place: &str) -> airlane_model::Error {
    invalid("the stream ends inside a message", place)
}

impl<R: Read + Send> Iterator for Reader<R> {
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

impl<R: Read + Send> BatchReader for Reader<R> {
    fn schema(&self) -> SchemaRef {
        self.decoder.schema().arrow().clone()
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
