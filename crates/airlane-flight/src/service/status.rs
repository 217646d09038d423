//! The action `status`: how the server does, for whoever keeps it.

use std::cmp::Reverse;
use std::fmt;

use airlane_exchange::Exchange;
use airlane_model::figures::{ServerFigures, TableFigures};
use airlane_model::{Caller, Error, Result, codes};

use super::body;

/// The tables that the answer names of each order.
const TABLES_MAX: usize = 20;

/// Tells the figures of the server that a door belongs to.
pub trait Figures: Send + Sync + fmt::Debug {
    /// The figures now, without tables by name.
    fn now(&self) -> ServerFigures;
}

/// Answers the action.
pub(super) fn answer(
    exchange: &Exchange,
    figures: &dyn Figures,
    caller: &Caller,
    body: &[u8],
) -> Result<ServerFigures> {
    caller.check_admin()?;
    if !body.is_empty() {
        let message = format!("the action takes no body, and has one of {} bytes", body.len());
        return Err(Error::new(codes::OPTION_INVALID, message).at(body::place("status")).hint("send none"));
    }
    let tables: Vec<TableFigures> = exchange.usage(caller);
    let most = |by: fn(&TableFigures) -> u64| {
        let mut tables: Vec<&TableFigures> = tables.iter().filter(|table| by(table) > 0).collect();
        tables.sort_by_key(|table| Reverse(by(table)));
        tables.into_iter().take(TABLES_MAX).cloned().collect()
    };
    Ok(ServerFigures { largest: most(|table| table.info.bytes), most_read: most(|table| table.reads), ..figures.now() })
}
