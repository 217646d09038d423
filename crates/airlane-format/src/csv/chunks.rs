//! An input in chunks of whole records.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use airlane_model::ByteSize;

use super::CsvOptions;
use super::fault::{Fault, lines};
use super::scan::Scanner;
use crate::error::failed;
use crate::source::read_some;

/// The bytes of a chunk: enough that handing it over costs nothing, and little memory for several.
const CHUNK_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 64 << 10;
/// The bytes of a record. What is longer is no table.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 20;
/// A header and a row.
const SAMPLE_LINES_MIN: u64 = 2;

/// Cuts an input into chunks.
pub(super) struct Chunks {
    name: String,
    input: Box<dyn Read + Send>,
    scanner: Scanner,
    /// What was read and not handed out.
    buffer: Vec<u8>,
    is_at_end: bool,
    /// Nobody wants more.
    is_stopped: Arc<AtomicBool>,
}

impl Chunks {
    pub(super) fn new(name: &str, input: Box<dyn Read + Send>, options: &CsvOptions) -> Self {
        Self {
            name: name.to_owned(),
            input,
            scanner: Scanner::new(options),
            buffer: Vec::new(),
            is_at_end: false,
            is_stopped: Arc::default(),
        }
    }

    /// Set by whoever wants no more.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        self.is_stopped.clone()
    }

    /// Whether all was handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.is_at_end && self.buffer.is_empty()
    }

    /// The first chunk, of so many bytes: with a header and a row, however long they are.
    pub(super) fn sample(&mut self, bytes: ByteSize) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = bytes.as_usize().max(1);
        loop {
            self.fill(bytes)?;
            let end = self.scanner.records_end();
            if self.is_at_end || lines(&self.buffer[..end]) >= SAMPLE_LINES_MIN {
                return self.cut();
            }
            bytes = self.buffer.len() + READ_BYTES;
        }
    }

    /// The next chunk, which ends with a line end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = CHUNK_BYTES;
        loop {
            self.fill(bytes)?;
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if self.is_at_end || self.scanner.records_end() > 0 {
                return self.cut();
            }
            bytes = self.buffer.len() + READ_BYTES;
        }
    }

    /// Reads until there are so many bytes.
    fn fill(&mut self, bytes: usize) -> Result<(), Fault> {
        while self.buffer.len() < bytes && !self.is_at_end && !self.is_stopped.load(Ordering::Relaxed) {
            self.read((bytes - self.buffer.len()).min(READ_BYTES))?;
            self.scanner.scan(&self.buffer, self.is_at_end);
            if self.buffer.len() - self.scanner.records_end() > RECORD_BYTES_MAX {
                return Err(self.too_long());
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        let known = self.buffer.len();
        self.buffer.resize(known + bytes, 0);
        let read = read_some(&mut self.input, &mut self.buffer[known..]).map_err(|error| failed(error, &self.name))?;
        self.buffer.truncate(known + read);
        if read == 0 {
            self.is_at_end = true;
            // A record ends with its line, also the last one.
            if self.buffer.last().is_some_and(|byte| *byte != b'\n') {
                self.buffer.push(b'\n');
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if self.is_at_end && self.scanner.quoted_from().is_some() {
            return Err(self.not_closed());
        }
        let end = self.scanner.records_end();
        if end == 0 {
            return Ok(None);
        }
        let mut rest = Vec::with_capacity(CHUNK_BYTES + READ_BYTES);
        rest.extend_from_slice(&self.buffer[end..]);
        let mut chunk = std::mem::replace(&mut self.buffer, rest);
        chunk.truncate(end);
        self.scanner.cut();
        Ok(Some(chunk))
    }

    fn not_closed(&self) -> Fault {
        let from = self.scanner.quoted_from().unwrap_or_default();
        Fault::new("a quote that opens here is never closed", lines(&self.buffer[..from]))
            .hint("close it, or write the quote twice where it is part of the text; `quote` names another character, or `none`")
    }

    fn too_long(&self) -> Fault {
        let most = ByteSize::bytes(RECORD_BYTES_MAX as u64);
        let start = match self.scanner.quoted_from() {
            Some(from) => from,
            None => self.scanner.records_end(),
        };
        let message = match self.scanner.quoted_from() {
            Some(_) => format!("a quote that opens here is not closed within {most}, the most that a record may have"),
            None => format!("the record has more than {most}, the most that one may have"),
        };
        Fault::new(message, lines(&self.buffer[..start]))
            .hint("name the right `quote` and `delimiter`, or the right format")
    }
}
