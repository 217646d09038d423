//! What belongs to one process: the runtime, and whatever is connected through it.
//!
//! A fork copies memory and descriptors but no threads. In the child the runtime of the parent is dead, yet shares its sockets and
//! its epoll instance: to use it would hang, and to drop it could take the parent's sockets out of the parent's epoll. So a child
//! makes a runtime of its own, and leaves what it inherited as it lies.

use std::sync::{Mutex, PoisonError};

use airlane_model::{Error, Result, codes};
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that move bytes between sockets and calls; what is decoded is decoded by the threads that call.
const WORKERS: usize = 2;

/// The runtime of this process. It is never dropped: at exit nothing waits for it, and in a child it must stay untouched.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// The runtime of this process, made when it is first asked for. To be called with the interpreter's lock held: `os.fork` holds
/// it too, so no child inherits the mutex locked.
pub(crate) fn runtime() -> Result<Handle> {
    let mut found = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((process, runtime)) = *found
        && process == std::process::id()
    {
        return Ok(runtime.handle().clone());
    }
    let made = Builder::new_multi_thread().worker_threads(WORKERS).thread_name("airlane").enable_all().build();
    let made = made.map_err(|error| {
        Error::new(codes::INTERNAL, format!("no threads for the client: {error}"))
            .hint("look at `ulimit -u`")
            .source(error)
    })?;
    let runtime: &'static Runtime = Box::leak(Box::new(made));
    *found = Some((std::process::id(), runtime));
    Ok(runtime.handle().clone())
}

/// A value that only the process which made it may use, and drop.
#[derive(Debug)]
pub(crate) struct Own<T> {
    value: Option<T>,
    process: u32,
}

impl<T> Own<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: std::process::id() }
    }

    /// The value.
    ///
    /// # Errors
    /// `connection_broken` in another process.
    pub(crate) fn get(&self) -> Result<&T> {
        self.value.as_ref().filter(|_| self.process == std::process::id()).ok_or_else(|| {
            let message = format!("the connection belongs to process {}, which this one was forked from", self.process);
            Error::new(codes::CONNECTION_BROKEN, message)
                .hint("connect again in this process; tables that were read before the fork stay readable")
        })
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.value.take());
        }
    }
}
