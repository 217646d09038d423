//! What an upload is asked to do: by headers as with the other doors, or by the query, for tools that set no headers.

use std::collections::BTreeMap;

use airlane_exchange::words::PutOptions;
use airlane_gate::{OWN_PREFIX, header_text};
use airlane_model::{Error, PutMode, Result, codes};
use axum::http::HeaderMap;
use serde::Deserialize;

/// The header of draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The query of an upload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct UploadOptions(BTreeMap<String, String>);

impl UploadOptions {
    /// The format that the query names.
    pub(super) fn format(&self) -> Option<&str> {
        self.0.get("format").map(String::as_str)
    }

    /// What the put is to do.
    ///
    /// # Errors
    /// `option_invalid` for unknown options, and for unknown or contradicting values.
    pub(super) fn of_put(&self, headers: &HeaderMap, mode: PutMode) -> Result<PutOptions> {
        let mut options = PutOptions { mode: Some(mode), ..PutOptions::default() };
        for (name, text) in self.0.iter().filter(|(name, _)| *name != "format") {
            let found = PutOptions::of(&name.replace('_', "-"), text);
            let found = found.map_err(|error| error.at(format!("option `{name}` of the query")))?;
            options = options.join(found.ok_or_else(|| unknown(&format!("option `{}`", name.escape_debug()), ""))?)?;
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
            options = options.join(found.ok_or_else(|| unknown(&format!("header `{name}`"), OWN_PREFIX))?)?;
        }
        Ok(options)
    }
}

fn unknown(what: &str, prefix: &str) -> Error {
    let names: Vec<String> = PutOptions::names().map(|name| format!("{prefix}{name}")).collect();
    Error::new(codes::OPTION_INVALID, format!("there is no {what}")).hint(format!("valid: {}", names.join(", ")))
}
