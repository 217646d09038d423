//! Prepared statements: each belongs to the caller who made it, for a time (threat Q6).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use airlane_model::{Caller, Chance, Error, QueryTicket, Result, codes};
use arrow_array::RecordBatch;
use parking_lot::Mutex;

/// The statements of one caller.
const STATEMENTS_MAX: usize = 64;
/// The statements of all.
const ALL_STATEMENTS_MAX: usize = 10_000;
/// How long one is kept that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// The prepared statements of a door.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared(Arc<Mutex<HashMap<String, Statement>>>);

#[derive(Debug)]
struct Statement {
    caller: String,
    sql: String,
    values: Option<RecordBatch>,
    used: Instant,
}

impl Prepared {
    /// Keeps a statement; answers its handle.
    ///
    /// # Errors
    /// `rate_limited` when the caller, or all together, have too many.
    pub(super) fn keep(&self, caller: &Caller, chance: &dyn Chance, sql: String, now: Instant) -> Result<String> {
        let mut statements = self.0.lock();
        statements.retain(|_, statement| now.saturating_duration_since(statement.used) < IDLE_MAX);
        let own = statements.values().filter(|statement| statement.caller == caller.name()).count();
        if own >= STATEMENTS_MAX || statements.len() >= ALL_STATEMENTS_MAX {
            let message = format!("`{}` has {own} prepared statements, and {STATEMENTS_MAX} at most", caller.name());
            return Err(Error::new(codes::RATE_LIMITED, message).hint("close those that you do not need any more"));
        }
        let mut bytes = [0; 16];
        chance.fill(&mut bytes);
        let handle = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let statement = Statement { caller: caller.name().to_owned(), sql, values: None, used: now };
        statements.insert(handle.clone(), statement);
        Ok(handle)
    }

    /// Gives a statement values for its parameters, a row for each time that it is to run.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub(super) fn bind(&self, caller: &Caller, handle: &[u8], values: Option<RecordBatch>, now: Instant) -> Result<()> {
        self.with(caller, handle, now, |statement| statement.values = values)
    }

    /// A statement with its values.
    ///
    /// # Errors
    /// `statement_not_found` for a handle that is not there, is too old, or is somebody else's.
    pub(super) fn find(&self, caller: &Caller, handle: &[u8], now: Instant) -> Result<(String, Option<RecordBatch>)> {
        self.with(caller, handle, now, |statement| (statement.sql.clone(), statement.values.clone()))
    }

    /// Forgets a statement; one that is not there is forgotten already.
    pub(super) fn close(&self, caller: &Caller, handle: &[u8]) {
        let mut statements = self.0.lock();
        let Ok(handle) = std::str::from_utf8(handle) else { return };
        if statements.get(handle).is_some_and(|statement| statement.caller == caller.name()) {
            statements.remove(handle);
        }
    }

    fn with<T>(
        &self,
        caller: &Caller,
        handle: &[u8],
        now: Instant,
        work: impl FnOnce(&mut Statement) -> T,
    ) -> Result<T> {
        let mut statements = self.0.lock();
        let found = std::str::from_utf8(handle).ok().and_then(|handle| statements.get_mut(handle));
        let found = found.filter(|statement| {
            statement.caller == caller.name() && now.saturating_duration_since(statement.used) < IDLE_MAX
        });
        let Some(statement) = found else {
            return Err(Error::new(codes::STATEMENT_NOT_FOUND, "there is no such prepared statement").hint(
                "prepare it again: it is forgotten after an hour without use, and with a restart of the server",
            ));
        };
        statement.used = now;
        Ok(work(statement))
    }
}

/// The ticket of a statement with one row of values, or none.
///
/// # Errors
/// `sql_invalid` for several rows; `limit_exceeded`.
pub(super) fn ticket(sql: String, values: Option<&RecordBatch>) -> Result<QueryTicket> {
    let values = match values {
        None => None,
        Some(values) if values.num_rows() == 1 => Some(airlane_exchange::values::write(values)?),
        Some(values) => {
            let message = format!("a query runs with one row of values, and {} were bound", values.num_rows());
            return Err(Error::new(codes::SQL_INVALID, message).hint("bind one row, or run the query for each"));
        }
    };
    Ok(QueryTicket { values, ..QueryTicket::new(sql) })
}

#[cfg(test)]
mod tests {
    use airlane_model::SystemChance;

    use super::*;

    #[test]
    fn q6_a_statement_is_its_callers_alone_for_a_time() {
        let (prepared, now) = (Prepared::default(), Instant::now());
        let (one, other) = (Caller::new("one", Vec::new()), Caller::new("other", Vec::new()));
        let keep = |caller: &Caller, now| prepared.keep(caller, &SystemChance, "SELECT 1".to_owned(), now);
        let handle = keep(&one, now).expect("room");
        assert_eq!(prepared.find(&one, handle.as_bytes(), now).expect("its own").0, "SELECT 1");
        let code = |caller, handle: &[u8], now| prepared.find(caller, handle, now).expect_err("none").code();
        assert_eq!(code(&other, handle.as_bytes(), now), codes::STATEMENT_NOT_FOUND);
        assert_eq!(code(&one, b"\xff", now), codes::STATEMENT_NOT_FOUND);
        prepared.close(&other, handle.as_bytes());
        let later = now + IDLE_MAX - Duration::from_secs(1);
        assert!(prepared.find(&one, handle.as_bytes(), later).is_ok());
        assert_eq!(code(&one, handle.as_bytes(), later + IDLE_MAX), codes::STATEMENT_NOT_FOUND);
        prepared.close(&one, handle.as_bytes());
        assert_eq!(code(&one, handle.as_bytes(), later), codes::STATEMENT_NOT_FOUND);
        for _ in 0..STATEMENTS_MAX {
            keep(&one, now).expect("room");
        }
        assert_eq!(keep(&one, now).expect_err("too many").code(), codes::RATE_LIMITED);
        assert!(keep(&other, now).is_ok());
        assert!(keep(&one, now + IDLE_MAX).is_ok(), "the others are too old");
    }
}
