//! A bucket of tokens, kept as one moment: when it will be full again.
//!
//! ```text
//! taken at once   now ──┬──┬──┬── full        each token puts the moment off by 1/rate of a second,
//!                       └ 1/rate ┘            at most a second from now
//! ```
//!
//! This is the virtual scheduling algorithm of ITU-T I.371 (GCRA) with a burst of one second's worth.

use std::num::NonZeroU32;
use std::time::Duration;

/// A bucket of tokens; full at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full: Duration,
}

impl Bucket {
    /// Whether there is a token.
    ///
    /// # Errors
    /// The time until there is one.
    pub(super) fn ask(&self, rate: NonZeroU32, now: Duration) -> Result<(), Duration> {
        let step = step(rate);
        let burst = step * rate.get();
        match (self.full.max(now) + step).saturating_sub(now + burst) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }

    /// Takes a token that is there.
    pub(super) fn take(&mut self, rate: NonZeroU32, now: Duration) {
        self.full = self.full.max(now) + step(rate);
    }

    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.full <= now
    }
}

fn step(rate: NonZeroU32) -> Duration {
    Duration::from_secs(1) / rate.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, rate: NonZeroU32, now: Duration, asked: u32) -> u32 {
        let mut one = |_| {
            let is_there = bucket.ask(rate, now).is_ok();
            if is_there {
                bucket.take(rate, now);
            }
            u32::from(is_there)
        };
        (0..asked).map(&mut one).sum()
    }

    #[test]
    fn a_second_s_worth_comes_at_once_and_then_as_many_in_each_second() {
        for rate in [1, 2, 3, 7, 20, 1_000, 999_999] {
            let rate = NonZeroU32::new(rate).expect("a rate");
            let (mut bucket, mut now) = (Bucket::default(), Duration::from_secs(1_000));
            assert_eq!(taken(&mut bucket, rate, now, rate.get() + 5), rate.get(), "a burst");
            let wait = bucket.ask(rate, now).expect_err("empty");
            assert!(wait <= Duration::from_secs(1) / rate.get());
            now += wait;
            assert_eq!(taken(&mut bucket, rate, now, 5), 1, "as the wait said");
            now += Duration::from_secs(1);
            assert_eq!(taken(&mut bucket, rate, now, rate.get() + 5), rate.get());
            now += Duration::from_secs(3_600);
            assert!(bucket.is_full(now));
            assert_eq!(taken(&mut bucket, rate, now, rate.get() + 5), rate.get(), "an hour saves up no more");
        }
    }

    #[test]
    fn another_rate_counts_from_the_next_question_on() {
        let [slow, fast] = [1, 100].map(|rate| NonZeroU32::new(rate).expect("a rate"));
        let (mut bucket, now) = (Bucket::default(), Duration::from_secs(5));
        assert_eq!(taken(&mut bucket, fast, now, 100), 100);
        assert_eq!(bucket.ask(slow, now), Err(Duration::from_secs(1)));
        assert_eq!(taken(&mut bucket, slow, now + Duration::from_secs(1), 2), 1);
        assert_eq!(taken(&mut bucket, fast, now + Duration::from_millis(1_500), 100), 50);
    }
}
