//! Contracts as JSON asks for them, and how they are told.

use std::collections::BTreeMap;

use airlane_model::contract::{Binding, Change, ContractInfo, Mode};
use airlane_model::{Caller, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Exchange;

/// All contracts, and what each is bound to.
#[derive(Clone, Debug, Serialize)]
pub struct Contracts {
    contracts: Vec<ContractInfo>,
}

impl Contracts {
    /// Those of an exchange.
    pub fn of(exchange: &Exchange) -> Self {
        Self { contracts: exchange.contracts() }
    }
}

/// What changes between two versions.
#[derive(Clone, Debug, Serialize)]
pub struct ContractChanges {
    /// One by one.
    pub changes: Vec<Change>,
}

/// What is to be bound, and where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Bind")]
pub struct BindRequest {
    /// `eu/prices`, or `eu/*` for all tables whose names begin so.
    tables: String,
    /// The name of the contract.
    contract: String,
    /// `reject`, `coerce`, `quarantine` or `coerce_quarantine`; reject by default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    mode: Mode,
}

impl BindRequest {
    /// What to send instead of what is none.
    pub const HINT: &str = "send {\"tables\": \"eu/*\", \"contract\": \"market_data\", \"mode\": \"reject\"}; modes: reject, coerce, \
                            quarantine, coerce_quarantine";

    /// Binds the contract, and answers the binding by its tables.
    ///
    /// # Errors
    /// As [`Exchange::bind_contract`].
    pub fn bind(self, exchange: &Exchange, caller: &Caller) -> Result<BTreeMap<String, Binding>> {
        let Self { tables, contract, mode } = self;
        let binding = Binding { contract, mode };
        exchange.bind_contract(caller, &tables, binding.clone())?;
        Ok(BTreeMap::from([(tables, binding)]))
    }
}

/// Where a contract is taken off.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnbindRequest {
    /// As it was bound.
    pub tables: String,
}
