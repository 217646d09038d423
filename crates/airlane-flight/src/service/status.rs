//! The action `status`.

use airlane_exchange::Exchange;
use airlane_exchange::words::{self, Figures};
use airlane_model::figures::ServerFigures;
use airlane_model::{Caller, Error, Result, codes};

use super::body;

/// Answers the action.
pub(super) fn answer(
    exchange: &Exchange,
    figures: &dyn Figures,
    caller: &Caller,
    body: &[u8],
) -> Result<ServerFigures> {
    // Whoever may not learns nothing about the body.
    caller.check_admin()?;
    if !body.is_empty() {
        let message = format!("the action takes no body, and has one of {} bytes", body.len());
        return Err(Error::new(codes::OPTION_INVALID, message).at(body::place("status")).hint("send none"));
    }
    words::status(exchange, figures, caller)
}
