//! What is wrong with a piece of a file, before it is known where in the file the piece lies.

use airlane_model::Error;

use crate::error::invalid;

/// What is wrong, with its line counted from the beginning of the piece.
#[derive(Debug)]
pub(super) struct Fault {
    error: Error,
    /// Lines of the piece before it, and what of the line; `None` where the error has its place already.
    place: Option<(u64, String)>,
}

impl Fault {
    /// Of the content.
    pub(super) fn new(message: impl Into<String>, lines_before: u64) -> Self {
        Self { error: invalid(message, ""), place: Some((lines_before, String::new())) }
    }

    /// In a column, or at a byte: `column "price"`.
    pub(super) fn of(mut self, what: impl Into<String>) -> Self {
        if let Some((_, detail)) = &mut self.place {
            *detail = what.into();
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error = self.error.hint(hint);
        self
    }

    /// The error, of a piece that begins on a line of a file.
    pub(super) fn explain(self, name: &str, line_first: u64) -> Error {
        match self.place {
            None => self.error,
            Some((before, detail)) if detail.is_empty() => {
                self.error.at(format!("{name}, line {}", line_first + before))
            }
            Some((before, detail)) => self.error.at(format!("{name}, line {}, {detail}", line_first + before)),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, place: None }
    }
}

/// The line ends of a text: `\n`, `\r\n`, and `\r` alone.
pub(super) fn lines(text: &[u8]) -> u64 {
    let mut lines = memchr::memchr_iter(b'\n', text).count();
    // Most texts have none of these.
    for at in memchr::memchr_iter(b'\r', text) {
        lines += usize::from(text.get(at + 1) != Some(&b'\n'));
    }
    lines as u64
}
