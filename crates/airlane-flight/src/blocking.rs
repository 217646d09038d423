//! Work that may wait for a disk, away from the threads that serve the sockets.

use airlane_model::{Error, Result, codes};
use tokio::task::JoinError;

/// What blocking work answered. Its panic goes on in the caller, where the call's net is.
///
/// # Errors
/// `shutting_down` when the runtime ends.
pub(crate) fn joined<T>(joined: Result<T, JoinError>) -> Result<T> {
    joined.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(codes::SHUTTING_DOWN, "the server is stopping").source(error),
    })
}
