//! Work that may wait for a disk or take a processor, away from the threads that serve the sockets.

use airlane_model::{Error, Result, codes};
use tokio::task::{JoinError, spawn_blocking};

/// Does such work. Its panic goes on in the caller, where the call's net is.
///
/// # Errors
/// What it answers; `shutting_down` when the runtime ends.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    joined(spawn_blocking(work).await)?
}

/// What such work answered that was begun elsewhere.
///
/// # Errors
/// `shutting_down` when the runtime ends.
pub fn joined<T>(joined: std::result::Result<T, JoinError>) -> Result<T> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(codes::SHUTTING_DOWN, "the server is stopping").source(error),
    })
}
