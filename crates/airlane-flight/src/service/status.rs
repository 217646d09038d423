//! The action `status`.

use airlane_exchange::Exchange;
use airlane_exchange::words::{self, Figures};
use airlane_model::figures::ServerFigures;
use airlane_model::{Caller, Result};

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
    body::check_empty("status", body)?;
    words::status(exchange, figures, caller)
}
