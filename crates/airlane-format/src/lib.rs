//! Bytes to record batches and back: CSV, NDJSON, Parquet, Arrow IPC stream and file.

use std::io::{Read, Write};
use std::path::Path;

use airlane_model::Result;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// The Arrow IPC file format.
    ArrowFile,
    /// The Arrow IPC stream format.
    ArrowStream,
}

impl Format {
    /// By the extension of a file's name: `csv`, `ndjson`, `jsonl`, `parquet`, `arrow`, `feather`, `arrows`.
    pub fn of_path(path: &Path) -> Option<Self> {
        let _ = path;
        todo!()
    }

    /// By its name, as `--format` takes it.
    ///
    /// # Errors
    /// `option_invalid`, with the valid names.
    pub fn parse(name: &str) -> Result<Self> {
        let _ = name;
        todo!()
    }
}

/// Record batches from a file or a pipe, one at a time, in bounded memory.
pub trait BatchReader: Iterator<Item = Result<RecordBatch>> + Send {
    /// The schema.
    fn schema(&self) -> SchemaRef;
}

/// Reads a file. `None` as the format: by extension, else by the first bytes.
///
/// # Errors
/// `file_failed`, `file_invalid`.
pub fn read_path(path: &Path, format: Option<Format>) -> Result<Box<dyn BatchReader>> {
    let _ = (path, format);
    todo!()
}

/// Reads a pipe; Parquet and Arrow files, which need seeking, are spooled to an unnamed temporary file.
///
/// # Errors
/// `file_failed`, `file_invalid`.
pub fn read_stream(input: Box<dyn Read + Send>, format: Option<Format>) -> Result<Box<dyn BatchReader>> {
    let _ = (input, format);
    todo!()
}

/// Writes record batches in a format.
pub trait BatchWriter: Send {
    /// Adds a batch.
    ///
    /// # Errors
    /// `file_failed`; `file_invalid` for a type that the format does not have.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// `file_failed`.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A writer of batches of `schema`.
///
/// # Errors
/// `file_failed`, `file_invalid`.
pub fn writer(output: Box<dyn Write + Send>, schema: SchemaRef, format: Format) -> Result<Box<dyn BatchWriter>> {
    let _ = (output, schema, format);
    todo!()
}
