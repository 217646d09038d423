//! Work that may wait for a disk or take a processor, away from the threads that serve the sockets.

use airlane_model::{Error, Result, codes};

/// Does it. Its panic goes on in the caller.
///
/// # Errors
/// What it answers; `shutting_down` when the runtime ends.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::new(codes::SHUTTING_DOWN, "the server is stopping").source(error)),
        },
    }
}
