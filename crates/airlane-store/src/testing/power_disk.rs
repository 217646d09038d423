//! A disk that loses power: what a start would find, had it gone after any of the operations.
//!
//! Of what is done through [`Disk`], a cut keeps only contents that were synced, under names that were synced, on a
//! way of folders whose names were synced. SQLite's own files are written past `Disk`, so they are taken as they are,
//! under their names. So this tells nothing about how SQLite syncs, and all about what its rows rely on.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, SystemDisk};

/// The machine's disk, remembering what of it is durable.
#[derive(Clone, Debug)]
pub struct PowerDisk {
    top: Arc<Path>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What each folder names durably, by its path below the top.
    names: BTreeMap<PathBuf, Names>,
    /// What was synced of each file.
    contents: HashMap<u64, Arc<[u8]>>,
    /// Every file that was made, so that no inode is used again.
    made: Vec<File>,
    acknowledged: usize,
    cuts: Vec<Cut>,
}

type Names = BTreeMap<OsString, Entry>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    inode: u64,
    is_folder: bool,
}

/// What a power cut leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many requests were acknowledged before.
    pub acknowledged: usize,
    names: BTreeMap<PathBuf, Names>,
    /// What the folders named without a sync.
    names_seen: BTreeMap<PathBuf, Names>,
    contents: HashMap<u64, Arc<[u8]>>,
    /// SQLite's files.
    catalog: BTreeMap<PathBuf, Vec<u8>>,
}

/// What becomes of removals that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// They are lost as all else that was not synced: the names are there again.
    Lost,
    /// They happened to reach the disk.
    Kept,
}

/// SQLite's files.
const CATALOG: [&str; 2] = ["catalog.db", "catalog.db-wal"];

impl PowerDisk {
    /// The disk below a folder that is durable itself.
    ///
    /// # Errors
    /// When it cannot be found.
    pub fn new(top: &Path) -> io::Result<Self> {
        let mut state = State::default();
        state.names.insert(PathBuf::new(), Names::new());
        Ok(Self { top: fs::canonicalize(top)?.into(), state: Arc::new(Mutex::new(state)) })
    }

    /// Takes note of one more acknowledged request.
    pub fn acknowledge(&self) {
        self.state.lock().acknowledged += 1;
        self.cut();
    }

    /// What a cut would have left, after each operation that changed that.
    pub fn take_cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.state.lock().cuts)
    }

    fn cut(&self) {
        let mut state = self.state.lock();
        let (mut catalog, mut names_seen) = (BTreeMap::new(), BTreeMap::new());
        for folder in state.names.keys() {
            for name in CATALOG {
                if let Ok(bytes) = fs::read(self.top.join(folder).join(name)) {
                    catalog.insert(folder.join(name), bytes);
                }
            }
            names_seen.insert(folder.clone(), list(&self.top.join(folder)).unwrap_or_default());
        }
        let State { acknowledged, names, contents, .. } = &*state;
        let (acknowledged, names, contents) = (*acknowledged, names.clone(), contents.clone());
        let cut = Cut { acknowledged, names, names_seen, contents, catalog };
        if state.cuts.last() != Some(&cut) {
            state.cuts.push(cut);
        }
    }
}

impl Cut {
    /// Makes the folder anew, below another top.
    ///
    /// # Errors
    /// What making files answers.
    pub fn restore(&self, top: &Path, removals: Removals) -> io::Result<()> {
        self.restore_folder(top, Path::new(""), removals)
    }

    fn restore_folder(&self, top: &Path, folder: &Path, removals: Removals) -> io::Result<()> {
        let seen = self.names_seen.get(folder);
        let is_there = |name: &OsString, entry: &Entry| {
            removals == Removals::Lost || seen.and_then(|seen| seen.get(name)) == Some(entry)
        };
        let names = self.names.get(folder).into_iter().flatten();
        for (name, entry) in names.filter(|(name, entry)| is_there(name, entry)) {
            let path = folder.join(name);
            if entry.is_folder {
                fs::create_dir(top.join(&path))?;
                self.restore_folder(top, &path, removals)?;
            } else {
                let bytes = self.catalog.get(&path).map(Vec::as_slice);
                let bytes = bytes.or_else(|| self.contents.get(&entry.inode).map(AsRef::as_ref));
                fs::write(top.join(&path), bytes.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

fn list(folder: &Path) -> io::Result<Names> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        let metadata = entry.metadata()?;
        Ok((entry.file_name(), Entry { inode: metadata.ino(), is_folder: metadata.is_dir() }))
    };
    fs::read_dir(folder)?.map(entry).collect()
}

impl Disk for PowerDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = SystemDisk.create(path)?;
        self.state.lock().made.push(file.as_file().try_clone()?);
        self.cut();
        Ok(Box::new(PowerFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)?;
        self.cut();
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        SystemDisk.unlink(path)?;
        self.cut();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        SystemDisk.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.len(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let real = fs::canonicalize(path)?;
        if let Ok(folder) = real.strip_prefix(&self.top) {
            let names = list(&real)?;
            self.state.lock().names.insert(folder.to_owned(), names);
            self.cut();
        }
        SystemDisk.sync_dir(path)
    }
}

#[derive(Debug)]
struct PowerFile {
    disk: PowerDisk,
    file: Box<dyn DiskFile>,
}

impl DiskFile for PowerFile {
    fn write_vectored_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.file.write_vectored_at(pieces, offset)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let file = self.file.as_file();
        let metadata = file.metadata()?;
        let mut bytes = vec![0; usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::OutOfMemory)?];
        file.read_exact_at(&mut bytes, 0)?;
        self.disk.state.lock().contents.insert(metadata.ino(), bytes.into());
        self.disk.cut();
        self.file.sync_data()
    }

    fn as_file(&self) -> &File {
        self.file.as_file()
    }
}
