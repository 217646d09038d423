//! The formats of files: their names, the extensions of their files, and their media types.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use airlane_model::{Error, Result, codes};

use crate::Packing;

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180); an empty field is a null.
    Csv,
    /// One JSON object per line.
    Ndjson,
    /// One JSON array of objects (RFC 8259).
    Json,
    /// Apache Parquet.
    Parquet,
    /// The Arrow IPC file format, with a footer; also known as Feather.
    ArrowFile,
    /// The Arrow IPC stream format.
    ArrowStream,
}

impl Format {
    /// Every format with its name and the extensions of its files.
    pub const TABLE: [(Format, &'static str, &'static [&'static str]); 6] = [
        (Format::Csv, "csv", &["csv"]),
        (Format::Ndjson, "ndjson", &["ndjson", "jsonl"]),
        (Format::Json, "json", &["json"]),
        (Format::Parquet, "parquet", &["parquet", "pq"]),
        (Format::ArrowFile, "arrow", &["arrow", "feather", "ipc"]),
        (Format::ArrowStream, "arrows", &["arrows"]),
    ];

    /// By the extension of a file's name: `csv`, `ndjson`, `jsonl`, `json`, `parquet`, `pq`, `arrow`, `feather`, `ipc`,
    /// `arrows`, in any case. Of a packed file it is the one before: `prices.csv.gz` is CSV.
    pub fn of_path(path: &Path) -> Option<Self> {
        let (stem, packing) = Packing::split(path);
        let path = if packing.is_some() { stem.as_path() } else { path };
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let row = Self::TABLE.iter().find(|row| row.2.contains(&extension.as_str()))?;
        Some(row.0)
    }

    /// By its name, as `--format` takes it: `csv`, `ndjson`, `json`, `parquet`, `arrow` (a file) or `arrows` (a stream).
    ///
    /// # Errors
    /// `option_invalid`, with the valid names.
    pub fn parse(name: &str) -> Result<Self> {
        let row = Self::TABLE.iter().find(|row| row.1 == name || row.2.contains(&name));
        row.map(|row| row.0).ok_or_else(|| {
            let names = Self::TABLE.map(|row| row.1).join(", ");
            Error::new(codes::OPTION_INVALID, format!("`{}` is no format", name.escape_debug()))
                .hint(format!("valid formats: {names}"))
        })
    }

    /// By a media type without its parameters, in any case.
    pub fn of_media_type(name: &str) -> Option<Self> {
        let has = |format: &Self| format.media_types().iter().any(|media| media.eq_ignore_ascii_case(name));
        Self::TABLE.map(|row| row.0).into_iter().find(has)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::ArrowFile => "arrow",
            Self::ArrowStream => "arrows",
        }
    }

    /// Its media types, at least one; the first is the one to send.
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["text/csv", "application/csv"],
            Self::Ndjson => &["application/x-ndjson", "application/jsonl"],
            Self::Json => &["application/json"],
            Self::Parquet => &["application/vnd.apache.parquet", "application/parquet"],
            Self::ArrowFile => &["application/vnd.apache.arrow.file"],
            Self::ArrowStream => &["application/vnd.apache.arrow.stream"],
        }
    }

    /// Whether it is text, which a packing makes much smaller. The others are packed inside where that helps.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson | Self::Json)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::parse(name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
