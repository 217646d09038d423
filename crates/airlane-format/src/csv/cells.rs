//! Records taken apart into fields, by csv-core.

use airlane_model::error::shorten;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::CsvOptions;
use super::fault::{Fault, lines};

/// The fields of some records, one after the other.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    text: &'a str,
    /// Where each field ends.
    ends: &'a [usize],
    columns: usize,
    rows: usize,
}

impl<'a> Cells<'a> {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// A field without its quotes.
    pub(super) fn get(&self, row: usize, column: usize) -> &'a str {
        let index = row * self.columns + column;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..self.ends[index]).unwrap_or_default()
    }

    /// The fields of a column.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        (0..self.rows).map(move |row| self.get(row, column))
    }
}

/// Takes records apart, and keeps its memory from one chunk to the next.
pub(super) struct Splitter {
    reader: Reader,
    columns: usize,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// How much is taken apart at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// What was taken apart.
#[derive(Debug)]
pub(super) struct Split<'a> {
    pub(super) cells: Cells<'a>,
    /// The bytes that the records have in the chunk.
    pub(super) bytes: usize,
    /// Whether the record that comes next has another number of fields.
    pub(super) is_ragged: bool,
}

impl Splitter {
    pub(super) fn new(options: &CsvOptions, columns: usize) -> Self {
        Self { reader: reader(options), columns: columns.max(1), text: Vec::new(), ends: Vec::new() }
    }

    /// Takes apart the first records of a text of whole records, which must be UTF-8.
    pub(super) fn split(&mut self, chunk: &[u8], most: Most) -> Split<'_> {
        // A field is never longer than what it is written as; one more, since csv-core wants room at the end.
        let room = chunk.len().min(most.bytes + super::chunks::RECORD_BYTES_MAX) + 1;
        if self.text.len() < room {
            self.text.resize(room, 0);
        }
        let (mut bytes, mut written, mut rows, mut is_ragged) = (0, 0, 0, false);
        while bytes < chunk.len() && rows < most.rows && bytes < most.bytes {
            let first = rows * self.columns;
            if self.ends.len() < first + self.columns + 1 {
                self.ends.resize((first + self.columns + 1).next_power_of_two(), 0);
            }
            let ends = &mut self.ends[first..=first + self.columns];
            let (result, taken, added, fields) =
                self.reader.read_record(&chunk[bytes..], &mut self.text[written..], ends);
            if !matches!(result, ReadRecordResult::Record) {
                // Behind the last record there may be empty lines; otherwise there were too many fields.
                is_ragged = !matches!(result, ReadRecordResult::InputEmpty | ReadRecordResult::End);
                bytes += if is_ragged { 0 } else { taken };
                break;
            }
            if fields != self.columns {
                is_ragged = true;
                break;
            }
            ends.iter_mut().for_each(|end| *end += written);
            bytes += taken;
            written += added;
            rows += 1;
        }
        // The chunk is UTF-8, and fields are cut out of it at characters of ASCII.
        let text = std::str::from_utf8(&self.text[..written]).unwrap_or_default();
        Split {
            cells: Cells { text, ends: &self.ends[..rows * self.columns], columns: self.columns, rows },
            bytes,
            is_ragged,
        }
    }
}

/// A reader for the middle of a file.
fn reader(options: &CsvOptions) -> Reader {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(options.delimiter).escape(options.escape);
    match options.quote {
        Some(quote) => builder.quote(quote),
        None => builder.quoting(false),
    };
    let mut reader = builder.build();
    // A byte order mark means something at the beginning of a file only: what is read first here is an empty line.
    reader.read_record(b"\n", &mut [0], &mut [0]);
    reader
}

/// The fields of the first record, and the bytes that it takes.
pub(super) fn first_record(chunk: &[u8], options: &CsvOptions) -> Option<(Vec<String>, usize)> {
    let mut reader = reader(options);
    let mut text = vec![0; chunk.len() + 1];
    let mut ends = vec![0; chunk.len() + 1];
    let (result, taken, _, fields) = reader.read_record(chunk, &mut text, &mut ends);
    if !matches!(result, ReadRecordResult::Record) {
        return None;
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let fields =
        starts.zip(&ends[..fields]).map(|(start, end)| String::from_utf8_lossy(&text[start..*end]).into_owned());
    Some((fields.collect(), taken))
}

/// For each record, the lines of the text before it.
pub(super) fn lines_before(chunk: &[u8], options: &CsvOptions) -> Vec<u64> {
    let mut reader = reader(options);
    let (mut text, mut ends) = (vec![0; chunk.len() + 1], vec![0; chunk.len() + 1]);
    let (mut at, mut before, mut found) = (0, 0, Vec::new());
    while at < chunk.len() {
        let blank = chunk[at..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        before += lines(&chunk[at..at + blank]);
        at += blank;
        let (result, taken, _, _) = reader.read_record(&chunk[at..], &mut text, &mut ends);
        if !matches!(result, ReadRecordResult::Record) {
            break;
        }
        found.push(before);
        // The second half of `\r\n` is not taken yet.
        let rest = usize::from(chunk.get(at + taken - 1..=at + taken) == Some(&b"\r\n"[..]));
        before += lines(&chunk[at..at + taken + rest]);
        at += taken + rest;
    }
    found
}

/// What is wrong with a record that has another number of fields.
pub(super) fn ragged(record: &[u8], lines_before: u64, columns: usize, options: &CsvOptions) -> Fault {
    let fields = first_record(record, options).map_or(0, |(fields, _)| fields.len());
    let counted = if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") };
    let own = if options.header {
        format!("where the header has {columns}")
    } else {
        format!("where the first line has {columns}")
    };
    let hint = match options.quote {
        Some(_) => "quote fields that hold delimiters or line ends; `delimiter` names another character between fields",
        None => "`delimiter` names another character between fields, `quote` one around them",
    };
    Fault::new(format!("{counted} {own}"), lines_before).hint(hint)
}

/// A value that its column cannot have.
pub(super) fn value(text: &str, what: &str, column: &str, lines_before: u64) -> Fault {
    Fault::new(format!("\"{}\" {what}", shorten(text)), lines_before).of(format!("column \"{}\"", shorten(column)))
}

/// Whether a chunk is a text: UTF-8, and without the byte that no text has.
pub(super) fn check_text(chunk: &[u8]) -> Result<(), Fault> {
    let place = |at: usize, message: &str| {
        let line = memchr::memrchr2(b'\n', b'\r', &chunk[..at]).map_or(0, |end| end + 1);
        Fault::new(message, lines(&chunk[..line])).of(format!("byte {}", at - line + 1))
    };
    if let Some(at) = memchr::memchr(0, chunk) {
        return Err(
            place(at, "a text has no byte of zero").hint("is it CSV? UTF-16 is read where a byte order mark says so")
        );
    }
    match simdutf8::basic::from_utf8(chunk) {
        Ok(_) => Ok(()),
        Err(_) => {
            let at = simdutf8::compat::from_utf8(chunk).map_or_else(|error| error.valid_up_to(), |_| 0);
            Err(place(at, "the text is not UTF-8").hint(super::HINT_ENCODING))
        }
    }
}
