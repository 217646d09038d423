//! Work that takes long or waits for a disk, on the thread where it comes up.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

/// Does such work. On a thread of a runtime, what else that thread serves goes to another one first.
pub(crate) fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => task::block_in_place(work),
        // A runtime of one thread has no other one.
        _ => work(),
    }
}
