//! The Arrow IPC file format: messages, found through a footer at the end of the file.
//!
//! ```text
//! "ARROW1" pad   messages …   end marker   footer   footer length (4)   "ARROW1"
//! ```
//!
//! Every length and offset of the footer is compared with the size of the file before anything is read there, and each message
//! is judged before it is decoded ([`StreamDecoder`]). The schema is that of the first message, as in a stream.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use airlane_model::{Error, Result};
use airlane_segment::DecodeLimits;
use airlane_segment::decode::StreamDecoder;
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::Block;
use arrow_ipc::reader::read_footer_length;
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_schema::SchemaRef;

use crate::arrow_stream::read_header;
use crate::dictionary::DictionaryUnion;
use crate::error::{failed, from_arrow, from_segment, invalid};
use crate::source::Source;
use crate::{BatchReader, BatchWriter, Spooling};

/// Where the first message may begin: behind the mark, aligned as the writer does it.
const FIRST: std::ops::RangeInclusive<u64> = 8..=64;
const TRAILER_BYTES: usize = 10;
/// The end marker of the messages and the shortest message.
const MESSAGE_BYTES_MIN: u64 = 8;

/// Reads a file.
pub(crate) struct Reader {
    name: String,
    file: File,
    file_bytes: u64,
    decoder: StreamDecoder,
    blocks: Vec<Block>,
    next: usize,
}

impl Reader {
    pub(crate) fn open(source: Source, limits: DecodeLimits, spooling: &Spooling) -> Result<Self> {
        let name = source.name().to_owned();
        let mut file = source.into_file(spooling)?;
        let file_bytes = file.metadata().map_err(|error| failed(error, &name))?.len();
        let place = format!("{name}, footer");
        let footer = read_footer(&mut file, file_bytes, &name)?;
        let footer = arrow_ipc::root_as_footer(&footer).map_err(|error| invalid(error.to_string(), &*place))?;
        let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
        let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
        let place = format!("{name}, schema");
        seek_first(&mut file).map_err(|error| failed(error, &name))?;
        let header = read_header(&mut file, &place)?.ok_or_else(|| invalid("the file has no schema", &*place))?;
        let decoder = StreamDecoder::new(&header, limits).map_err(|error| from_segment(error, place))?;
        let mut reader = Self { name, file, file_bytes, decoder, blocks, next: 0 };
        for (index, block) in dictionaries.iter().enumerate() {
            let place = format!("{}, dictionary {index}", reader.name);
            if reader.decode(block, &place)?.is_some() {
                return Err(invalid("the footer points to a message that is no dictionary", place));
            }
        }
        Ok(reader)
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        let Some(block) = self.blocks.get(self.next).copied() else { return Ok(None) };
        let place = format!("{}, batch {}", self.name, self.next);
        let batch = self.decode(&block, &place)?;
        self.next += 1;
        batch.map(Some).ok_or_else(|| invalid("the footer points to a message that is no record batch", place))
    }

    fn decode(&mut self, block: &Block, place: &str) -> Result<Option<RecordBatch>> {
        let (header, body_bytes) = self.open_block(block, place)?;
        let header = header.ok_or_else(|| invalid("the footer points to the end of the messages", place))?;
        let refused = |error| from_segment(error, place);
        self.decoder.check(&header, body_bytes).map_err(refused)?;
        let bytes = usize::try_from(body_bytes).map_err(|_| invalid("a message is too large", place))?;
        let mut body = MutableBuffer::from_len_zeroed(bytes);
        self.file.read_exact(&mut body).map_err(|error| failed(error, place))?;
        self.decoder.decode(&header, Buffer::from(body)).map_err(refused)
    }

    /// The flatbuffer of a message, and the length of its body, at which the file is then. Its place was compared with the size
    /// of the file.
    fn open_block(&mut self, block: &Block, place: &str) -> Result<(Option<Vec<u8>>, u64)> {
        let file_bytes = self.file_bytes;
        let outside = || -> Error {
            let (offset, header, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
            invalid(format!("a message of {header} + {body} bytes at {offset} in a file of {file_bytes}"), place)
        };
        let offset = u64::try_from(block.offset()).map_err(|_| outside())?;
        let header = u64::try_from(block.metaDataLength()).map_err(|_| outside())?;
        let body = u64::try_from(block.bodyLength()).map_err(|_| outside())?;
        let end = header.checked_add(body).and_then(|bytes| offset.checked_add(bytes)).ok_or_else(outside)?;
        if end > file_bytes || header < MESSAGE_BYTES_MIN {
            return Err(outside());
        }
        let wrap = |error| failed(error, place);
        self.file.seek(SeekFrom::Start(offset)).map_err(wrap)?;
        let flatbuffer = read_header(&mut (&self.file).take(header), place)?;
        self.file.seek(SeekFrom::Start(offset + header)).map_err(wrap)?;
        Ok((flatbuffer, body))
    }
}

fn read_footer(file: &mut File, file_bytes: u64, name: &str) -> Result<Vec<u8>> {
    let short = || {
        invalid("the file has no Arrow footer", name)
            .hint("an Arrow stream is read with `--format arrows`; a file that was not finished has lost its footer")
    };
    if file_bytes < TRAILER_BYTES as u64 {
        return Err(short());
    }
    let mut trailer = [0; TRAILER_BYTES];
    read_at(file, file_bytes - TRAILER_BYTES as u64, &mut trailer).map_err(|error| failed(error, name))?;
    let footer_bytes = read_footer_length(trailer).map_err(|_| short())?;
    let start = (file_bytes - TRAILER_BYTES as u64).checked_sub(footer_bytes as u64).ok_or_else(|| {
        invalid(format!("a footer of {footer_bytes} bytes in a file of {file_bytes}"), format!("{name}, footer"))
    })?;
    let mut footer = vec![0; footer_bytes];
    read_at(file, start, &mut footer).map_err(|error| failed(error, name))?;
    Ok(footer)
}

/// Goes to the first message, behind the zeros that align it.
fn seek_first(file: &mut File) -> std::io::Result<()> {
    let mut word = [0; 4];
    for offset in FIRST.step_by(8) {
        read_at(file, offset, &mut word)?;
        if word != [0; 4] {
            return file.seek(SeekFrom::Start(offset)).map(drop);
        }
    }
    Ok(())
}

fn read_at(file: &mut File, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

impl Iterator for Reader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if matches!(item, Some(Err(_))) {
            self.next = self.blocks.len();
        }
        item
    }
}

impl BatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.decoder.schema().arrow().clone()
    }
}

/// Writes a file. A file has one dictionary per column, which may only grow: dictionaries that change between
/// batches are unified.
pub(crate) struct Writer {
    inner: FileWriter<Box<dyn Write + Send>>,
    dictionaries: DictionaryUnion,
}

const PLACE: &str = "the Arrow output";

impl Writer {
    pub(crate) fn new(output: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Self> {
        let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
        let inner =
            FileWriter::try_new_with_options(output, &schema, options).map_err(|error| from_arrow(error, PLACE))?;
        Ok(Self { inner, dictionaries: DictionaryUnion::default() })
    }
}

impl BatchWriter for Writer {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.dictionaries.unify(batch).map_err(|error| {
            from_arrow(error, PLACE).hint("an Arrow stream can replace dictionaries: `--format arrows`")
        })?;
        self.inner.write(&batch).map_err(|error| from_arrow(error, PLACE))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.inner.finish().map_err(|error| from_arrow(error, PLACE))?;
        self.inner.get_mut().flush().map_err(|error| failed(error, PLACE))
    }
}

#[cfg(test)]
mod tests;
