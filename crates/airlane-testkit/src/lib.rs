//! Servers and sample tables, for tests only.

pub mod process;
pub mod server;
pub mod tables;

use std::path::PathBuf;

pub use process::ServerProcess;
pub use server::TestServer;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// The Python that tests run: `AIRLANE_PYTHON`, else the one that `cargo xtask test` made. Without one, prints the
/// line that `cargo xtask test` counts as a skipped test, with `test` as its name, and answers `None`.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("AIRLANE_PYTHON")
        .map(PathBuf::from)
        .unwrap_or_else(|| workspace().join(".tools/python/bin/python"));
    if python.is_file() {
        return Some(python);
    }
    println!("SKIPPED: {test}: no Python at {} (set AIRLANE_PYTHON)", python.display());
    None
}
