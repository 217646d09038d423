//! Points at which a test can kill the process, to see what a restart finds.
//!
//! `AIRLANE_FAILPOINT=p5.after` raises SIGKILL when the point is reached, `p5.after:3` when it is reached the third
//! time. Release builds have no such points.

/// Every point, in the order in which a put, a merge, a drop and a start pass them.
///
/// The numbers are the steps of a durable put: p4 write a segment file, p5 sync it, p6 sync the folder, p7 begin the
/// transaction, p8 commit it, p9 publish, p12 remove what was superseded.
#[cfg(any(test, feature = "testing"))]
pub const NAMES: &[&str] = &[
    "p4.before",
    "p4.after",
    "p5.before",
    "p5.after",
    "p6.before",
    "p6.after",
    "p7.before",
    "p7.after",
    "p8.before",
    "p8.after",
    "p9.before",
    "p9.after",
    "p12.before",
    "p12.after",
    "merge.before",
    "merge.written",
    "merge.after",
    "drop.before",
    "drop.purged",
    "drop.after",
    "start.locked",
    "start.format",
    "start.catalog",
    "start.loaded",
    "start.checked",
    "start.after",
];

/// Marks a point.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::failpoint::reach($name)
    };
}

pub(crate) use failpoint;

#[cfg(debug_assertions)]
pub(crate) fn reach(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let setting = std::env::var("AIRLANE_FAILPOINT").ok()?;
        let (point, count) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((point.to_owned(), AtomicU64::new(count.parse().unwrap_or(1))))
    });
    let Some((point, left)) = armed else { return };
    if point == name && left.fetch_sub(1, Ordering::SeqCst) == 1 {
        // SIGKILL cannot be caught: nothing of this process runs after it.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
