//! Telling the port to whoever started the server.

use std::io::Write;
use std::path::Path;

use airlane_model::{Error, Result, codes};

/// Removes the file of an earlier run, so that nobody takes its port for ours. Only for who owns the data folder: the
/// file may be that of a server that runs.
///
/// # Errors
/// `file_failed`.
pub(super) fn clear(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, error)),
        _ => Ok(()),
    }
}

/// Writes the port, at once and whole: a reader sees no file or a complete one.
///
/// # Errors
/// `file_failed`.
pub(super) fn write(path: &Path, port: u16) -> Result<()> {
    let staging = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&staging)
        .and_then(|mut file| writeln!(file, "{port}"))
        .and_then(|()| std::fs::rename(&staging, path));
    written.map_err(|error| failed("write", path, error))
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(codes::FILE_FAILED, format!("cannot {what} the port file: {error}"))
        .at(path.display().to_string())
        .source(error)
}
