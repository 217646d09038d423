//! Where records end: outside of quotes only.
//!
//! A quote opens only where a field begins, as in csv-core, which takes the records apart afterwards: `5" pipe` holds a
//! character that is no more than that. Counting quotes alone would cut such files in the middle of records.

use super::CsvOptions;

/// Finds the ends of records in a buffer that grows at its end and is cut at its front.
#[derive(Debug)]
pub(super) struct Scanner {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    /// What was looked at.
    at: usize,
    /// Where the quote stands that has no end yet.
    quoted_from: Option<usize>,
    /// Behind the last whole record.
    records_end: usize,
}

impl Scanner {
    pub(super) fn new(options: &CsvOptions) -> Self {
        let escape = options.escape.filter(|escape| Some(*escape) != options.quote);
        Self { delimiter: options.delimiter, quote: options.quote, escape, at: 0, quoted_from: None, records_end: 0 }
    }

    /// Behind the last whole record.
    pub(super) fn records_end(&self) -> usize {
        self.records_end
    }

    /// Where the quote stands that has no end yet.
    pub(super) fn quoted_from(&self) -> Option<usize> {
        self.quoted_from
    }

    /// The whole records were taken off the front.
    pub(super) fn cut(&mut self) {
        self.at -= self.records_end;
        self.quoted_from = self.quoted_from.map(|from| from - self.records_end);
        self.records_end = 0;
    }

    /// Looks at what was added to the buffer.
    pub(super) fn scan(&mut self, buffer: &[u8], is_all: bool) {
        while self.at < buffer.len() {
            let is_clear = match self.quoted_from {
                None => self.outside(buffer),
                Some(_) => self.inside(buffer, is_all),
            };
            if !is_clear {
                break;
            }
        }
    }

    fn outside(&mut self, buffer: &[u8]) -> bool {
        let found = self.quote.and_then(|quote| memchr::memchr(quote, &buffer[self.at..])).map(|at| self.at + at);
        let end = found.unwrap_or(buffer.len());
        self.find_end(buffer, self.at, end);
        match found {
            None => self.at = end,
            Some(quote) => {
                let before = quote.checked_sub(1).and_then(|at| buffer.get(at));
                // The buffer begins with a record.
                let opens = before.is_none_or(|byte| *byte == self.delimiter || matches!(byte, b'\n' | b'\r'));
                self.quoted_from = opens.then_some(quote);
                self.at = quote + 1;
            }
        }
        true
    }

    fn inside(&mut self, buffer: &[u8], is_all: bool) -> bool {
        let Some(quote) = self.quote else { return false };
        let rest = &buffer[self.at..];
        let found = match self.escape {
            None => memchr::memchr(quote, rest),
            Some(escape) => memchr::memchr2(quote, escape, rest),
        };
        let Some(found) = found.map(|at| self.at + at) else {
            self.at = buffer.len();
            return false;
        };
        match buffer.get(found + 1) {
            // What follows decides.
            None if !is_all => {
                self.at = found;
                return false;
            }
            Some(next) if buffer[found] != quote || *next == quote => self.at = (found + 2).min(buffer.len()),
            _ => {
                self.quoted_from = self.quoted_from.filter(|_| buffer[found] != quote);
                self.at = found + 1;
            }
        }
        true
    }

    /// The last line end in a part of the buffer that is outside of quotes.
    fn find_end(&mut self, buffer: &[u8], from: usize, to: usize) {
        let mut part = &buffer[from..to];
        while let Some(at) = memchr::memrchr2(b'\n', b'\r', part) {
            // A `\n` may follow, and then belongs to it.
            if part[at] == b'\n' || from + at + 1 < buffer.len() {
                self.records_end = from + at + 1;
                return;
            }
            part = &part[..at];
        }
    }
}
