//! The data folder: who owns it, which layout it has, and where things are in it.
//!
//! ```text
//! LOCK                      held by the one server that uses the folder; its process id
//! FORMAT                    "airlane data format 1"
//! catalog.db                SQLite: tables, versions, segments, and the bytes of small segments
//! catalog.reserve           nothing: room for a drop when the disk is full
//! segments/<id>.arrow       larger segments, one file each; the id is 32 hexadecimal digits
//! segments/<id>.spill       ephemeral tables that left memory: there for a moment, until it is unlinked
//! ticket-keys               the keys that sign tickets; what is in it is the exchange's business
//! damaged                   ids of segments whose mapping could not be read, from the process that met it
//! ```
//!
//! Names of tables never become paths. The folder is for its owner alone (0700, files 0600).
//!
//! A name lives in the folder above, so what a put syncs survives a power cut only when every name on the way to it
//! does: those of folders that were made are synced before anything is put into them, those of the files above
//! ([`DataFolder::sync_names`]) before the first commit.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, IoSlice, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use airlane_model::{Error, Result, SegmentId, codes};

use crate::disk::Disk;
use crate::error::storage;
use crate::failpoint::failpoint;

const SPILL_SUFFIX: &str = ".spill";
const FORMAT: &str = "airlane data format 1\n";
const FORMAT_PREFIX: &str = "airlane data format ";

/// What a folder may hold before it becomes a data folder: a mount point's own entry, and what an earlier start left
/// that ended before it was done.
const MAY_BE_THERE: [&str; 3] = ["lost+found", "LOCK", "FORMAT.new"];

/// A data folder, locked for this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    paths: Paths,
    _lock: Lock,
}

/// The lock of a folder.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough while a child that is just being started has a copy of its descriptor.
        let _ = self.0.unlock();
    }
}

/// Where things are in a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("catalog.db")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn segment(&self, id: SegmentId) -> PathBuf {
        self.root.join("segments").join(format!("{id}.arrow"))
    }

    /// A file of segments in which ephemeral tables lie while memory is short.
    pub(crate) fn spill(&self, id: SegmentId) -> PathBuf {
        self.root.join("segments").join(format!("{id}{SPILL_SUFFIX}"))
    }

    /// A file beside the catalog, if it was kept before.
    pub(crate) fn kept(&self, file: KeptFile) -> Result<Option<Vec<u8>>> {
        let path = self.root.join(file.name());
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(storage(&format!("read {}", file.what()), &path, error)),
        }
    }

    /// Keeps a file beside the catalog: the new content whole, or the old one.
    pub(crate) fn keep(&self, file: KeptFile, bytes: &[u8], disk: &dyn Disk) -> Result<()> {
        let written = write_whole(&self.root, file.name(), bytes, disk);
        written.map_err(|error| storage(&format!("keep {}", file.what()), &self.root.join(file.name()), error))
    }

    /// Where queries keep what memory does not hold.
    pub(crate) fn queries(&self) -> PathBuf {
        self.root.join("queries")
    }

    pub(crate) fn damage_report(&self) -> PathBuf {
        self.root.join("damaged")
    }
}

/// A small file that lies beside the catalog, for its owner alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptFile {
    /// The keys that sign tickets.
    TicketKeys,
    /// The data contracts and what they are bound to.
    Contracts,
}

impl KeptFile {
    fn name(self) -> &'static str {
        match self {
            Self::TicketKeys => "ticket-keys",
            Self::Contracts => "contracts",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::TicketKeys => "the keys of tickets",
            Self::Contracts => "the data contracts",
        }
    }
}

/// The label that the mapping of a segment is reported by.
pub(crate) fn label_of(id: SegmentId) -> u128 {
    u128::from_be_bytes(id.to_bytes())
}

/// The id that a file of the segments' folder has in its name; `None` for names that the store never gives.
pub(crate) fn segment_of(name: &str) -> Option<SegmentId> {
    name.strip_suffix(".arrow")?.parse().ok()
}

/// Whether a file of the segments' folder has the name of one that ephemeral tables were moved to.
pub(crate) fn is_spill(name: &str) -> bool {
    name.strip_suffix(SPILL_SUFFIX).is_some_and(|id| id.parse::<SegmentId>().is_ok())
}

impl DataFolder {
    /// Makes or opens the folder and takes its lock.
    pub(crate) fn open(root: &Path, disk: &dyn Disk) -> Result<Self> {
        make_folder(root, disk)?;
        // Before anything is written into what may be somebody else's folder.
        refuse_foreign(root, disk)?;
        let lock = lock(root)?;
        failpoint!("start.locked");
        let paths = Paths { root: root.to_owned() };
        check_format(&paths, disk)?;
        failpoint!("start.format");
        fs::set_permissions(root, Permissions::from_mode(0o700))
            .map_err(|error| storage("keep the data folder private", root, error))?;
        let segments = paths.segments();
        match disk.create_dir(&segments) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(storage("make the folder of segments", &segments, error));
            }
            _ => {}
        }
        Ok(Self { paths, _lock: lock })
    }

    /// Makes the names of what is in the folder durable: to be called once the catalog has its files too.
    pub(crate) fn sync_names(&self, disk: &dyn Disk) -> Result<()> {
        let root = &self.paths.root;
        disk.sync_dir(root).map_err(|error| storage("sync the data folder", root, error))
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// Makes a folder and those above it that are missing, each with a durable name before anything is put into it.
fn make_folder(path: &Path, disk: &dyn Disk) -> Result<()> {
    let parent = parent_of(path);
    let mut made = disk.create_dir(path);
    if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        && let Some(parent) = parent
    {
        make_folder(parent, disk)?;
        made = disk.create_dir(path);
    }
    match made {
        Ok(()) => {
            let parent = parent.unwrap_or(path);
            disk.sync_dir(parent).map_err(|error| storage("make the name of a new folder durable", parent, error))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_found(path, disk),
        Err(error) => Err(storage("make the data folder", path, error)),
    }
}

/// Syncs the name of a folder that is there: an earlier start, or whoever made it, may have ended before that.
fn sync_found(path: &Path, disk: &dyn Disk) -> Result<()> {
    // The path may lead through links, or end in `.`.
    let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
    let Some(parent) = real.parent() else { return Ok(()) };
    match disk.sync_dir(parent) {
        // Not ours to read, or of a file system that does not sync folders: nothing of ours was put there.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        synced => synced.map_err(|error| storage("make the name of the data folder durable", parent, error)),
    }
}

fn parent_of(path: &Path) -> Option<&Path> {
    let here = Path::new(".");
    let parent = path.parent().map(|parent| if parent.as_os_str().is_empty() { here } else { parent });
    parent.filter(|parent| *parent != path)
}

fn lock(root: &Path) -> Result<Lock> {
    let path = root.join("LOCK");
    let failed = |error| storage("lock the data folder", &path, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(root, &mut file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Only for the message to a second server: the lock itself is the kernel's, and the disk may be full.
    if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
        tracing::debug!(path = %path.display(), %error, "the process id cannot be written");
    }
    Ok(Lock(file))
}

fn locked(root: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| Read::take(&mut *file, 32).read_to_string(&mut text));
    let owner = read.ok().and_then(|_| text.trim().parse::<u32>().ok());
    let owner = owner.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    let folder = root.display();
    Error::new(codes::FOLDER_LOCKED, format!("another server{owner} uses the data folder `{folder}`"))
        .at(folder.to_string())
        .hint("stop it, or give this one a folder of its own with `--data-dir`")
}

fn refuse_foreign(root: &Path, disk: &dyn Disk) -> Result<()> {
    let names = disk.list(root).map_err(|error| storage("list the data folder", root, error))?;
    if names.iter().any(|name| name.as_os_str() == "FORMAT") {
        return Ok(());
    }
    match names.iter().find(|name| !MAY_BE_THERE.iter().any(|known| name.as_os_str() == *known)) {
        None => Ok(()),
        Some(name) => Err(no_data_folder(root, &name.to_string_lossy())),
    }
}

fn check_format(paths: &Paths, disk: &dyn Disk) -> Result<()> {
    let path = paths.root.join("FORMAT");
    match fs::read(&path) {
        Ok(text) if text == FORMAT.as_bytes() => Ok(()),
        Ok(text) => Err(unknown_format(&paths.root, &String::from_utf8_lossy(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_whole(&paths.root, "FORMAT", FORMAT.as_bytes(), disk)
                .map_err(|error| storage("write the format", &path, error))
        }
        Err(error) => Err(storage("read the format", &path, error)),
    }
}

/// Writes a small file, which has its name only when it is whole.
fn write_whole(root: &Path, name: &str, bytes: &[u8], disk: &dyn Disk) -> io::Result<()> {
    let draft = root.join(format!("{name}.new"));
    match disk.unlink(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&draft)?;
    airlane_segment::home::write_all_at(0, &[IoSlice::new(bytes)], |pieces, offset| {
        file.write_vectored_at(pieces, offset)
    })?;
    file.sync_data()?;
    disk.rename(&draft, &root.join(name))?;
    disk.sync_dir(root)
}

fn unknown_format(root: &Path, text: &str) -> Error {
    let first = text.lines().next().unwrap_or_default();
    let message = match first.strip_prefix(FORMAT_PREFIX) {
        Some(number) => format!("the data folder has format `{}`, this version reads 1", number.escape_debug()),
        None => format!("`FORMAT` of the data folder says `{}`", first.escape_debug()),
    };
    Error::new(codes::FORMAT_UNSUPPORTED, message)
        .at(root.display().to_string())
        .hint("start the version of Airlane that wrote it, or give another folder with `--data-dir`")
}

fn no_data_folder(root: &Path, name: &str) -> Error {
    let message = format!("the folder is no data folder of Airlane and not empty: it holds `{}`", name.escape_debug());
    Error::new(codes::FORMAT_UNSUPPORTED, message)
        .at(root.display().to_string())
        .hint("give an empty or a new folder with `--data-dir`")
}
