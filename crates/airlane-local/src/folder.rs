//! Files instead of descriptors, for clients that come by TCP.
//!
//! ```text
//! folder/            0700, of the server's user
//!   7/               of connection 7, gone with it
//!     s0             a producer's segment: opened, unlinked, copied, and only then looked at
//!     t1-0           a home of lease 1: a link of the server's file, or a copy of memory
//! ```

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use airlane_exchange::HandOut;
use airlane_model::{Error, Result, codes};
use airlane_segment::home::{HomeKind, storage_error};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

/// A name of a client's, at most.
const NAME_BYTES_MAX: usize = 64;

/// Makes the folder anew: what an earlier server left there is of no use to anybody.
///
/// # Errors
/// `storage_failed`, `storage_full`.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    let failed = |error| storage_error("prepare the folder of the local door", error);
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).recursive(true).create(folder).map_err(failed)
}

/// The folder of a connection. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct ConnectionFolder(PathBuf);

impl ConnectionFolder {
    pub(crate) fn make(folder: &Path, connection: u64) -> Result<Self> {
        let path = folder.join(connection.to_string());
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| storage_error("make a folder for a connection", error))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file that the client has written. It loses its name.
    ///
    /// # Errors
    /// `segment_refused`.
    pub(crate) fn take(&self, name: &str) -> Result<File> {
        let refused = |message: String| Error::new(codes::SEGMENT_REFUSED, message);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) {
            let message = format!("`{}` is no name of a file of yours", name.escape_debug());
            return Err(refused(message).hint("1 to 64 letters, digits, `-` and `_`"));
        }
        let path = self.0.join(name);
        // A pipe would block, and a link could lead anywhere.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let file = opened.map_err(|error| refused(format!("the file `{name}` cannot be opened: {error}")))?;
        // What cannot be removed goes with the folder.
        let _ = fs::remove_file(&path);
        let stat = rustix::fs::fstat(&file).map_err(|error| storage_error("look at a file", error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused(format!("`{name}` is no regular file")));
        }
        Ok(file.into())
    }

    /// Names for what a reader is to map. Blocking.
    ///
    /// # Errors
    /// `storage_full`, `storage_failed`.
    pub(crate) fn give(&self, lease: u64, out: &HandOut) -> Result<Vec<String>> {
        let give = |(index, descriptor): (usize, &airlane_exchange::Descriptor)| {
            let name = format!("t{lease}-{index}");
            let path = self.0.join(&name);
            let is_linked = descriptor.kind == HomeKind::File && link(&descriptor.fd, &path);
            if !is_linked {
                copy(&descriptor.fd, &path).map_err(|error| storage_error("copy a segment for a reader", error))?;
            }
            Ok(name)
        };
        out.descriptors().iter().enumerate().map(give).collect()
    }

    /// Takes the names of a lease away.
    pub(crate) fn forget(&self, lease: u64) {
        for index in 0.. {
            if fs::remove_file(self.0.join(format!("t{lease}-{index}"))).is_err() {
                break;
            }
        }
    }
}

impl Drop for ConnectionFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, path = %self.0.display(), "the folder of a connection stays");
        }
    }
}

/// Gives a file of the server's another name, where both are on one file system.
fn link(fd: &impl AsRawFd, path: &Path) -> bool {
    let own = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW).is_ok()
}

fn copy(fd: &std::os::fd::OwnedFd, path: &Path) -> io::Result<()> {
    // Another description of the same file would share its position.
    let mut from = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(&mut from, &mut to).map(drop)
}
