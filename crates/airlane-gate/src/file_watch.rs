//! Files that are read again when they change.
//!
//! A change is seen by looking now and then, which works on every file system and with every editor, or at once when
//! somebody says so.

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;

/// Says that all watched files are to be read again now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reload(watch::Sender<()>);

impl Default for Reload {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Reload {
    /// Has the files read, changed or not.
    pub fn now(&self) {
        self.0.send_replace(());
    }
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Some files that belong together. To be made before they are read for the first time, so that no change is missed.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    /// As they were when they were read last.
    read: Vec<Option<Stamp>>,
    /// As they were when they were last looked at.
    seen: Vec<Option<Stamp>>,
}

impl FileWatch {
    /// Watches files from now on.
    pub fn new(paths: impl Into<Vec<PathBuf>>) -> Self {
        let paths = paths.into();
        let stamps = stamps(&paths);
        Self { paths, read: stamps.clone(), seen: stamps }
    }

    /// Calls `read`, on a thread that may block, each time the files are to be read again.
    pub fn run(
        mut self,
        interval: Duration,
        reload: Reload,
        mut read: impl FnMut() + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        // What is asked for from here on is heard.
        let mut asked = reload.0.subscribe();
        async move {
            // While it is here, its sender is.
            let _reload = reload;
            loop {
                let is_asked = tokio::select! {
                    asked = asked.changed() => asked.is_ok(),
                    () = tokio::time::sleep(interval) => false,
                };
                let looked = tokio::task::spawn_blocking(move || {
                    if self.is_due(is_asked) {
                        read();
                    }
                    (self, read)
                });
                match looked.await {
                    Ok(looked) => (self, read) = looked,
                    // The runtime ends.
                    Err(_) => return,
                }
            }
        }
    }

    /// Whether the files are to be read: they were changed and are not being written any more, or somebody asks.
    pub(crate) fn is_due(&mut self, is_asked: bool) -> bool {
        let stamps = stamps(&self.paths);
        let is_at_rest = stamps == self.seen;
        self.seen.clone_from(&stamps);
        if !is_asked && (stamps == self.read || !is_at_rest) {
            return false;
        }
        self.read = stamps;
        true
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_change_is_due_once_when_it_is_at_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let mut watch = FileWatch::new([path.clone(), folder.path().join("absent")]);
        assert!(!watch.is_due(false));
        std::fs::write(&path, "a").expect("written");
        assert!(!watch.is_due(false), "it may be being written");
        assert!(watch.is_due(false));
        assert!(!watch.is_due(false), "once");
        assert!(watch.is_due(true), "asked for");
        std::fs::remove_file(&path).expect("removed");
        assert!(!watch.is_due(false) && watch.is_due(false), "that it is gone is a change too");
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_now_and_then_and_whoever_asks_is_heard_by_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let (reload, counts) = (Reload::default(), [(); 2].map(|()| Arc::new(AtomicU32::new(0))));
        let watching = counts.clone().map(|count| {
            let read = move || _ = count.fetch_add(1, Ordering::SeqCst);
            FileWatch::new([path.clone()]).run(Duration::from_secs(3_600), reload.clone(), read)
        });
        reload.now();
        let watching = watching.map(tokio::spawn);
        let all = |expected| counts.iter().all(|count| count.load(Ordering::SeqCst) == expected);
        while !all(1) {
            tokio::task::yield_now().await;
        }
        std::fs::write(&path, "changed").expect("written");
        // The clock runs on by itself while nobody has anything to do.
        while !all(2) {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        watching.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
