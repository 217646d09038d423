//! The Unix socket: made with mode 0600, a stale one of an earlier server replaced, removed at the end.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use airlane_model::{Error, Result, codes};
use tokio::net::UnixListener;

/// The file of a socket; dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl SocketFile {
    /// A file that is to be removed at the end.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens at a path.
///
/// # Errors
/// As [`bind_with`].
pub(super) fn bind(path: &Path) -> Result<(UnixListener, SocketFile)> {
    let is_live = |path: &Path| std::os::unix::net::UnixStream::connect(path).is_ok();
    bind_with(path, is_live, |path| UnixListener::bind(path))
}

/// Listens at a path by a socket of whatever kind.
///
/// # Errors
/// `address_in_use` when another server answers there, the path is no socket, or it cannot be made.
pub(super) fn bind_with<L>(
    path: &Path,
    is_live: impl FnOnce(&Path) -> bool,
    listen: impl FnOnce(&Path) -> io::Result<L>,
) -> Result<(L, SocketFile)> {
    let failed = |error: io::Error| {
        Error::new(codes::ADDRESS_IN_USE, format!("cannot listen at the Unix socket `{}`: {error}", path.display()))
            .source(error)
    };
    remove_stale(path, is_live).map_err(failed)?;
    // Bound under a name that only this process knows and renamed when its mode is set, so that nobody can connect in
    // between.
    let staging = path.with_extension(format!("{}.tmp", std::process::id()));
    let _ = std::fs::remove_file(&staging);
    let listener = listen(&staging).map_err(failed)?;
    std::fs::set_permissions(&staging, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&staging, path).map_err(failed)?;
    Ok((listener, SocketFile(path.to_owned())))
}

fn remove_stale(path: &Path, is_live: impl FnOnce(&Path) -> bool) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is there and is no socket"))
        }
        Ok(_) if is_live(path) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there")),
        Ok(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replaces_a_stale_socket_and_refuses_a_live_one_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("airlane.sock");
        let (listener, file) = bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(bind(&path).unwrap_err().code(), codes::ADDRESS_IN_USE, "a live one");
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = bind(&path).expect("a stale one is replaced");
        drop(file);
        assert!(!path.exists(), "removed at the end");
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(bind(&path).unwrap_err().code(), codes::ADDRESS_IN_USE, "a file is left alone");
        assert!(path.exists());
    }
}
