//! The rows of a JSON text, one on each line, within bounds: what both forms of JSON go through before anything parses them.
//!
//! ```text
//! array   [{"a": 1}, {"a": 2}]   becomes   {"a": 1}
//!                                          {"a": 2}
//! lines                          pass as they are
//! ```
//!
//! The parsers behind it work through nested values by recursion, and hold a line whole: an input that is nested without end,
//! or has a line without end, would end the process. Text is followed closely enough for that, and judged by the parsers.

use std::io::{self, BufRead, BufReader, Read};

use airlane_model::{ByteSize, Error, Result, codes};

use crate::error::{failed, invalid};

/// How deep the values of a row may be nested. A table takes less.
const DEPTH_MAX: u32 = 64;
/// How long a row may be.
const ROW_BYTES_MAX: ByteSize = ByteSize::mib(64);
const CHUNK_BYTES: usize = 64 << 10;

/// How the rows stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each on a line of its own.
    Lines,
    /// As the elements of one array.
    Array,
}

impl Form {
    /// What errors call a row, before its number.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::Array => "element",
        }
    }
}

/// One row on each line, as it is read. Its errors carry an [`Error`].
pub(crate) struct Rows<R> {
    input: BufReader<R>,
    scanner: Scanner,
    ready: Vec<u8>,
    taken: usize,
}

impl<R: Read> Rows<R> {
    pub(crate) fn new(input: R, form: Form, name: &str) -> Self {
        let input = BufReader::with_capacity(CHUNK_BYTES, input);
        Self { input, scanner: Scanner::new(form, name), ready: Vec::new(), taken: 0 }
    }

    /// Reads on; nothing is ready at the end.
    fn advance(&mut self) -> Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                filled => filled.map_err(|error| failed(error, &*self.scanner.name))?,
            };
            if chunk.is_empty() {
                return self.scanner.end();
            }
            self.scanner.scan(chunk, &mut self.ready)?;
            let length = chunk.len();
            self.input.consume(length);
        }
        Ok(())
    }
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.advance().map_err(io::Error::other)?;
        }
        let rest = &self.ready[self.taken..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the array.
    Start,
    /// Before the first element, or the end of the array.
    First,
    /// Before an element.
    Next,
    /// In a row.
    Row,
    /// Behind an element.
    Behind,
    /// Behind the array.
    End,
}

struct Scanner {
    form: Form,
    name: String,
    at: At,
    /// The row in which the next byte is, from 1; around elements that of the last.
    row: u64,
    row_bytes: u64,
    depth: u32,
    is_text: bool,
    is_escaped: bool,
}

impl Scanner {
    fn new(form: Form, name: &str) -> Self {
        let (at, row) = match form {
            Form::Lines => (At::Row, 1),
            Form::Array => (At::Start, 0),
        };
        Self { form, name: name.to_owned(), at, row, row_bytes: 0, depth: 0, is_text: false, is_escaped: false }
    }

    /// Takes the next bytes, and adds the rows that are in them.
    fn scan(&mut self, mut bytes: &[u8], rows: &mut Vec<u8>) -> Result<()> {
        while !bytes.is_empty() {
            if self.at == At::Row {
                let length = self.row(bytes)?;
                self.add(&bytes[..length], rows);
                bytes = &bytes[length..];
            } else {
                bytes = self.between(bytes)?;
            }
        }
        Ok(())
    }

    fn add(&self, bytes: &[u8], rows: &mut Vec<u8>) {
        let begin = rows.len();
        rows.extend_from_slice(bytes);
        if self.form == Form::Array {
            // Outside of texts a line end is a space like any other, and inside there is none.
            rows[begin..].iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            if self.at != At::Row {
                rows.push(b'\n');
            }
        }
    }

    /// Follows the bytes of a row up to its end, or that of the bytes, and answers how many there are.
    fn row(&mut self, bytes: &[u8]) -> Result<usize> {
        let (mut at, mut begin) = (0, 0);
        while at < bytes.len() && self.at == At::Row {
            let byte = if self.is_escaped {
                self.is_escaped = false;
                bytes[at]
            } else if self.is_text {
                let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', &bytes[at..]) else {
                    at = bytes.len();
                    break;
                };
                at += found;
                match bytes[at] {
                    b'"' => self.is_text = false,
                    b'\\' => self.is_escaped = true,
                    _ if self.form == Form::Array => return Err(self.invalid("a text has a line end in it")),
                    _ => {}
                }
                bytes[at]
            } else {
                self.structure(bytes[at])?;
                bytes[at]
            };
            at += 1;
            if byte == b'\n' && self.form == Form::Lines {
                self.row += 1;
                (self.row_bytes, begin) = (0, at);
            }
        }
        self.row_bytes += (at - begin) as u64;
        if self.row_bytes > ROW_BYTES_MAX.as_u64() {
            return Err(self.too(format!("a row has more than {ROW_BYTES_MAX}")));
        }
        Ok(at)
    }

    fn structure(&mut self, byte: u8) -> Result<()> {
        match byte {
            b'"' => self.is_text = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(self.too(format!("values are nested deeper than {DEPTH_MAX} levels")));
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 && self.form == Form::Array {
                    self.at = At::Behind;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows the bytes around elements, and answers those that are left.
    fn between<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let Some((byte, rest)) = bytes.split_first() else { return Ok(bytes) };
        self.at = match (self.at, *byte) {
            (at, b' ' | b'\t' | b'\r' | b'\n') => at,
            // The byte order mark.
            (At::Start, 0xef | 0xbb | 0xbf) => At::Start,
            (At::Start, b'[') => At::First,
            (At::First | At::Next, b'{') => {
                self.row += 1;
                (self.row_bytes, self.depth) = (0, 0);
                self.at = At::Row;
                return Ok(bytes);
            }
            (At::First | At::Behind, b']') => At::End,
            (At::Behind, b',') => At::Next,
            (At::Start, _) => {
                return Err(invalid("the content is no JSON array", &*self.name)
                    .hint("objects on lines of their own are NDJSON: format `ndjson`"));
            }
            (At::End, _) => return Err(invalid("something follows the array", &*self.name)),
            (At::Behind, _) => return Err(self.invalid("neither a comma nor the end of the array follows")),
            (At::First | At::Next | At::Row, _) => {
                self.row += 1;
                return Err(self.invalid("this is no object"));
            }
        };
        Ok(rest)
    }

    fn end(&self) -> Result<()> {
        match (self.form, self.at) {
            (Form::Lines, _) | (_, At::End) => Ok(()),
            (_, At::Start) => Err(invalid("there is no JSON array", &*self.name)),
            _ => Err(invalid("the array has no end", format!("{}, after element {}", self.name, self.row))),
        }
    }

    fn place(&self) -> String {
        format!("{}, {} {}", self.name, self.form.word(), self.row)
    }

    fn invalid(&self, message: &str) -> Error {
        invalid(message, self.place())
    }

    fn too(&self, message: String) -> Error {
        Error::new(codes::LIMIT_EXCEEDED, message).at(self.place())
    }
}

#[cfg(test)]
mod tests;
