//! Removes what nobody needs any more, away from those who wait for an answer.
//!
//! Superseded files are unlinked once the catalog has forgotten them. A reader that holds a segment it has not read
//! yet must still be able to: such a segment is opened first, and its mapping outlives the name. Contents are dropped
//! here too, since unmapping gigabytes takes a while.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use airlane_model::{Error, Result, SegmentId, codes};
use airlane_segment::MemfdPool;

use crate::catalog::Place;
use crate::content::Content;
use crate::disk::Disk;
use crate::failpoint::failpoint;
use crate::folder::Paths;
use crate::frames::Forgotten;
use crate::slot::SegmentRef;

/// Memory that no segment uses for two of these goes back to the system.
const AGE_EVERY: Duration = Duration::from_secs(3);

/// What a commit left behind.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Segments that no version has any more.
    pub(crate) segments: Vec<SegmentRef>,
    /// Contents that are no table's any more.
    pub(crate) contents: Vec<Arc<Content>>,
    /// What was kept for readers of those segments.
    pub(crate) frames: Forgotten,
    /// A table in memory was dropped: what it had is to be gone when that is answered. What a replace leaves is kept
    /// for the next one.
    pub(crate) frees_memory: bool,
}

/// Segments that are let go of where they are: to wake the thread would cost more.
const SMALL_BYTES_MAX: u64 = 1 << 20;

impl Sweep {
    /// Whether there is no file to remove, and little memory to give back.
    pub(crate) fn is_small(&self) -> bool {
        let segments: u64 = self.segments.iter().map(SegmentRef::payload_bytes).sum();
        segments + self.frames.bytes() <= SMALL_BYTES_MAX
            && self.segments.iter().all(|segment| segment.facts().place != Place::File)
    }
}

enum Job {
    Sweep(Sweep, Option<Done>),
    Remove(Vec<SegmentId>),
    Stop,
}

/// Called when a sweep is through, with the first file that could not be removed.
pub(crate) type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// Hands work to the sweeping thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sweeper {
    jobs: Sender<Job>,
}

impl Sweeper {
    /// Starts the thread. `files`: where segment files are; `None` without a data folder.
    /// `memory`: its unused blocks are given back by and by.
    pub(crate) fn start(
        files: Option<(Arc<dyn Disk>, Paths)>,
        memory: MemfdPool,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let mut worker = Worker { jobs: receiver, files, memory, left_over: Vec::new(), unread: Vec::new() };
        let thread = thread::Builder::new().name("airlane-sweeper".into()).spawn(move || worker.run())?;
        Ok((Self { jobs: sender }, thread))
    }

    /// Removes what a commit left behind, then calls `done`.
    pub(crate) fn sweep(&self, sweep: Sweep, done: Option<Done>) {
        if let Err(error) = self.jobs.send(Job::Sweep(sweep, done))
            && let Job::Sweep(sweep, Some(done)) = error.0
        {
            // The store is closed. The next start removes the files.
            drop(sweep);
            done(Err(Error::new(codes::SHUTTING_DOWN, "the store is closed")));
        }
    }

    /// Removes the files of a put that was not committed.
    pub(crate) fn remove(&self, files: Vec<SegmentId>) {
        // A closed store leaves them to the next start.
        let _ = self.jobs.send(Job::Remove(files));
    }

    /// Ends the thread when it is through with what it was given before.
    pub(crate) fn stop(&self) {
        let _ = self.jobs.send(Job::Stop);
    }
}

struct Worker {
    jobs: Receiver<Job>,
    files: Option<(Arc<dyn Disk>, Paths)>,
    memory: MemfdPool,
    /// Files that could not be removed yet; they are tried again with the next ones.
    left_over: Vec<SegmentId>,
    /// Segments that readers hold and that could not be opened yet.
    unread: Vec<SegmentRef>,
}

impl Worker {
    fn run(&mut self) {
        let mut aged = Instant::now();
        loop {
            let job = match self.jobs.recv_timeout(AGE_EVERY.saturating_sub(aged.elapsed())) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.memory.age();
                    aged = Instant::now();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match job {
                Job::Sweep(sweep, done) => {
                    let outcome = self.sweep(sweep);
                    if let Some(done) = done {
                        done(outcome);
                    }
                }
                Job::Remove(files) => {
                    self.retry();
                    for file in files {
                        // A failure is logged, and the file kept for the next round.
                        let _ = self.unlink(file);
                    }
                }
                Job::Stop => return,
            }
        }
    }

    fn sweep(&mut self, sweep: Sweep) -> Result<()> {
        drop(sweep.contents);
        drop(sweep.frames);
        self.retry();
        let mut outcome = Ok(());
        for segment in sweep.segments.into_iter().filter(|segment| segment.facts().place == Place::File) {
            // The first failure is told; it keeps no other file from going.
            outcome = outcome.and(self.supersede(segment));
        }
        // The contents and segments are let go of by now; what readers hold comes later, and ages.
        if sweep.frees_memory {
            self.memory.clear();
        }
        outcome
    }

    /// Does again what did not work before; what still does not is logged and kept.
    fn retry(&mut self) {
        for segment in std::mem::take(&mut self.unread) {
            let _ = self.supersede(segment);
        }
        for file in std::mem::take(&mut self.left_over) {
            let _ = self.unlink(file);
        }
    }

    /// Removes the file of a segment that no version has any more.
    fn supersede(&mut self, segment: SegmentRef) -> Result<()> {
        if segment.is_shared()
            && let Err(error) = segment.open()
            && error.code() != codes::DATA_DAMAGED
        {
            tracing::warn!(segment = %segment.id(), %error, "a reader's segment could not be opened yet; its file stays");
            self.unread.push(segment);
            return Err(error);
        }
        self.unlink(segment.id())
    }

    fn unlink(&mut self, id: SegmentId) -> Result<()> {
        let Some((disk, paths)) = &self.files else { return Ok(()) };
        failpoint!("p12.before");
        let path = paths.segment(id);
        match disk.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a segment file could not be removed yet");
                self.left_over.push(id);
                Err(crate::error::storage("remove a segment file", &path, error))
            }
            _ => {
                failpoint!("p12.after");
                Ok(())
            }
        }
    }
}
