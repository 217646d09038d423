//! What the commands show: tables, numbers for people, JSON for programs, progress, errors.
//!
//! stdout carries data and answers; stderr carries everything else.

pub(crate) mod human;
pub(crate) mod preview;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod table;

use std::io::{self, IsTerminal, Write};

use airlane_model::{Error, Result, codes};
use serde::Serialize;

/// Writes text to stdout.
pub(crate) fn text(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(stdout_failed)
}

/// Writes a value to stdout as JSON, for programs.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(codes::INTERNAL, format!("the answer has no form in JSON: {error}")))?;
    text(&format!("{line}\n"))
}

/// Writes a value to stdout as one line of JSON, for programs that read several.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value)
        .map_err(|error| Error::new(codes::INTERNAL, format!("the answer has no form in JSON: {error}")))?;
    text(&format!("{line}\n"))
}

/// Tells a person at the terminal what was done; scripts hear nothing but answers and errors.
pub(crate) fn note(text: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{text}");
    }
}

/// The error of a write to stdout. A reader that went away (`| head`) is found in its source again.
pub(crate) fn stdout_failed(error: io::Error) -> Error {
    Error::new(codes::FILE_FAILED, error.to_string()).at("stdout").source(error)
}
