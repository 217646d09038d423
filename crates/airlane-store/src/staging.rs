//! The files of one put, from their first byte until a commit takes them over.
//!
//! A file has its final name from the start: nobody knows the name before the catalog says so. What no commit took
//! over is removed when the put ends, however it ends.

use std::io::{self, IoSlice};
use std::sync::Arc;

use airlane_model::{Chance, Result, SegmentId};
use airlane_segment::home::write_all_at;
use airlane_segment::{Home, HomeFactory, MemoryBudget, Target};
use parking_lot::Mutex;

use crate::blocking::in_place;
use crate::disk::{Disk, DiskFile};
use crate::error::storage;
use crate::failpoint::failpoint;
use crate::folder::{Paths, label_of};
use crate::sweeper::Sweeper;

/// The files that a put has made. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Staging {
    disk: Arc<dyn Disk>,
    chance: Arc<dyn Chance>,
    paths: Paths,
    sweeper: Sweeper,
    budget: MemoryBudget,
    files: Mutex<Vec<SegmentId>>,
}

impl Staging {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        chance: Arc<dyn Chance>,
        paths: Paths,
        sweeper: Sweeper,
        budget: MemoryBudget,
    ) -> Arc<Self> {
        Arc::new(Self { disk, chance, paths, sweeper, budget, files: Mutex::default() })
    }

    /// Makes homes for the segments of the put.
    pub(crate) fn homes(self: &Arc<Self>) -> Box<dyn HomeFactory> {
        Box::new(FileHomes(self.clone()))
    }

    /// Makes the names of the files durable, where there are any. Their contents are, since they were sealed.
    pub(crate) fn sync_names(&self) -> Result<()> {
        if self.files.lock().is_empty() {
            return Ok(());
        }
        failpoint!("p6.before");
        let folder = self.paths.segments();
        self.disk.sync_dir(&folder).map_err(|error| storage("sync the folder of segments", &folder, error))?;
        failpoint!("p6.after");
        Ok(())
    }

    /// Leaves files to the catalog that now names them, or may name them.
    pub(crate) fn hand_over(&self, segments: impl Iterator<Item = SegmentId>) {
        let mut files = self.files.lock();
        for segment in segments {
            files.retain(|file| *file != segment);
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let files = std::mem::take(self.files.get_mut());
        if !files.is_empty() {
            self.sweeper.remove(files);
        }
    }
}

struct FileHomes(Arc<Staging>);

impl HomeFactory for FileHomes {
    fn create(&mut self) -> Result<Box<dyn Target>> {
        let staging = &self.0;
        let id = SegmentId::random(staging.chance.as_ref());
        let path = staging.paths.segment(id);
        failpoint!("p4.before");
        let file = staging.disk.create(&path).map_err(|error| storage("make a segment file", &path, error))?;
        staging.files.lock().push(id);
        Ok(Box::new(FileTarget { id, file, staging: staging.clone() }))
    }

    fn budget(&self) -> &MemoryBudget {
        &self.0.budget
    }
}

struct FileTarget {
    id: SegmentId,
    file: Box<dyn DiskFile>,
    staging: Arc<Staging>,
}

impl Target for FileTarget {
    fn write_at(&mut self, offset: u64, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        write_all_at(offset, pieces, |pieces, offset| self.file.write_vectored_at(pieces, offset))
    }

    fn seal(self: Box<Self>, len: u64) -> Result<Home> {
        let path = self.staging.paths.segment(self.id);
        let failed = |action| {
            let path = path.clone();
            move |error| storage(action, &path, error)
        };
        self.file.set_len(len).map_err(failed("write a segment file"))?;
        failpoint!("p4.after");
        failpoint!("p5.before");
        in_place(|| self.file.sync_data()).map_err(failed("sync a segment file"))?;
        failpoint!("p5.after");
        Home::map_file(self.file.as_file(), len, label_of(self.id)).map_err(failed("map a segment file"))
    }
}
