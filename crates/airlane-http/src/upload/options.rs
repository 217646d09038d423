//! What an upload is asked to do: by headers as with the other doors, or by the query, for tools that set no headers.

use std::collections::BTreeMap;

use airlane_exchange::words::PutOptions;
use airlane_format::{CsvOptions, SAMPLE_BYTES_DEFAULT};
use airlane_gate::{OWN_PREFIX, header_text};
use airlane_model::{ByteSize, Error, PutMode, Result, codes};
use axum::http::HeaderMap;
use serde::Deserialize;

/// The header of draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Options that say how the content is to be read.
const FORMAT: &str = "format";
const SAMPLE: &str = "sample";
/// It is kept in memory.
const SAMPLE_BYTES_MAX: ByteSize = ByteSize::mib(64);

/// The query of an upload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct UploadOptions(BTreeMap<String, String>);

impl UploadOptions {
    /// The format that the query names.
    pub(super) fn format(&self) -> Option<&str> {
        self.0.get(FORMAT).map(String::as_str)
    }

    /// How much of the content decides the types of its columns.
    ///
    /// # Errors
    /// `option_invalid`.
    pub(super) fn sample(&self) -> Result<ByteSize> {
        let Some(text) = self.0.get(SAMPLE) else { return Ok(SAMPLE_BYTES_DEFAULT) };
        let sample = text.parse::<ByteSize>().map_err(|error| {
            Error::new(codes::OPTION_INVALID, error.message()).at(place(SAMPLE)).hint("write one such as 16MiB")
        })?;
        match sample <= SAMPLE_BYTES_MAX {
            true => Ok(sample),
            false => Err(Error::new(codes::OPTION_INVALID, format!("a sample has at most {SAMPLE_BYTES_MAX}"))
                .at(place(SAMPLE))
                .hint("a data contract says the types of all columns")),
        }
    }

    /// How CSV is written.
    ///
    /// # Errors
    /// `option_invalid`.
    pub(super) fn csv(&self) -> Result<CsvOptions> {
        let mut csv = CsvOptions::default();
        for (name, text) in &self.0 {
            csv.set(name, text).map_err(|error| error.at(place(name)))?;
        }
        csv.check().map_err(|error| error.at("the query of the URL"))?;
        Ok(csv)
    }

    /// What the put is to do.
    ///
    /// # Errors
    /// `option_invalid` for unknown options, and for unknown or contradicting values.
    pub(super) fn of_put(&self, headers: &HeaderMap, mode: PutMode) -> Result<PutOptions> {
        let mut options = PutOptions { mode: Some(mode), ..PutOptions::default() };
        for (name, text) in self.0.iter().filter(|(name, _)| !is_of_content(name)) {
            let found = PutOptions::of(&name.replace('_', "-"), text);
            let found = found.map_err(|error| error.at(place(name)))?;
            options = options.join(found.ok_or_else(|| unknown_option(name))?)?;
        }
        for (name, value) in headers {
            let option = match name.as_str() {
                IDEMPOTENCY_KEY => IDEMPOTENCY_KEY,
                name => match name.strip_prefix(OWN_PREFIX) {
                    Some(option) => option,
                    None => continue,
                },
            };
            let text = header_text(name, value)?;
            let found = PutOptions::of(option, text).map_err(|error| error.at(format!("header `{name}`")))?;
            options = options.join(found.ok_or_else(|| unknown_header(name.as_str()))?)?;
        }
        Ok(options)
    }
}

fn place(name: &str) -> String {
    format!("option `{}` of the query", name.escape_debug())
}

/// Whether an option says how the content is to be read.
fn is_of_content(name: &str) -> bool {
    [FORMAT, SAMPLE].contains(&name) || CsvOptions::NAMES.iter().any(|(own, _)| *own == name)
}

fn unknown_option(name: &str) -> Error {
    let csv = CsvOptions::NAMES.iter().map(|(name, _)| *name);
    let names: Vec<&str> = [FORMAT, SAMPLE].into_iter().chain(csv).chain(PutOptions::names()).collect();
    Error::new(codes::OPTION_INVALID, format!("there is no option `{}`", name.escape_debug()))
        .hint(format!("valid: {}", names.join(", ")))
}

fn unknown_header(name: &str) -> Error {
    let names: Vec<String> = PutOptions::names().map(|name| format!("{OWN_PREFIX}{name}")).collect();
    Error::new(codes::OPTION_INVALID, format!("there is no header `{name}`"))
        .hint(format!("valid: {}", names.join(", ")))
}
