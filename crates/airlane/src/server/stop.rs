//! How the end of the server reaches its connections.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells connections to end, and waits for them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    requested: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
}

impl Stop {
    /// Runs a connection until it ends or is cut off.
    pub(super) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.connections.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Completes when connections are to take no more requests.
    pub(super) async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Asks all connections to end, and cuts off those that have not within the grace. Answers how many were cut off.
    pub(super) async fn stop(&self, grace: Duration) -> usize {
        self.requested.cancel();
        self.connections.close();
        let ended = tokio::time::timeout(grace, self.connections.wait()).await;
        let running = self.connections.len();
        self.cut_off();
        if ended.is_err() {
            self.connections.wait().await;
        }
        running
    }

    /// Cuts all connections off.
    pub(super) fn cut_off(&self) {
        self.requested.cancel();
        self.cut.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lets_connections_end_and_cuts_off_those_that_do_not() {
        let stop = Stop::default();
        let polite = stop.clone();
        stop.spawn(async move { polite.requested().await });
        stop.spawn(std::future::pending());
        assert_eq!(stop.stop(Duration::from_secs(10)).await, 1);

        let stop = Stop::default();
        assert_eq!(stop.stop(Duration::from_secs(10)).await, 0);
    }
}
