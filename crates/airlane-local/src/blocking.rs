//! Work that may take long: bytes are validated and copied, memory is freed, a disk is waited for.

use airlane_model::{Error, Result, codes};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task;

/// Does such work on the thread where it comes up, since to wake another one for it, and this one after it, takes longer than
/// most of what is done. What else the thread serves goes to another one meanwhile; a runtime of one thread has the work done
/// elsewhere.
///
/// # Errors
/// `internal` when the runtime stops.
pub(crate) async fn in_place<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => Ok(task::block_in_place(work)),
        _ => task::spawn_blocking(work).await.map_err(interrupted),
    }
}

fn interrupted(error: task::JoinError) -> Error {
    Error::new(codes::INTERNAL, format!("a request of the local door did not end: {error}")).source(error)
}
