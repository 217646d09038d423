//! Bytes to record batches and back: CSV, NDJSON, JSON, Parquet, Arrow IPC stream and file, packed or not.
//!
//! ```text
//! file or pipe → source (first bytes looked at) → unpacked → detect (which format) → csv | ndjson, json | parquet | arrow → batches
//! batches → writer of a format → packed → file or pipe
//! ```
//!
//! Readers hand out one batch at a time, in bounded memory, and answer every malformed input with an error that names
//! the place: what the libraries below answer with a panic becomes `file_invalid` too (see [`guard`]).

mod arrow_file;
mod arrow_stream;
pub mod child;
mod csv;
mod detect;
mod dictionary;
mod error;
mod format;
pub mod guard;
mod inference;
mod ndjson;
mod packing;
mod parquet;
mod rows;
mod shared;
mod source;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use airlane_model::{ByteSize, Error, Result, codes};
pub use airlane_segment::DecodeLimits;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use crate::child::ChildParser;
pub use crate::csv::CsvOptions;
pub use crate::format::Format;
pub use crate::inference::{Inference, InferredColumn};
use crate::packing::PackedWriter;
pub use crate::packing::{EXPANSION_FREE, ExpansionLimits, Packing};
use crate::rows::Form;
pub use crate::shared::SharedBytes;
use crate::source::Source;

/// The most rows of a batch that a reader hands out.
pub const BATCH_ROWS_MAX: usize = 65_536;
/// The bytes of input after which a reader ends a batch, even when it has few rows.
pub const BATCH_BYTES_TARGET: ByteSize = ByteSize::mib(8);
/// The part of a CSV or NDJSON file that decides the types of its columns, unless [`ReadOptions`] says otherwise.
pub const SAMPLE_BYTES_DEFAULT: ByteSize = ByteSize::mib(1);

/// How to read a file.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The format; absent: by the extension of the file's name, else by its first bytes.
    pub format: Option<Format>,
    /// How much of a CSV or NDJSON input decides the types of its columns. A value further on that does not fit is an
    /// error, never a silent change of type.
    pub sample: ByteSize,
    /// Types that are not inferred: a column of a CSV or NDJSON input that it names is parsed as the type it has here, and
    /// what does not fit is an error. Other formats have types of their own.
    pub schema: Option<SchemaRef>,
    /// Whether whoever takes the batches casts texts to the types of `schema`, as contracts that coerce do. The columns of a CSV
    /// input stay texts then, so that a value which does not fit can be told or set aside with its row; but for numbers that are
    /// written with marks of their own. JSON keeps its own types.
    pub casts_texts: bool,
    /// How a CSV input is written.
    pub csv: CsvOptions,
    /// The threads that parse a CSV input; absent: as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// What the input must be packed with; absent: by its first bytes, which may say that it is not packed.
    pub packing: Option<Packing>,
    /// How much it may unpack to.
    pub expansion: ExpansionLimits,
    /// What the messages of Arrow files and streams may ask for. By default as much as there is memory: for files of one's own.
    pub arrow: DecodeLimits,
    /// Who parses Parquet.
    pub parquet: ParquetParsing,
    /// Where a pipe is copied to whose format needs seeking.
    pub spooling: Spooling,
}

/// Where pipes are copied to whose formats need seeking: Parquet and Arrow files.
#[derive(Clone, Debug)]
pub struct Spooling {
    /// The folder of the files, which have no name there; absent: that of temporary files.
    pub folder: Option<PathBuf>,
    /// How large one may become.
    pub bytes_max: ByteSize,
}

impl Default for Spooling {
    fn default() -> Self {
        Self { folder: None, bytes_max: ByteSize::bytes(u64::MAX) }
    }
}

/// Who parses Parquet. Its library ends the process, out of memory or stack, for some files that were made to do that.
#[derive(Clone, Debug, Default)]
pub enum ParquetParsing {
    /// This process: for files of one's own.
    #[default]
    Here,
    /// A child, which may end.
    InChild(ChildParser),
    /// Nobody: it is refused.
    Nowhere,
}

impl Default for ReadOptions {
    fn default() -> Self {
        let most = ByteSize::bytes(u64::MAX);
        Self {
            format: None,
            sample: SAMPLE_BYTES_DEFAULT,
            schema: None,
            casts_texts: false,
            csv: CsvOptions::default(),
            threads: None,
            packing: None,
            expansion: ExpansionLimits::default(),
            arrow: DecodeLimits {
                body_bytes_max: most,
                decompressed_bytes_max: most,
                dictionary_bytes_max: most,
                ..DecodeLimits::default()
            },
            parquet: ParquetParsing::default(),
            spooling: Spooling::default(),
        }
    }
}

/// Record batches from a file or a pipe, one at a time, in bounded memory.
pub trait BatchReader: Iterator<Item = Result<RecordBatch>> + Send {
    /// The schema.
    fn schema(&self) -> SchemaRef;

    /// The rows of the whole input, where its header or footer tells.
    fn rows_total(&self) -> Option<u64> {
        None
    }

    /// What decided the types of the columns, where they were inferred: of CSV and JSON.
    fn inference(&self) -> Option<&Inference> {
        None
    }
}

/// Reads a file.
///
/// # Errors
/// `file_failed` when the file cannot be opened or read; `file_invalid` when its bytes are not of the format, with the
/// place; the iterator answers the same.
pub fn read_path(path: &Path, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    open(Source::from_path(path)?, options, Format::of_path(path))
}

/// Reads a pipe, called `name` in errors. Parquet and Arrow files, which need seeking, are spooled to an unnamed
/// temporary file.
///
/// # Errors
/// As [`read_path`].
pub fn read_stream(name: &str, input: Box<dyn Read + Send>, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    open(Source::from_stream(name, input)?, options, None)
}

fn open(source: Source, options: &ReadOptions, by_name: Option<Format>) -> Result<Box<dyn BatchReader>> {
    let source = source.unpacked(options.packing, options.expansion)?;
    let format = detect::choose(&source, options.format, by_name)?;
    Ok(match format {
        Format::Csv => Box::new(csv::Reader::open(source, options)?),
        Format::Ndjson => Box::new(ndjson::Reader::open(source, Form::Lines, options)?),
        Format::Json => Box::new(ndjson::Reader::open(source, Form::Array, options)?),
        Format::Parquet => match &options.parquet {
            ParquetParsing::Here => Box::new(parquet::Reader::open(source, &options.spooling)?),
            ParquetParsing::InChild(parser) => {
                Box::new(parser.open(source, options.arrow.clone(), &options.spooling)?)
            }
            ParquetParsing::Nowhere => {
                return Err(Error::new(codes::NOT_IMPLEMENTED, "this server has no program that reads Parquet files")
                    .at(source.name())
                    .hint("send an Arrow stream or file; a program with a server in it names an `airlane` for that"));
            }
        },
        Format::ArrowFile => Box::new(arrow_file::Reader::open(source, options.arrow.clone(), &options.spooling)?),
        Format::ArrowStream => {
            let name = source.name().to_owned();
            Box::new(arrow_stream::Reader::open(source.into_stream(), &name, options.arrow.clone())?)
        }
    })
}

/// Writes record batches in a format.
pub trait BatchWriter: Send {
    /// Adds a batch of the writer's schema.
    ///
    /// # Errors
    /// `file_failed`; `file_invalid` for a value that the format cannot hold.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Ends the file.
    ///
    /// # Errors
    /// `file_failed`.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A writer of batches of `schema`. What is lost: CSV keeps neither types nor the difference between a null and an
/// empty text, and NDJSON and JSON keep JSON's types; Parquet and Arrow keep everything.
///
/// # Errors
/// `file_failed`; `file_invalid` for a type that the format does not have, naming the column.
pub fn writer(output: Box<dyn Write + Send>, schema: SchemaRef, format: Format) -> Result<Box<dyn BatchWriter>> {
    Ok(match format {
        Format::Csv => Box::new(csv::Writer::new(output, schema)?),
        Format::Ndjson => Box::new(ndjson::LinesWriter::new(output)),
        Format::Json => Box::new(ndjson::ArrayWriter::new(output)),
        Format::Parquet => Box::new(parquet::Writer::new(output, schema)?),
        Format::ArrowFile => Box::new(arrow_file::Writer::new(output, schema)?),
        Format::ArrowStream => Box::new(arrow_stream::Writer::new(output, schema)?),
    })
}

/// As [`writer`], and the file is packed, where that is asked for.
///
/// # Errors
/// As [`writer`].
pub fn packed_writer(
    output: Box<dyn Write + Send>,
    schema: SchemaRef,
    format: Format,
    packing: Option<Packing>,
) -> Result<Box<dyn BatchWriter>> {
    let Some(packing) = packing else { return writer(output, schema, format) };
    Ok(Box::new(PackedWriter::new(output, packing, |output| writer(output, schema, format))?))
}

#[cfg(test)]
mod tests;
