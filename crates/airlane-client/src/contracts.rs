//! Data contracts at a server: registered, shown, compared, bound.

use std::collections::BTreeMap;

use airlane_model::Result;
use airlane_model::contract::{Binding, Change, Compatibility, ContractDocument, ContractInfo, Mode};
use serde::Deserialize;
use serde_json::json;

use crate::client::Client;

#[derive(Deserialize)]
struct Contracts {
    contracts: Vec<ContractInfo>,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Bindings {
    bindings: BTreeMap<String, Binding>,
}

impl Client {
    /// Registers a contract, or a new version of one: a document of the Open Data Contract Standard.
    ///
    /// # Errors
    /// What the server answers, such as `contract_invalid` with the line, `contract_incompatible` with each break and
    /// `permission_denied`; `connection_broken`.
    pub async fn add_contract(&self, name: &str, document: &str, compatibility: Compatibility) -> Result<ContractInfo> {
        let body = json!({ "contract": name, "document": document, "compatibility": compatibility });
        self.act("contract_add", body.to_string()).await
    }

    /// All contracts, those that come with Airlane among them, in the order of their names.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn contracts(&self) -> Result<Vec<ContractInfo>> {
        let Contracts { contracts } = self.act("contract_list", String::new()).await?;
        Ok(contracts)
    }

    /// The document of a contract, as it was registered: of the newest version, or of another one.
    ///
    /// # Errors
    /// What the server answers, such as `contract_not_found`, and `connection_broken`.
    pub async fn contract(&self, name: &str, version: Option<u64>) -> Result<ContractDocument> {
        self.act("contract_show", json!({ "contract": name, "version": version }).to_string()).await
    }

    /// What changes from one version of a contract to another; by default from the one before the newest to the newest.
    ///
    /// # Errors
    /// As [`contract`](Self::contract).
    pub async fn contract_changes(&self, name: &str, from: Option<u64>, to: Option<u64>) -> Result<Vec<Change>> {
        let Changes { changes } =
            self.act("contract_diff", json!({ "contract": name, "from": from, "to": to }).to_string()).await?;
        Ok(changes)
    }

    /// What would change with a document that is not registered, from the newest version by default.
    ///
    /// # Errors
    /// As [`contract`](Self::contract), and `contract_invalid`.
    pub async fn contract_changes_with(&self, name: &str, from: Option<u64>, document: &str) -> Result<Vec<Change>> {
        let body = json!({ "contract": name, "from": from, "document": document });
        let Changes { changes } = self.act("contract_diff", body.to_string()).await?;
        Ok(changes)
    }

    /// Binds a contract to a table, or to all whose names begin alike (`eu/*`).
    ///
    /// # Errors
    /// What the server answers, such as `contract_not_found` and `permission_denied`; `connection_broken`.
    pub async fn bind_contract(&self, tables: &str, contract: &str, mode: Mode) -> Result<()> {
        let body = json!({ "tables": tables, "contract": contract, "mode": mode });
        let _bound: BTreeMap<String, Binding> = self.act("contract_bind", body.to_string()).await?;
        Ok(())
    }

    /// Takes a contract off tables, named as it was bound, and answers the binding that was there.
    ///
    /// # Errors
    /// As [`bind_contract`](Self::bind_contract).
    pub async fn unbind_contract(&self, tables: &str) -> Result<Binding> {
        self.act("contract_unbind", json!({ "tables": tables }).to_string()).await
    }

    /// Which contracts are bound to which tables.
    ///
    /// # Errors
    /// What the server answers, and `connection_broken`.
    pub async fn contract_bindings(&self) -> Result<BTreeMap<String, Binding>> {
        let Bindings { bindings } = self.act("contract_bindings", String::new()).await?;
        Ok(bindings)
    }
}
