//! Quotas: how much a namespace holds and a caller owns at most, and how many requests run in it and for them.
//!
//! ```text
//! namespace "eu"  bytes tables streams puts_per_second    the pattern that fits best decides, alone, as with rights
//! caller "ci"     bytes tables streams puts_per_second    a line of its own decides, alone; else that of `*`
//! ```
//!
//! What no line says has no bound.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use crate::caller::NamespacePattern;
use crate::error::Result;
use crate::size::ByteSize;

/// How much there may be in a namespace, or of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of the tables' current versions: the bodies of their record batches and dictionaries.
    pub bytes: Option<ByteSize>,
    /// Tables: of a caller those that it owns.
    pub tables: Option<u64>,
    /// Requests for tables of the namespace, or of the caller.
    pub requests: RequestQuota,
}

/// How many requests there may be, of a caller or in a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestQuota {
    /// Streams of data that run at once.
    pub streams: Option<NonZeroU32>,
    /// Puts that begin in a second. As many may come at one moment.
    pub puts_per_second: Option<NonZeroU32>,
}

/// All quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// The one that decides first.
    namespaces: Vec<(NamespacePattern, Quota)>,
    callers: BTreeMap<Box<str>, Quota>,
    other_callers: Quota,
}

impl Quotas {
    /// Quotas of namespaces, of callers by name, and of all other callers.
    pub fn new(
        mut namespaces: Vec<(NamespacePattern, Quota)>,
        callers: impl IntoIterator<Item = (Box<str>, Quota)>,
        other_callers: Quota,
    ) -> Self {
        namespaces.sort_by_key(|(pattern, _)| pattern.rank());
        Self { namespaces, callers: callers.into_iter().collect(), other_callers }
    }

    /// The quota of a namespace: each that a pattern fits has it for itself.
    pub fn of_namespace(&self, namespace: &str) -> Quota {
        let deciding = self.namespaces.iter().find(|(pattern, _)| pattern.fits(namespace));
        deciding.map(|(_, quota)| *quota).unwrap_or_default()
    }

    /// The quota of a caller.
    pub fn of_caller(&self, name: &str) -> Quota {
        self.callers.get(name).copied().unwrap_or(self.other_callers)
    }
}

/// The quotas that are in force, for all who look after them. Cheap to clone; each clone sees what another sets.
#[derive(Clone, Debug, Default)]
pub struct SharedQuotas(Arc<RwLock<Arc<Quotas>>>);

impl SharedQuotas {
    /// Those that are in force now.
    pub fn get(&self) -> Arc<Quotas> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others into force. What is there and what runs stays, and counts.
    pub fn set(&self, quotas: Arc<Quotas>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = quotas;
    }
}

/// Counts a request against the quotas of its caller and of the namespaces that it asks for.
pub trait Toll: Send + Sync + fmt::Debug {
    /// Counts a stream in a namespace until the request has ended; once for each namespace.
    ///
    /// # Errors
    /// `rate_limited`.
    fn begin_stream(&self, namespace: &str) -> Result<()>;

    /// Counts a put, of the caller and in a namespace.
    ///
    /// # Errors
    /// `rate_limited`.
    fn begin_put(&self, namespace: &str) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(streams: u32) -> RequestQuota {
        RequestQuota { streams: NonZeroU32::new(streams), puts_per_second: None }
    }

    fn of(streams: u32) -> Quota {
        Quota { requests: requests(streams), ..Quota::default() }
    }

    #[test]
    fn the_line_that_fits_best_decides_alone() {
        let line = |pattern: &str, tables, streams| {
            let quota = Quota { tables, requests: requests(streams), ..Quota::default() };
            (pattern.parse().expect("a pattern"), quota)
        };
        let namespaces =
            vec![line("*", Some(1), 1), line("eu*", Some(2), 0), line("eu-west*", None, 3), line("eu-west-1", None, 0)];
        let quotas = Quotas::new(namespaces, [("ada".into(), of(7)), ("bob".into(), of(0))], of(9));
        for (namespace, tables, streams) in
            [("us", Some(1), 1), ("eu", Some(2), 0), ("eu-west-2", None, 3), ("eu-west-1", None, 0)]
        {
            let quota = quotas.of_namespace(namespace);
            assert_eq!((quota.tables, quota.requests), (tables, requests(streams)), "{namespace}");
        }
        for (caller, streams) in [("ada", 7), ("bob", 0), ("carl", 9)] {
            assert_eq!(quotas.of_caller(caller), of(streams), "{caller}");
        }
        assert_eq!(Quotas::default().of_namespace("eu"), Quota::default());
    }

    #[test]
    fn every_clone_sees_what_another_sets() {
        let quotas = SharedQuotas::default();
        let clone = quotas.clone();
        quotas.set(Arc::new(Quotas::new(Vec::new(), [], of(3))));
        assert_eq!(clone.get().of_caller("ada"), of(3));
    }
}
