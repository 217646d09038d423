//! What is counted of each request, of all doors in one place.
//!
//! Counters are made once, or at the first request that ends so: a request takes no lock and looks nothing up by name.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use airlane_model::{Outcome, codes};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// A kind of request that is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestName {
    /// Its name: a word of a list, never what the client sent.
    pub name: &'static str,
    /// Whether its answer is a stream, of which the first message matters by itself.
    pub is_stream: bool,
}

/// The metrics of all requests. The recorder must be there before. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RequestMetrics(Arc<[OfName]>);

#[derive(Debug)]
struct OfName {
    name: &'static str,
    open: Gauge,
    duration: Histogram,
    first_message: Option<Histogram>,
    /// By [`slot`].
    ended: Box<[OnceLock<Counter>]>,
}

impl RequestMetrics {
    /// For requests of these names.
    pub(crate) fn new(names: impl IntoIterator<Item = RequestName>) -> Self {
        let of_name = |RequestName { name, is_stream }| OfName {
            name,
            open: gauge!("airlane_requests_open", "rpc" => name),
            duration: histogram!("airlane_request_duration_seconds", "rpc" => name),
            first_message: is_stream.then(|| histogram!("airlane_request_first_message_seconds", "rpc" => name)),
            ended: std::iter::repeat_with(OnceLock::new).take(codes::ALL.len() + 2).collect(),
        };
        Self(names.into_iter().map(of_name).collect())
    }

    /// The name of a request.
    pub(crate) fn name(&self, index: usize) -> &'static str {
        self.0.get(index).map_or("-", |of_name| of_name.name)
    }

    /// A request begins.
    pub(crate) fn begin(&self, index: usize) {
        if let Some(of_name) = self.0.get(index) {
            of_name.open.increment(1.0);
        }
    }

    /// A request has ended; its answer's first message went after some time, if one did.
    pub(crate) fn end(&self, index: usize, outcome: Outcome, duration: Duration, first_message: Option<Duration>) {
        let Some(of_name) = self.0.get(index) else { return };
        of_name.open.decrement(1.0);
        of_name.duration.record(duration);
        if let (Some(histogram), Some(time)) = (&of_name.first_message, first_message) {
            histogram.record(time);
        }
        let counter = || {
            let (rpc, kind) = (of_name.name, outcome.kind());
            counter!("airlane_requests_total", "rpc" => rpc, "kind" => kind, "code" => outcome.to_string())
        };
        match slot(outcome).and_then(|slot| of_name.ended.get(slot)) {
            Some(known) => known.get_or_init(counter).increment(1),
            // What a library answers by itself is rare.
            None => counter().increment(1),
        }
    }
}

/// Where the counter of an outcome stands: the good end first, then the codes, and what was cut off last.
fn slot(outcome: Outcome) -> Option<usize> {
    match outcome {
        Outcome::Ok => Some(0),
        Outcome::Code(code) => codes::ALL.iter().position(|known| *known == code).map(|position| position + 1),
        Outcome::CutOff => Some(codes::ALL.len() + 1),
        Outcome::Grpc(_) | Outcome::Http(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_that_is_counted_apart_has_a_slot_of_its_own() {
        let mut outcomes = vec![Outcome::Ok, Outcome::CutOff];
        outcomes.extend(codes::ALL.iter().copied().map(Outcome::Code));
        let mut slots: Vec<_> = outcomes.iter().filter_map(|outcome| slot(*outcome)).collect();
        slots.sort_unstable();
        assert_eq!(slots, (0..outcomes.len()).collect::<Vec<_>>());
    }
}
