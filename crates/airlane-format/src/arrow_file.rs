//! The Arrow IPC file format: messages, found through a footer at the end of the file.
//!
//! ```text
//! "ARROW1" pad   messages …   end marker   footer   footer length (4)   "ARROW1"
//! ```
//!
//! Every length and offset of the footer is compared with the size of the file before anything is read there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use airlane_model::{Error, Result};
use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::writer::{DictionaryHandling, FileWriter, IpcWriteOptions};
use arrow_ipc::{Block, convert};
use arrow_schema::SchemaRef;

use crate::dictionary::DictionaryUnion;
use crate::error::{failed, from_arrow, invalid};
use crate::guard::guarded;
use crate::source::Source;
use crate::{BatchReader, BatchWriter};

const TRAILER_BYTES: usize = 10;
/// The end marker of the messages and the shortest message.
const MESSAGE_BYTES_MIN: u64 = 8;

/// Reads a file.
pub(crate) struct Reader {
    name: String,
    file: File,
    file_bytes: u64,
    schema: SchemaRef,
    decoder: FileDecoder,
    blocks: Vec<Block>,
    next: usize,
}

impl Reader {
    pub(crate) fn open(source: Source) -> Result<Self> {
        let name = source.name().to_owned();
        let mut file = source.into_file()?;
        let file_bytes = file.metadata().map_err(|error| failed(error, &name))?.len();
        let place = || format!("{name}, footer");
        let footer = read_footer(&mut file, file_bytes, &name)?;
        let (schema, mut decoder, dictionaries, blocks) = guarded(place, || {
            let footer = arrow_ipc::root_as_footer(&footer).map_err(|error| invalid(error.to_string(), place()))?;
            let schema = footer.schema().ok_or_else(|| invalid("the footer has no schema", place()))?;
            let schema = SchemaRef::new(convert::fb_to_schema(schema));
            let decoder = FileDecoder::new(schema.clone(), footer.version());
            let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
            let blocks: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
            Ok((schema, decoder, dictionaries, blocks))
        })?;
        for (index, block) in dictionaries.iter().enumerate() {
            let place = || format!("{name}, dictionary {index}");
            let bytes = read_block(&mut file, file_bytes, block, place)?;
            guarded(place, || decoder.read_dictionary(block, &bytes).map_err(|error| from_arrow(error, place())))?;
        }
        Ok(Self { name, file, file_bytes, schema, decoder, blocks, next: 0 })
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        let Some(block) = self.blocks.get(self.next) else { return Ok(None) };
        let place = || format!("{}, batch {}", self.name, self.next);
        let bytes = read_block(&mut self.file, self.file_bytes, block, place)?;
        let decoder = &self.decoder;
        let batch =
            guarded(place, || decoder.read_record_batch(block, &bytes).map_err(|error| from_arrow(error, place())))?;
        match batch {
            Some(batch) => {
                self.next += 1;
                Ok(Some(batch))
            }
            None => Err(invalid("the footer points to a message that is no record batch", place())),
        }
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

/// A message with its body, after its place was compared with the size of the file.
fn read_block(file: &mut File, file_bytes: u64, block: &Block, place: impl Fn() -> String) -> Result<Buffer> {
    let outside = || -> Error {
        let (offset, header, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
        invalid(format!("a message of {header} + {body} bytes at {offset} in a file of {file_bytes}"), place())
    };
    let offset = u64::try_from(block.offset()).map_err(|_| outside())?;
    let header = u64::try_from(block.metaDataLength()).map_err(|_| outside())?;
    let body = u64::try_from(block.bodyLength()).map_err(|_| outside())?;
    let bytes = header.checked_add(body).ok_or_else(outside)?;
    let end = offset.checked_add(bytes).ok_or_else(outside)?;
    if end > file_bytes || header < MESSAGE_BYTES_MIN {
        return Err(outside());
    }
    let bytes = usize::try_from(bytes).map_err(|_| outside())?;
    let mut buffer = MutableBuffer::from_len_zeroed(bytes);
    read_at(file, offset, &mut buffer).map_err(|error| failed(error, place()))?;
    Ok(buffer.into())
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
        self.schema.clone()
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
