//! How the server does, for whoever keeps it.

use std::cmp::Reverse;
use std::fmt;

use airlane_model::figures::{ServerFigures, TableFigures};
use airlane_model::{Caller, Result};

use crate::Exchange;

/// The tables that the answer names of each order.
const TABLES_MAX: usize = 20;

/// Tells the figures of the server that a door belongs to.
pub trait Figures: Send + Sync + fmt::Debug {
    /// The figures now, without tables by name.
    fn now(&self) -> ServerFigures;
}

/// The figures now, with the largest and the most read of the tables that the caller may read.
///
/// # Errors
/// `permission_denied`, `credentials_missing` to all but callers with `admin` for all namespaces.
pub fn status(exchange: &Exchange, figures: &dyn Figures, caller: &Caller) -> Result<ServerFigures> {
    caller.check_admin()?;
    let tables: Vec<TableFigures> = exchange.usage(caller);
    let most = |by: fn(&TableFigures) -> u64| {
        let mut tables: Vec<&TableFigures> = tables.iter().filter(|table| by(table) > 0).collect();
        tables.sort_by_key(|table| Reverse(by(table)));
        tables.into_iter().take(TABLES_MAX).cloned().collect()
    };
    Ok(ServerFigures { largest: most(|table| table.info.bytes), most_read: most(|table| table.reads), ..figures.now() })
}
