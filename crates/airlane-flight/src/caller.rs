//! Who a request is from, as the gate before the doors has put it into the request.

use airlane_model::Caller;
use http::Extensions;

/// The caller of a request. A request that passed no gate is from nobody, who may do nothing.
pub(crate) fn of(extensions: &Extensions) -> Caller {
    extensions.get::<Caller>().cloned().unwrap_or_else(Caller::nobody)
}
