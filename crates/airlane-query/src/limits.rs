//! What one query may take.

use std::time::Duration;

use airlane_model::ByteSize;

/// A statement in bytes.
pub(crate) const TEXT_BYTES_MAX: ByteSize = ByteSize::kib(64);
/// Operators and connectives of a statement. Chains of them are nested as deep as they are long, which no limit of a
/// parser sees.
pub(crate) const OPERATORS_MAX: usize = 2_000;
/// How deep parentheses and subqueries may be nested.
pub(crate) const NESTING_MAX: usize = 100;
/// The tables that a statement reads once its common table expressions are unfolded. Each is planned, and each level of
/// expressions that name another twice doubles them.
pub(crate) const RELATIONS_MAX: u64 = 1_000;
/// The stack of threads that plan and compute.
pub(crate) const STACK_BYTES: ByteSize = ByteSize::mib(32);
/// Batches that are computed ahead of their reader.
pub(crate) const BATCHES_AHEAD: usize = 2;

/// What queries may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// The memory of one query; what can go to disk goes there before.
    pub memory: ByteSize,
    /// The disk of all queries.
    pub disk: ByteSize,
    /// How long one query may run, from its first step to its last row.
    pub time: Duration,
    /// How many may run at a time; others wait.
    pub at_once: usize,
    /// The threads that compute.
    pub threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory: ByteSize::gib(1),
            disk: ByteSize::gib(16),
            time: Duration::from_secs(10 * 60),
            at_once: 2 * threads,
            threads,
        }
    }
}
