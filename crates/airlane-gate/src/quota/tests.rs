use std::num::NonZeroU32;

use airlane_model::{Quota, Quotas, RequestQuota};

use super::*;
use crate::gate::tests::ManualClock;

fn quota(streams: u32, puts_per_second: u32) -> RequestQuota {
    RequestQuota { streams: NonZeroU32::new(streams), puts_per_second: NonZeroU32::new(puts_per_second) }
}

fn quotas(callers: RequestQuota, namespaces: RequestQuota) -> Arc<Quotas> {
    let [callers, namespaces] = [callers, namespaces].map(|requests| Quota { requests, ..Quota::default() });
    Arc::new(Quotas::new(vec![("eu*".parse().expect("a pattern"), namespaces)], [], callers))
}

struct Metered {
    meter: Arc<Meter>,
    quotas: SharedQuotas,
    clock: Arc<ManualClock>,
}

impl Metered {
    fn new(callers: RequestQuota, namespaces: RequestQuota) -> Self {
        let (shared, clock) = (SharedQuotas::default(), Arc::new(ManualClock::default()));
        shared.set(quotas(callers, namespaces));
        Self { meter: Arc::new(Meter::new(shared.clone(), clock.clone())), quotas: shared, clock }
    }

    fn request(&self, caller: &str) -> Arc<RequestToll> {
        Arc::new(RequestToll::new(self.meter.clone(), Caller::new(caller, Vec::new())))
    }
}

fn assert_limited(outcome: Result<()>, parts: &[&str]) -> Duration {
    let error = outcome.expect_err("above the quota");
    let shown = error.to_string();
    assert!(error.code() == codes::RATE_LIMITED && error.code().is_retryable(), "{shown}");
    parts.iter().for_each(|part| assert!(shown.contains(part), "{part} is not in: {shown}"));
    error.retry_after_time().expect("a time")
}

#[test]
fn g6_streams_count_until_their_requests_end() {
    let metered = Metered::new(quota(2, 0), quota(3, 0));
    let [first, second, third] = [(); 3].map(|()| metered.request("ada"));
    first.begin().expect("the first");
    second.begin().expect("the second");
    assert_limited(third.begin(), &["caller `ada` has 2 streams open", "quota is 2", "`streams`", "[quotas.callers]"]);
    metered.request("bob").begin().expect("another caller");

    for request in [&first, &second] {
        request.begin_stream("eu").expect("two of three");
        request.begin_stream("eu").expect("once for each request");
        request.begin_stream("us").expect("no quota");
    }
    let of_bob = metered.request("bob");
    of_bob.begin_stream("eu").expect("three of three");
    let late = metered.request("carl");
    assert_limited(late.begin_stream("eu"), &["namespace `eu` has 3 streams open", "[quotas.namespaces]"]);
    late.begin_stream("eu-1").expect("each namespace has a quota of its own");

    // Somebody still holds the request when its answer is gone.
    drop(Counting::new(first.clone()));
    third.begin().expect("a stream has ended");
    late.begin_stream("eu").expect("a stream has ended");
    first.begin_stream("eu").expect("nothing is counted for who is gone");
}

#[test]
fn s9_puts_take_from_the_caller_and_the_namespace_or_from_neither() {
    let metered = Metered::new(quota(0, 4), quota(0, 2));
    let ada = metered.request("ada");
    ada.begin_put("eu").expect("the first");
    ada.begin_put("eu").expect("the second");
    let wait =
        assert_limited(ada.begin_put("eu"), &["namespace `eu` has begun 2 puts within a second", "`puts_per_second`"]);
    assert_eq!(wait, Duration::from_millis(500));
    for _ in 0..10 {
        assert_limited(ada.begin_put("eu"), &["namespace `eu`"]);
    }
    ada.begin_put("us").expect("what was refused took nothing of the caller");
    ada.begin_put("eu-1").expect("another namespace");
    assert_limited(ada.begin_put("eu-1"), &["caller `ada` has begun 4 puts within a second"]);
    metered.request("bob").begin_put("eu-1").expect("what was refused took nothing of the namespace");
    metered.clock.advance(wait);
    ada.begin_put("eu").expect("as the answer said");
    assert_limited(ada.begin_put("eu"), &["namespace `eu`"]);
}

#[test]
fn other_quotas_count_what_runs_already() {
    let metered = Metered::new(quota(0, 0), quota(0, 0));
    let running: Vec<_> = (0..5).map(|_| metered.request("ada")).collect();
    running.iter().for_each(|request| request.begin().expect("no quota"));
    running.iter().for_each(|request| request.begin_stream("eu").expect("no quota"));
    metered.quotas.set(quotas(quota(5, 1), quota(4, 0)));
    let late = metered.request("ada");
    assert_limited(late.begin(), &["5 streams open"]);
    assert_limited(metered.request("bob").begin_stream("eu"), &["has 5 streams open, its quota is 4"]);
    running.into_iter().take(1).for_each(|request| drop(Counting::new(request)));
    late.begin().expect("one has ended");
    metered.quotas.set(Arc::default());
    metered.request("ada").begin().expect("no quota any more");
}

#[test]
fn s9_what_counts_nothing_is_forgotten() {
    let metered = Metered::new(quota(1, 0), quota(9, 5));
    let running = metered.request("ada");
    running.begin_stream("eu").expect("one");
    for number in 0..NAMES_MIN * 3 {
        let request = metered.request("ada");
        request.begin_stream(&format!("eu-{number}")).expect("a stream");
        request.begin_put(&format!("eu-{number}")).expect("a put");
        metered.clock.advance(Duration::from_millis(10));
    }
    let state = metered.meter.namespaces.0.lock();
    assert!(state.counts.len() <= NAMES_MIN, "{}", state.counts.len());
    assert!(state.counts["eu"].0.lock().streams == 1, "what runs is not");
}

#[test]
fn g6_no_more_streams_than_the_quota_are_let_in_at_once() {
    let metered = Metered::new(quota(10, 0), quota(0, 0));
    let through: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let requests: Vec<_> = (0..50).map(|_| metered.request("ada")).collect();
                    let through = requests.iter().filter(|request| request.begin().is_ok()).count();
                    // Nothing ends before all have asked.
                    (through, requests)
                })
            })
            .collect();
        let all: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        all.iter().map(|(through, _)| through).sum()
    });
    assert_eq!(through, 10);
    metered.request("ada").begin().expect("all have ended");
}
