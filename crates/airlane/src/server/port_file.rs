//! Telling the port to whoever started the server.

use std::io::Write;
use std::path::Path;

use airlane_model::{Error, Result, codes};

/// Writes the port, at once and whole: a reader sees no file or a complete one.
///
/// # Errors
/// `file_failed`.
pub(super) fn write(path: &Path, port: u16) -> Result<()> {
    let staging = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&staging)
        .and_then(|mut file| writeln!(file, "{port}"))
        .and_then(|()| std::fs::rename(&staging, path));
    written.map_err(|error| {
        Error::new(codes::FILE_FAILED, format!("cannot write the port file `{}`: {error}", path.display()))
            .source(error)
    })
}
