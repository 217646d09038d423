//! Waiting without the interpreter's lock, until a call is done, is cancelled, is out of time, or Ctrl-C is pressed.

use std::time::Duration;

use airlane_model::{Error, Result, codes};
use pyo3::prelude::*;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::raise;
use crate::process;

/// How often a waiting call looks for signals and tells its progress.
const TICK: Duration = Duration::from_millis(100);

/// What can end a call before it is done; made for each call.
#[pyclass(frozen, module = "airlane._native")]
pub(crate) struct Call {
    token: CancellationToken,
    timeout: Option<Duration>,
    end: Option<Instant>,
    progress: Option<Py<PyAny>>,
}

#[pymethods]
impl Call {
    /// `timeout` is in seconds from now; `progress` is called with rows and bytes, from the thread that calls.
    #[new]
    #[pyo3(signature = (timeout=None, progress=None))]
    fn new(timeout: Option<f64>, progress: Option<Py<PyAny>>) -> PyResult<Self> {
        let timeout = timeout.map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                let message = format!("`{seconds}` is no timeout");
                raise(Error::new(codes::OPTION_INVALID, message).hint("a timeout is a number of seconds, zero or more"))
            })
        });
        let timeout = timeout.transpose()?;
        // What is too far away to be a moment never comes.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Self { token: CancellationToken::new(), timeout, end, progress })
    }

    /// Ends the call, from any thread.
    fn cancel(&self) {
        self.token.cancel();
    }
}

impl Call {
    /// Whether anybody is told how far the call has come.
    pub(crate) fn is_told(&self) -> bool {
        self.progress.is_some()
    }

    /// Tells how far the call has come.
    pub(crate) fn tell(&self, py: Python<'_>, (rows, bytes): (u64, u64)) -> PyResult<()> {
        self.progress.as_ref().map_or(Ok(()), |progress| progress.call1(py, (rows, bytes)).map(drop))
    }

    /// What the call is done with, or what ended it. Dropping the future cancels what it does at the server.
    pub(crate) fn wait<T: Send>(&self, py: Python<'_>, future: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
        self.wait_telling(py, future, || (0, 0))
    }

    /// As [`wait`](Self::wait), and tells the rows and bytes so far.
    pub(crate) fn wait_telling<T: Send>(
        &self,
        py: Python<'_>,
        future: impl Future<Output = Result<T>> + Send,
        so_far: impl Fn() -> (u64, u64),
    ) -> PyResult<T> {
        let runtime = process::runtime().map_err(raise)?;
        let mut future = Box::pin(future);
        loop {
            // Looked at before the future is: what comes late does not count as done.
            if self.end.is_some_and(|end| end <= Instant::now()) {
                return Err(raise(self.late()));
            }
            let step = py.detach(|| {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        () = self.token.cancelled() => Some(Err(cancelled())),
                        done = &mut future => Some(done),
                        () = sleep(self.tick()) => None,
                    }
                })
            });
            match step {
                Some(done) => return done.map_err(raise),
                None => {
                    py.check_signals()?;
                    self.tell(py, so_far())?;
                }
            }
        }
    }

    fn tick(&self) -> Duration {
        self.end.map_or(TICK, |end| TICK.min(end.saturating_duration_since(Instant::now())))
    }

    fn late(&self) -> Error {
        let seconds = self.timeout.unwrap_or_default().as_secs_f64();
        Error::new(codes::DEADLINE_EXCEEDED, format!("the call was not done in {seconds} s"))
            .hint("give a longer `timeout`; look at the table's version before you repeat a put without a key")
    }
}

fn cancelled() -> Error {
    Error::new(codes::CALL_CANCELLED, "the call was cancelled by its caller")
}
