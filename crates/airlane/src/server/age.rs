//! How old connections get.
//!
//! A client that keeps its connection for days stays with a server that has long had a better neighbour, or a proxy whose
//! routes have changed. So a connection is told to take its next request elsewhere (GOAWAY) when it is old enough; what runs on
//! it may end, however long that takes. Ages differ a little, so that a thousand clients that came together do not come back
//! together.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use airlane_model::Chance;
use tokio::time::sleep;

/// By how much ages differ, in parts of a thousand of the age, either way.
const SPREAD: u64 = 100;

/// Tells connections when they are old.
#[derive(Clone, Debug)]
pub(super) struct Ages {
    age: Option<Duration>,
    chance: Arc<dyn Chance>,
}

impl Ages {
    /// Connections get about this old, without an age as old as their clients like.
    pub(super) fn new(age: Option<Duration>, chance: Arc<dyn Chance>) -> Self {
        Self { age, chance }
    }

    /// Completes when a connection that begins now is old.
    pub(super) fn passed(&self) -> impl Future<Output = ()> + Send + use<> {
        let age = self.age.map(|age| self.spread(age));
        async move {
            match age {
                Some(age) => sleep(age).await,
                None => pending().await,
            }
        }
    }

    fn spread(&self, age: Duration) -> Duration {
        let mut bytes = [0; 8];
        self.chance.fill(&mut bytes);
        let thousandths = 1_000 - SPREAD + u64::from_le_bytes(bytes) % (2 * SPREAD + 1);
        Duration::from_micros((age.as_micros() * u128::from(thousandths) / 1_000).try_into().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::FutureExt;
    use tokio::time::{Instant, advance};

    use super::*;

    /// Counts up.
    #[derive(Debug, Default)]
    struct Counting(AtomicU64);

    impl Chance for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes()[..bytes.len()]);
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test(start_paused = true)]
    async fn g7_ages_lie_within_a_tenth_and_differ() {
        let ages = Ages::new(Some(HOUR), Arc::new(Counting::default()));
        let mut all = Vec::new();
        for _ in 0..=2 * SPREAD {
            let begun = Instant::now();
            ages.passed().await;
            all.push(begun.elapsed());
        }
        assert_eq!((all.iter().min(), all.iter().max()), (Some(&(HOUR / 10 * 9)), Some(&(HOUR / 10 * 11))));
        all.dedup();
        assert_eq!(all.len() as u64, 2 * SPREAD + 1, "each is another");
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_age_no_connection_is_old() {
        let mut passed = Box::pin(Ages::new(None, Arc::new(Counting::default())).passed());
        advance(HOUR * 24 * 365).await;
        assert!((&mut passed).now_or_never().is_none());
    }
}
