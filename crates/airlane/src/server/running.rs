//! A server that runs: what looks after it, and the order in which it ends.

use std::sync::Arc;
use std::time::Duration;

use airlane_flight::FlightDoor;
use airlane_gate::{Drain, Streams};
use airlane_model::{Error, Result, codes};
use airlane_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::readers::Readers;
use super::status::ServerStatus;
use super::stop::Stop;
use super::{memory, unix};

/// How often the server looks after itself: whether its store has failed, whether memory is free, and whether it is short.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// What is to be ended when the server stops.
pub(super) struct Running {
    pub(super) store: Store,
    pub(super) flight: FlightDoor,
    pub(super) status: Arc<ServerStatus>,
    pub(super) drain: Drain,
    pub(super) streams: Streams,
    pub(super) readers: Readers,
    pub(super) connections: Stop,
    /// The tasks that accept connections, and those that watch files.
    pub(super) accepting: Vec<JoinHandle<()>>,
    pub(super) socket_file: Option<unix::SocketFile>,
    pub(super) local_files: Vec<unix::SocketFile>,
    pub(super) grace: Duration,
}

impl Running {
    /// Looks after the server until it is told to stop or its store fails, and then ends it.
    pub(super) async fn until_stopped(mut self, mut stopped: watch::Receiver<bool>) -> Result<()> {
        let failure = loop {
            tokio::select! {
                // An error says that the handle is gone, which stops the server too.
                _ = stopped.wait_for(|stop| *stop) => break None,
                () = tokio::time::sleep(WATCH_INTERVAL) => {
                    memory::give_back();
                    self.readers.press(self.store.memory().is_short || self.streams.are_short());
                    airlane_http::metrics::upkeep();
                    if let Some(failure) = self.store.failure() {
                        break Some(failure);
                    }
                }
            }
        };
        let end = Instant::now() + self.grace;
        self.status.begin_drain();
        self.flight.set_not_serving();
        self.drain.begin();
        if failure.is_none() {
            // Who comes now is told so: the listeners stay open until no request runs.
            let _ = timeout_at(end, self.drain.ended()).await;
        }
        let cut_off = self.drain.running();
        self.stop_accepting().await;
        drop((self.socket_file.take(), std::mem::take(&mut self.local_files)));
        self.flight.end_health_checks();
        if let Some(failure) = failure {
            return Err(Error::new(codes::COMMIT_UNKNOWN, failure).hint("start the server again"));
        }
        if cut_off > 0 {
            tracing::warn!("requests that had not ended within {:?} were cut off: {cut_off}", self.grace);
        }
        let left = end.saturating_duration_since(Instant::now());
        let silent = self.connections.stop(left).await;
        tracing::debug!(
            connections = silent,
            "connections were cut off that had no request, or did not take their answers"
        );
        self.store.close().await;
        Ok(())
    }

    async fn stop_accepting(&mut self) {
        for task in self.accepting.drain(..) {
            task.abort();
            // Its end is a cancellation, as asked.
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
        self.connections.cut_off();
    }
}
