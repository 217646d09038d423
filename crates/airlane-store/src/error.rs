//! What failing disks become.

use std::io;
use std::path::Path;

use airlane_model::{Error, codes};

/// A failed operation on the data folder: `storage_full` where there is no room, else `storage_failed`.
pub(crate) fn storage(action: &str, path: &Path, error: io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = if full { codes::STORAGE_FULL } else { codes::STORAGE_FAILED };
    Error::new(code, format!("cannot {action}: {error}")).at(path.display().to_string()).source(error)
}
