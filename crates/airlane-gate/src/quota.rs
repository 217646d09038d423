//! How many streams run and how many puts begin, of each caller and in each namespace, against their quotas.
//!
//! ```text
//! headers ── a stream of the caller ──▶ door ──▶ exchange: rights ── a stream in the namespace ── a put of both ──▶ store
//!                      │                                                      │
//!                      └────────── held until the answer's body is gone ──────┘
//! ```
//!
//! What a caller may is asked before the body is read; what a namespace may, when the rights are known, so that nobody learns
//! about a namespace where nothing is theirs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use airlane_model::quota::Toll;
use airlane_model::{Caller, Clock, Error, Result, SharedQuotas, codes};
use parking_lot::Mutex;

mod bucket;

use bucket::Bucket;

/// What whoever has too many streams is told to wait: nobody knows when one ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Names that are counted at least before those with nothing to count are forgotten.
const NAMES_MIN: usize = 1024;

/// Counts for all callers and namespaces.
#[derive(Debug)]
pub(crate) struct Meter {
    quotas: SharedQuotas,
    clock: Arc<dyn Clock>,
    callers: Names,
    namespaces: Names,
}

/// Counts by name. A count that says nothing is forgotten some day, so there are not many more than requests run.
#[derive(Debug, Default)]
struct Names(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: HashMap<Box<str>, Arc<Count>>,
    /// How many there were when nothing could be forgotten.
    kept: usize,
}

impl Names {
    fn get(&self, name: &str, now: Duration) -> Arc<Count> {
        let mut state = self.0.lock();
        if let Some(count) = state.counts.get(name) {
            return count.clone();
        }
        if state.counts.len() >= NAMES_MIN.max(state.kept.saturating_mul(2)) {
            // Whoever holds a count is about to use it.
            state.counts.retain(|_, count| Arc::strong_count(count) > 1 || !count.0.lock().is_idle(now));
            state.kept = state.counts.len();
        }
        let count = Arc::<Count>::default();
        state.counts.insert(name.into(), count.clone());
        count
    }
}

#[derive(Debug, Default)]
struct Count(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    streams: u32,
    puts: Bucket,
}

impl Counted {
    fn is_idle(&self, now: Duration) -> bool {
        self.streams == 0 && self.puts.is_full(now)
    }
}

/// A stream that runs.
#[derive(Debug)]
struct Stream(Arc<Count>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.0.lock().streams -= 1;
    }
}

/// Whose quota it is.
#[derive(Clone, Copy)]
enum Whose<'a> {
    Caller(&'a str),
    Namespace(&'a str),
}

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(name) => write!(f, "caller `{name}`"),
            Self::Namespace(name) => write!(f, "namespace `{name}`"),
        }
    }
}

impl Whose<'_> {
    fn section(&self) -> &'static str {
        match self {
            Self::Caller(_) => "[quotas.callers]",
            Self::Namespace(_) => "[quotas.namespaces]",
        }
    }
}

impl Meter {
    pub(crate) fn new(quotas: SharedQuotas, clock: Arc<dyn Clock>) -> Self {
        Self { quotas, clock, callers: Names::default(), namespaces: Names::default() }
    }

    fn stream(&self, whose: Whose<'_>) -> Result<Stream> {
        let quotas = self.quotas.get();
        let (names, name, quota) = match whose {
            Whose::Caller(name) => (&self.callers, name, quotas.of_caller(name).requests),
            Whose::Namespace(name) => (&self.namespaces, name, quotas.of_namespace(name).requests),
        };
        // Counted without a quota too: there may be one before the stream has ended.
        let count = names.get(name, self.clock.steady());
        let mut counted = count.0.lock();
        if let Some(max) = quota.streams
            && counted.streams >= max.get()
        {
            let message = format!("{whose} has {} streams open, its quota is {max}", counted.streams);
            return Err(limited(message, whose, "run fewer at once", "streams", RETRY_AFTER));
        }
        counted.streams += 1;
        drop(counted);
        Ok(Stream(count))
    }

    fn put(&self, caller: &str, namespace: &str) -> Result<()> {
        let (quotas, now) = (self.quotas.get(), self.clock.steady());
        let of_caller = quotas.of_caller(caller).requests.puts_per_second;
        let of_namespace = quotas.of_namespace(namespace).requests.puts_per_second;
        if of_caller.is_none() && of_namespace.is_none() {
            return Ok(());
        }
        let (callers, namespaces) = (self.callers.get(caller, now), self.namespaces.get(namespace, now));
        // Always in this order. Both are asked before one is used: a refused put costs neither.
        let (mut callers, mut namespaces) = (callers.0.lock(), namespaces.0.lock());
        let mut both = [
            (&mut callers.puts, of_caller, Whose::Caller(caller)),
            (&mut namespaces.puts, of_namespace, Whose::Namespace(namespace)),
        ];
        for (bucket, max, whose) in &both {
            if let Some(max) = max
                && let Err(wait) = bucket.ask(*max, now)
            {
                let message = format!("{whose} has begun {max} puts within a second, which is its quota");
                return Err(limited(message, *whose, "put fewer and larger tables", "puts_per_second", wait));
            }
        }
        for (bucket, max, _) in &mut both {
            max.iter().for_each(|max| bucket.take(*max, now));
        }
        Ok(())
    }
}

fn limited(message: String, whose: Whose<'_>, advice: &str, key: &str, wait: Duration) -> Error {
    let section = whose.section();
    Error::new(codes::RATE_LIMITED, message)
        .at(whose.to_string())
        .hint(format!(
            "repeat the request later, {advice}, or have `{key}` raised in {section} of the server's rights file"
        ))
        .retry_after(wait)
}

/// Ends the count of a request when the answer is gone, whoever still works on it.
#[derive(Debug)]
pub(crate) struct Counting(Arc<RequestToll>);

impl Counting {
    pub(crate) fn new(toll: Arc<RequestToll>) -> Self {
        Self(toll)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One request, as it is counted.
#[derive(Debug)]
pub(crate) struct RequestToll {
    meter: Arc<Meter>,
    caller: Caller,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    streams: Vec<(Option<Box<str>>, Stream)>,
    is_ended: bool,
}

impl RequestToll {
    pub(crate) fn new(meter: Arc<Meter>, caller: Caller) -> Self {
        Self { meter, caller, held: Mutex::default() }
    }

    /// Counts a stream of the caller.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) fn begin(&self) -> Result<()> {
        let stream = self.meter.stream(Whose::Caller(self.caller.name()))?;
        self.held.lock().streams.push((None, stream));
        Ok(())
    }

    fn end(&self) {
        let mut held = self.held.lock();
        held.is_ended = true;
        held.streams.clear();
    }
}

impl Toll for RequestToll {
    fn begin_stream(&self, namespace: &str) -> Result<()> {
        let mut held = self.held.lock();
        let is_held = held.streams.iter().any(|(name, _)| name.as_deref() == Some(namespace));
        if !is_held && !held.is_ended {
            let stream = self.meter.stream(Whose::Namespace(namespace))?;
            held.streams.push((Some(namespace.into()), stream));
        }
        Ok(())
    }

    fn begin_put(&self, namespace: &str) -> Result<()> {
        self.meter.put(self.caller.name(), namespace)
    }
}

#[cfg(test)]
mod tests;
