//! Contracts that come with Airlane, from `spec/contracts`.

use airlane_model::Result;

use crate::Contract;

/// The documents, by name.
const DOCUMENTS: [(&str, &str); 6] = [
    ("cell", include_str!("../../../spec/contracts/cell.yaml")),
    ("ledger", include_str!("../../../spec/contracts/ledger.yaml")),
    ("market_data", include_str!("../../../spec/contracts/market_data.yaml")),
    ("marketing_mix", include_str!("../../../spec/contracts/marketing_mix.yaml")),
    ("orders", include_str!("../../../spec/contracts/orders.yaml")),
    ("positions", include_str!("../../../spec/contracts/positions.yaml")),
];

/// The names of the built-in contracts, sorted.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    DOCUMENTS.iter().map(|(name, _)| *name)
}

/// A built-in contract; `None` where there is none of the name.
///
/// # Errors
/// Never: a test reads each.
pub fn builtin(name: &str) -> Option<Result<Contract>> {
    let (_, document) = DOCUMENTS.iter().find(|(own, _)| *own == name)?;
    Some(Contract::parse(document))
}
