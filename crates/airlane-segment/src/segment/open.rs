//! Opens the bytes of a segment: from the end, as any IPC file.
//!
//! ```text
//! … | footer flatbuffer | its length, 4 bytes | "ARROW1"
//! ```
//!
//! The structure is checked for everybody, so that nothing later reads outside of a message. A stranger's file must in
//! addition be laid out as ours are: dictionaries numbered as we number them, one schema in front and in the footer,
//! nothing but zeroes where nothing lies. Its data is validated through the same decoder as a put over the wire.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use airlane_model::{Error, Result, codes, limits};
use arrow_ipc::{CompressionType, MessageHeader, MetadataVersion, RecordBatch};
use flatbuffers::VerifierOptions;

use super::{Segment, Trust};
use crate::check::DecodeLimits;
use crate::decode::StreamDecoder;
use crate::encode::{Block, MAGIC, PREFIX_BYTES, end_of_stream};
use crate::home::Home;
use crate::schema::{TableSchema, canonical, message, policy};

/// Footer length and magic at the end of a file.
const TRAILER_BYTES: usize = 4 + MAGIC.len();

/// Bodies, and buffers inside of them, begin at multiples of this. Readers take numbers where they lie.
const ALIGNMENT: u64 = limits::ALIGNMENT_BYTES as u64;

/// Where writers put the first message: right behind the magic, padded to their alignment.
const FIRST_MESSAGE_OFFSETS: [usize; 2] = [64, 8];

/// The length of the footer of a file of `len` bytes, which bounds how many messages it has. It is read and not believed.
pub fn footer_bytes(file: BorrowedFd<'_>, len: u64) -> Option<u64> {
    let mut length = [0; 4];
    let read = rustix::io::pread(file, &mut length, len.checked_sub(TRAILER_BYTES as u64)?).ok()?;
    (read == length.len()).then(|| u32::from_le_bytes(length).into())
}

pub(super) fn open(home: Home, trust: Trust) -> Result<Segment> {
    let bytes = home.bytes();
    let file = Layout { bytes: &bytes, trust };
    let Parts { schema, dictionaries, batches } = file.parts(None)?;
    let rows = |block: &Block| Ok((*block, file.batch_rows(block)?));
    let batches: Vec<(Block, u64)> = batches.iter().map(rows).collect::<Result<_>>()?;
    if trust == Trust::Foreign {
        let footer_start = file.footer()?.0;
        file.judge_padding(dictionaries.iter().chain(batches.iter().map(|(block, _)| block)), footer_start)?;
    }
    let segment = Segment::written(home, schema, &batches, &dictionaries);
    if trust == Trust::Foreign {
        let schema_header = file.schema_header()?;
        validate(&segment, schema_header, dictionaries.iter().chain(batches.iter().map(|(block, _)| block)))?;
    }
    Ok(segment)
}

/// Where the messages of validated bytes are; none of the record batches is looked at. `like` is the schema that they have, most likely.
pub(super) fn parts(home: &Home, like: Option<&TableSchema>) -> Result<Parts> {
    Layout { bytes: home.buffer(), trust: Trust::Validated }.parts(like)
}

/// The rows of a record batch of validated bytes, whose structure is sound.
pub(super) fn batch_rows(home: &Home, block: &Block) -> Result<u64> {
    Layout { bytes: home.buffer(), trust: Trust::Validated }.batch_rows(block)
}

/// What a file consists of.
pub(super) struct Parts {
    pub(super) schema: TableSchema,
    /// In the order of their ids.
    pub(super) dictionaries: Vec<Block>,
    pub(super) batches: Vec<Block>,
}

/// Decodes everything with full validation, dictionaries first. The bytes are served as they lie, so nothing may need
/// to be made readable.
fn validate<'a>(segment: &Segment, schema_header: &[u8], blocks: impl Iterator<Item = &'a Block>) -> Result<()> {
    let mut decoder = StreamDecoder::new(schema_header, DecodeLimits::default())?;
    for block in blocks {
        let header = segment.header(block);
        decoder.check(&header, block.body_bytes)?;
        decoder.decode(&header, segment.body(block))?;
        if !decoder.is_verbatim() {
            let place = format!("message at byte {}", block.offset);
            return Err(Error::new(codes::DATA_INVALID, "there are views under nulls that nobody can read")
                .at(place)
                .hint("set them to zero"));
        }
    }
    Ok(())
}

/// The bytes of a file whose structure is being checked.
struct Layout<'a> {
    bytes: &'a [u8],
    trust: Trust,
}

impl<'a> Layout<'a> {
    fn parts(&self, like: Option<&TableSchema>) -> Result<Parts> {
        let (footer_start, footer) = self.footer()?;
        let schema_header = self.schema_header()?;
        let schema = match like.filter(|like| self.trust == Trust::Validated && **like.message() == *schema_header) {
            Some(like) => like.clone(),
            None => {
                let (schema, ids) = TableSchema::from_message_with_ids(schema_header)?;
                if self.trust != Trust::Validated {
                    self.judge_schemas(&schema, &ids, footer)?;
                }
                schema
            }
        };
        let dictionaries = self.blocks(footer.dictionaries(), footer_start)?;
        let batches = self.blocks(footer.recordBatches(), footer_start)?;
        self.apart(dictionaries.iter().chain(&batches))?;
        let ids: Vec<i64> = dictionaries.iter().map(|block| self.dictionary_id(block)).collect::<Result<_>>()?;
        let mut numbered: Vec<(i64, Block)> = ids.into_iter().zip(dictionaries).collect();
        numbered.sort_by_key(|(id, _)| *id);
        // Before the first batch of a table a dictionary may be left out.
        let complete = numbered.len() == schema.dictionaries().len() || (numbered.is_empty() && batches.is_empty());
        if !complete || (0..).zip(&numbered).any(|(expected, (id, _))| expected != *id) {
            let found: Vec<i64> = numbered.iter().map(|(id, _)| *id).collect();
            let expected = schema.dictionaries().len();
            return Err(self.fault(format!("the dictionary ids are {found:?}, expected each once up to {expected}")));
        }
        let dictionaries = numbered.into_iter().map(|(_, block)| block).collect();
        Ok(Parts { schema, dictionaries, batches })
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        match self.trust {
            Trust::Validated => Error::new(codes::DATA_DAMAGED, message),
            Trust::Trusted | Trust::Foreign => Error::new(codes::MESSAGE_INVALID, message),
        }
    }

    fn verifier(&self) -> VerifierOptions {
        // A table for each field, its type, its dictionary and each of its key-value pairs. The schema policy bounds
        // all of them more tightly once the flatbuffer can be read.
        VerifierOptions { max_depth: 128, max_tables: 1_000_000, ..VerifierOptions::default() }
    }

    fn footer(&self) -> Result<(u64, arrow_ipc::Footer<'a>)> {
        let no_file = || self.fault("the bytes are no Arrow IPC file");
        let trailer = self.bytes.len().checked_sub(TRAILER_BYTES).ok_or_else(no_file)?;
        let (content, end) = self.bytes.split_at(trailer);
        let (length, magic) = end.split_at(4);
        if magic != MAGIC || !content.starts_with(&MAGIC) {
            return Err(no_file());
        }
        let length = i32::from_le_bytes(length.try_into().unwrap_or_default());
        let start = usize::try_from(length).ok().and_then(|length| trailer.checked_sub(length)).ok_or_else(no_file)?;
        let footer = arrow_ipc::root_as_footer_with_opts(&self.verifier(), &content[start..])
            .map_err(|error| self.fault(format!("the footer is malformed: {error}")))?;
        if footer.version() != MetadataVersion::V5 {
            return Err(self.fault(format!("the metadata version is {:?}, expected V5", footer.version())));
        }
        Ok((start as u64, footer))
    }

    fn schema_header(&self) -> Result<&'a [u8]> {
        let header = self.first_message().and_then(|message| self.bytes.get(message)?.get(PREFIX_BYTES..));
        header.ok_or_else(|| self.fault("the file does not begin with a schema message"))
    }

    fn first_message(&self) -> Option<Range<usize>> {
        FIRST_MESSAGE_OFFSETS.into_iter().find_map(|offset| {
            let length = prefix(self.bytes.get(offset..)?)?;
            let message = offset..(offset + PREFIX_BYTES).checked_add(length)?;
            self.bytes.get(message.clone()).map(|_| message)
        })
    }

    /// Readers believe one or the other schema, and blocks are known by the ids in it: both must say the same, and
    /// number the dictionaries as we do. Else the values of one would be read as those of another.
    fn judge_schemas(&self, schema: &TableSchema, ids: &[i64], footer: arrow_ipc::Footer<'a>) -> Result<()> {
        let judged = footer.schema().ok_or_else(|| self.fault("the footer has no schema"))?;
        policy::judge(&judged)?;
        let (footer_schema, footer_ids) = canonical::number(&message::convert(judged)?);
        if footer_schema != **schema.arrow() {
            return Err(self.fault("the schema of the footer is not that of the first message"));
        }
        for ids in [ids, footer_ids.as_slice()] {
            if !ids.iter().copied().eq(0..ids.len() as i64) {
                return Err(
                    self.fault(format!("the dictionaries of the columns are {ids:?}, in another order than ours"))
                );
            }
        }
        Ok(())
    }

    /// Where neither a message nor a buffer lies, there are zeroes.
    fn judge_padding<'b>(&self, blocks: impl Iterator<Item = &'b Block>, footer_start: u64) -> Result<()> {
        let footer_start = footer_start as usize;
        let mut held = vec![0..MAGIC.len(), footer_start..self.bytes.len()];
        held.extend(self.first_message());
        let end = footer_start.saturating_sub(PREFIX_BYTES)..footer_start;
        held.extend((self.bytes.get(end.clone()) == Some(&end_of_stream())).then_some(end));
        for block in blocks {
            let message = self.message(block)?;
            let dictionary = message.header_as_dictionary_batch();
            let data = message.header_as_record_batch().or_else(|| dictionary?.data());
            let start = block.offset as usize;
            let body = start + block.metadata_bytes as usize;
            held.push(start..body);
            // They were found to lie inside of the body.
            let buffers = data.and_then(|data| data.buffers()).into_iter().flatten();
            held.extend(buffers.map(|buffer| {
                let start = body + buffer.offset() as usize;
                start..start + buffer.length() as usize
            }));
        }
        held.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in held {
            let padding = self.bytes.get(end..range.start).unwrap_or_default();
            if padding.iter().any(|byte| *byte != 0) {
                return Err(self.fault(format!("there are other bytes than zeroes between {end} and {}", range.start)));
            }
            end = end.max(range.end);
        }
        Ok(())
    }

    fn blocks(
        &self,
        blocks: Option<flatbuffers::Vector<'a, arrow_ipc::Block>>,
        footer_start: u64,
    ) -> Result<Vec<Block>> {
        let block = |block: &arrow_ipc::Block| self.block(block, footer_start);
        blocks.into_iter().flatten().map(block).collect()
    }

    fn block(&self, block: &arrow_ipc::Block, footer_start: u64) -> Result<Block> {
        let outside = || self.fault(format!("{block:?} is not a block of this file"));
        let checked = Block {
            offset: u64::try_from(block.offset()).map_err(|_| outside())?,
            metadata_bytes: u32::try_from(block.metaDataLength()).map_err(|_| outside())?,
            body_bytes: u64::try_from(block.bodyLength()).map_err(|_| outside())?,
        };
        let metadata_bytes = u64::from(checked.metadata_bytes);
        let body = checked.offset.checked_add(metadata_bytes).ok_or_else(outside)?;
        let end = body.checked_add(checked.body_bytes).ok_or_else(outside)?;
        let is_aligned = checked.offset.is_multiple_of(8) && body.is_multiple_of(ALIGNMENT);
        if end > footer_start || !is_aligned || metadata_bytes < PREFIX_BYTES as u64 {
            return Err(outside());
        }
        let length = self.bytes.get(checked.offset as usize..).and_then(prefix);
        if length != Some(checked.metadata_bytes as usize - PREFIX_BYTES) {
            return Err(outside());
        }
        Ok(checked)
    }

    fn apart<'b>(&self, blocks: impl Iterator<Item = &'b Block>) -> Result<()> {
        let mut blocks: Vec<&Block> = blocks.collect();
        blocks.sort_by_key(|block| block.offset);
        let overlap = blocks
            .windows(2)
            .find(|pair| pair[0].offset + u64::from(pair[0].metadata_bytes) + pair[0].body_bytes > pair[1].offset);
        match overlap {
            Some(pair) => Err(self.fault(format!("{:?} and {:?} overlap", pair[0], pair[1]))),
            None => Ok(()),
        }
    }

    fn message(&self, block: &Block) -> Result<arrow_ipc::Message<'a>> {
        let start = block.offset as usize;
        let header = &self.bytes[start + PREFIX_BYTES..start + block.metadata_bytes as usize];
        let message = arrow_ipc::root_as_message_with_opts(&self.verifier(), header)
            .map_err(|error| self.fault(format!("the message at byte {start} is malformed: {error}")))?;
        if message.version() != MetadataVersion::V5 || message.bodyLength() as u64 != block.body_bytes {
            return Err(self.fault(format!("the message at byte {start} differs from the footer")));
        }
        Ok(message)
    }

    fn dictionary_id(&self, block: &Block) -> Result<i64> {
        let message = self.message(block)?;
        match message.header_as_dictionary_batch() {
            Some(dictionary) if !dictionary.isDelta() => {
                self.data(block, dictionary.data())?;
                Ok(dictionary.id())
            }
            Some(_) => Err(self.fault("a segment holds a dictionary delta")),
            None => Err(self.unexpected(block, message.header_type())),
        }
    }

    fn batch_rows(&self, block: &Block) -> Result<u64> {
        let message = self.message(block)?;
        match message.header_as_record_batch() {
            Some(batch) => self.data(block, Some(batch)),
            None => Err(self.unexpected(block, message.header_type())),
        }
    }

    fn unexpected(&self, block: &Block, kind: MessageHeader) -> Error {
        self.fault(format!("the message at byte {} is a {kind:?}", block.offset))
    }

    /// Checks that buffers lie in the body, and answers the rows.
    fn data(&self, block: &Block, data: Option<RecordBatch<'a>>) -> Result<u64> {
        let place = format!("message at byte {}", block.offset);
        let data = data.ok_or_else(|| self.fault("a dictionary without data").at(&place))?;
        if let Some(compression) = data.compression() {
            let codec: CompressionType = compression.codec();
            return Err(self.fault(format!("a segment is compressed with {codec:?}")).at(place));
        }
        for buffer in data.buffers().into_iter().flatten() {
            let end = u64::try_from(buffer.offset())
                .ok()
                .zip(u64::try_from(buffer.length()).ok())
                .and_then(|(offset, length)| offset.checked_add(length));
            if end.is_none_or(|end| end > block.body_bytes) {
                return Err(self.fault(format!("{buffer:?} is outside of its body")).at(place));
            }
            if !(buffer.offset() as u64).is_multiple_of(ALIGNMENT) {
                return Err(self.fault(format!("{buffer:?} is not at a multiple of {ALIGNMENT}")).at(place));
            }
        }
        u64::try_from(data.length()).map_err(|_| self.fault("a batch of negative length").at(place))
    }
}

/// The length of the metadata of the message that begins here.
fn prefix(bytes: &[u8]) -> Option<usize> {
    let (continuation, rest) = bytes.split_first_chunk::<4>()?;
    let length = i32::from_le_bytes(*rest.first_chunk()?);
    (*continuation == [0xff; 4]).then_some(usize::try_from(length).ok()?)
}
