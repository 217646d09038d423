//! Runs the calls of an HTTP/2 connection.
//!
//! A call that can be answered at once is answered where it was met, in the connection's own task: a small read needs
//! no task of its own, no waking of another thread, and its answer leaves with its neighbours'. What has to wait
//! becomes a task.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};

use hyper::rt::Executor;

use super::readers::{self, Account, Readers};

/// Polls a future once, and spawns it if it is not complete. It is dropped when its client takes nothing for too long.
#[derive(Clone, Debug)]
pub(super) struct InlineExecutor(pub(super) Readers);

impl<F> Executor<F> for InlineExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        let account = Arc::<Account>::default();
        // Nobody is to be woken by this poll: if it does not complete, the task polls again before it waits.
        let mut context = Context::from_waker(Waker::noop());
        // Calls catch their own panics; this one keeps a fault outside of them from ending the connection.
        let polled = catch_unwind(AssertUnwindSafe(|| readers::poll_once(&account, &mut future, &mut context)));
        if polled.is_ok_and(|polled| polled.is_pending()) {
            let readers = self.0.clone();
            tokio::spawn(async move { readers.watch(account, future).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::server::ReaderPatience;

    #[tokio::test]
    async fn runs_at_once_or_later_and_survives_a_panic() {
        let executor = InlineExecutor(Readers::new(ReaderPatience::default()));
        let count = Arc::new(AtomicU32::new(0));
        let add = |count: &Arc<AtomicU32>| {
            let count = count.clone();
            async move { _ = count.fetch_add(1, Ordering::SeqCst) }
        };
        executor.execute(add(&count));
        assert_eq!(count.load(Ordering::SeqCst), 1, "at once");

        let (sender, receiver) = tokio::sync::oneshot::channel();
        let later = add(&count);
        executor.execute(async move {
            tokio::task::yield_now().await;
            later.await;
            sender.send(()).expect("awaited");
        });
        assert_eq!(count.load(Ordering::SeqCst), 1, "not yet");
        receiver.await.expect("later");
        assert_eq!(count.load(Ordering::SeqCst), 2);

        executor.execute(async { panic!("on purpose") });
    }
}
