//! The encodings that a byte order mark tells: UTF-8, whose mark is dropped, and UTF-16, which becomes UTF-8.

use std::io::{self, Cursor, Read};

use airlane_model::Result;
use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};

use crate::error::{failed, invalid};
use crate::source::read_some;

const MARK_UTF8: &[u8] = b"\xef\xbb\xbf";
const MARK_BYTES_MAX: u64 = 4;
const READ_BYTES: usize = 64 << 10;

/// An input as UTF-8 without a byte order mark. What has no mark is left as it is.
pub(super) fn decoded(mut input: Box<dyn Read + Send>, name: &str) -> Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    input.by_ref().take(MARK_BYTES_MAX).read_to_end(&mut head).map_err(|error| failed(error, name))?;
    let (mark, encoding) = match head.as_slice() {
        [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff] => {
            return Err(invalid("the text is UTF-32", name).hint("convert it: `iconv -f UTF-32 -t UTF-8 FILE`"));
        }
        [0xff, 0xfe, ..] => (2, Some(UTF_16LE)),
        [0xfe, 0xff, ..] => (2, Some(UTF_16BE)),
        head if head.starts_with(MARK_UTF8) => (MARK_UTF8.len(), None),
        _ => (0, None),
    };
    head.drain(..mark);
    let input: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(input));
    Ok(match encoding {
        None => input,
        Some(encoding) => Box::new(Transcoded {
            name: name.to_owned(),
            input,
            decoder: encoding.new_decoder_without_bom_handling(),
            taken: Vec::new(),
            taken_at: 0,
            before: mark as u64,
            made: Vec::new(),
            made_at: 0,
            is_at_end: false,
        }),
    })
}

/// UTF-16 that is read as UTF-8.
struct Transcoded {
    name: String,
    input: Box<dyn Read + Send>,
    decoder: Decoder,
    taken: Vec<u8>,
    taken_at: usize,
    /// The bytes of the file before those that were taken.
    before: u64,
    made: Vec<u8>,
    made_at: usize,
    is_at_end: bool,
}

impl Transcoded {
    fn make(&mut self) -> io::Result<()> {
        if self.taken_at == self.taken.len() {
            self.before += self.taken.len() as u64;
            self.taken.resize(READ_BYTES, 0);
            let read = read_some(&mut self.input, &mut self.taken)?;
            self.taken.truncate(read);
            self.taken_at = 0;
            self.is_at_end = read == 0;
        }
        // Two bytes become three at most.
        self.made.resize(READ_BYTES * 2, 0);
        let (result, read, made) = self.decoder.decode_to_utf8_without_replacement(
            &self.taken[self.taken_at..],
            &mut self.made,
            self.is_at_end,
        );
        self.taken_at += read;
        self.made.truncate(made);
        self.made_at = 0;
        match result {
            DecoderResult::InputEmpty | DecoderResult::OutputFull => Ok(()),
            DecoderResult::Malformed(_, _) => {
                let place = format!("{}, before byte {}", self.name, self.before + self.taken_at as u64);
                Err(io::Error::other(invalid("the text is not UTF-16", place)))
            }
        }
    }
}

impl Read for Transcoded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.made_at == self.made.len() && !self.is_at_end {
            self.make()?;
        }
        let count = into.len().min(self.made.len() - self.made_at);
        into[..count].copy_from_slice(&self.made[self.made_at..self.made_at + count]);
        self.made_at += count;
        Ok(count)
    }
}
