//! The data contracts of a server: registered in versions, bound to names of tables, kept in the data folder.
//!
//! ```text
//! register   name + document ─▶ parsed ─▶ compared with the version before ─▶ version n + 1
//! bind       pattern ─▶ contract, mode       `eu/prices`, or `eu/*` for all that begin so; the closest decides, alone
//! put        table ─▶ binding ─▶ the newest version, as it is when the put begins
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use airlane_contract::{Contract, builtin, builtin_names, compare, diff};
use airlane_model::contract::{Binding, Change, Compatibility, ContractDocument, ContractInfo, Mode};
use airlane_model::error::shorten;
use airlane_model::{Caller, Error, Result, TableName, Timestamp, codes};
use airlane_store::{KeptFile, Store};
use arrow_schema::SchemaRef;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::Exchange;

/// Names of contracts are those of tables without a path, which keeps them short and printable.
const NAME_BYTES_MAX: usize = 128;
const CONTRACTS_MAX: usize = 1_000;
const VERSIONS_MAX: usize = 1_000;
const BINDINGS_MAX: usize = 10_000;
/// All documents together, in memory and on disk.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// The contracts of an exchange.
#[derive(Debug)]
pub(crate) struct Contracts {
    registry: RwLock<Arc<Registry>>,
    /// Changes are made one after the other, and readers do not wait for the disk.
    changing: Mutex<()>,
}

/// What is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    contracts: BTreeMap<String, Vec<Registered>>,
    bindings: BTreeMap<String, Binding>,
}

/// A version of a contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Registered {
    document: String,
    compatibility: Compatibility,
    registered: Timestamp,
    by: String,
    /// Parsed once.
    #[serde(skip)]
    parsed: Option<Arc<Contract>>,
}

/// What a version of a contract is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Newer<'a> {
    /// A version that is registered; the newest by default.
    Version(Option<u64>),
    /// A document that is not registered.
    Document(&'a [u8]),
}

/// What a contract makes of the columns of a table.
#[derive(Clone, Debug)]
pub struct ContractTypes {
    /// Their types; all may hold nulls here.
    pub schema: SchemaRef,
    /// Whether its check casts texts to them.
    pub casts_texts: bool,
}

/// A contract that a put keeps to.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) contract: Arc<Contract>,
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) mode: Mode,
}

impl Contracts {
    /// Reads what was kept.
    ///
    /// # Errors
    /// `data_damaged`, `storage_failed`.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let damaged = |what: String| {
            Error::new(codes::DATA_DAMAGED, format!("the data contracts cannot be read: {what}"))
                .hint("the file `contracts` of the data folder has them; without it there are none")
        };
        let mut registry = match store.kept(KeptFile::Contracts)? {
            None => Registry::default(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?,
        };
        for (name, versions) in &mut registry.contracts {
            for registered in versions {
                let parsed =
                    Contract::parse(&registered.document).map_err(|error| damaged(format!("{name}: {error}")))?;
                registered.parsed = Some(Arc::new(parsed));
            }
        }
        Ok(Self { registry: RwLock::new(Arc::new(registry)), changing: Mutex::new(()) })
    }

    fn registry(&self) -> Arc<Registry> {
        self.registry.read().clone()
    }

    /// Makes a change, which is kept before it holds.
    fn change<T>(&self, store: &Store, change: impl FnOnce(&mut Registry) -> Result<T>) -> Result<T> {
        let _turn = self.changing.lock();
        let mut registry = Registry::clone(&self.registry());
        let changed = change(&mut registry)?;
        let kept = serde_json::to_string(&registry)
            .map_err(|error| Error::new(codes::INTERNAL, "contracts cannot be written as JSON").source(error))?;
        store.keep(KeptFile::Contracts, &kept)?;
        *self.registry.write() = Arc::new(registry);
        Ok(changed)
    }

    /// What a table keeps to, if anything.
    pub(crate) fn of(&self, table: &TableName) -> Result<Option<InForce>> {
        let registry = self.registry();
        let Some(binding) = registry.binding(table) else { return Ok(None) };
        let (version, contract) = registry.newest(&binding.contract)?;
        Ok(Some(InForce { contract, name: binding.contract.clone(), version, mode: binding.mode }))
    }
}

impl Registry {
    /// The binding that decides: the whole name, else the longest beginning.
    fn binding(&self, table: &TableName) -> Option<&Binding> {
        if let Some(binding) = self.bindings.get(table.as_str()) {
            return Some(binding);
        }
        let beginnings = self.bindings.iter().filter_map(|(pattern, binding)| {
            let beginning = pattern.strip_suffix('*')?;
            table.as_str().starts_with(beginning).then_some((beginning.len(), binding))
        });
        beginnings.max_by_key(|(length, _)| *length).map(|(_, binding)| binding)
    }

    /// The newest version of a contract; one that comes with Airlane has version 0 as long as none is registered.
    fn newest(&self, name: &str) -> Result<(u64, Arc<Contract>)> {
        if let Some(versions) = self.contracts.get(name)
            && let Some(Registered { parsed: Some(parsed), .. }) = versions.last()
        {
            return Ok((versions.len() as u64, parsed.clone()));
        }
        match builtin(name) {
            Some(contract) => Ok((0, Arc::new(contract?))),
            None => Err(not_found(name)),
        }
    }

    fn versions(&self, name: &str) -> &[Registered] {
        self.contracts.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// A version that was registered.
    fn registered(&self, name: &str, version: u64) -> Option<&Registered> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.versions(name).get(index)
    }

    fn info(&self, name: &str, version: u64) -> ContractInfo {
        let registered = self.registered(name, version);
        let bound = self.bindings.iter().filter(|(_, binding)| binding.contract == name);
        ContractInfo {
            contract: name.to_owned(),
            version,
            registered: registered.map(|registered| registered.registered),
            by: registered.map(|registered| registered.by.clone()),
            bound_to: bound.map(|(pattern, binding)| (pattern.clone(), binding.mode)).collect(),
        }
    }

    fn newest_info(&self, name: &str) -> ContractInfo {
        self.info(name, self.versions(name).len() as u64)
    }

    fn bytes(&self) -> usize {
        self.contracts.values().flatten().map(|registered| registered.document.len()).sum()
    }
}

impl Exchange {
    /// Registers a contract, or a new version of one, which must be compatible with the one before.
    ///
    /// # Errors
    /// `contract_invalid`; `contract_incompatible`, with each break; `permission_denied`, `credentials_missing` to all but callers
    /// with `admin` for all namespaces; `limit_exceeded`, `storage_full`, `storage_failed`.
    pub fn register_contract(
        &self,
        caller: &Caller,
        name: &str,
        document: &[u8],
        compatibility: Compatibility,
    ) -> Result<ContractInfo> {
        caller.check_admin()?;
        check_name(name)?;
        let contract = Contract::parse_bytes(document)?;
        let (now, by) = (self.store.clock().now(), caller.name().to_owned());
        self.contracts.change(&self.store, |registry| {
            let versions = registry.contracts.get(name).map_or(0, Vec::len);
            let is_full = (versions == 0 && registry.contracts.len() >= CONTRACTS_MAX) || versions >= VERSIONS_MAX;
            if is_full || registry.bytes() + document.len() > DOCUMENT_BYTES_MAX {
                return Err(Error::new(codes::LIMIT_EXCEEDED, "there is no room for another contract"));
            }
            if versions > 0 {
                let (_, before) = registry.newest(name)?;
                check_compatible(name, &compare(&before, &contract, compatibility))?;
            }
            registry.contracts.entry(name.to_owned()).or_default().push(Registered {
                document: contract.to_yaml().to_owned(),
                compatibility,
                registered: now,
                by,
                parsed: Some(Arc::new(contract)),
            });
            Ok(registry.newest_info(name))
        })
    }

    /// All contracts, those that come with Airlane among them, in the order of their names.
    pub fn contracts(&self) -> Vec<ContractInfo> {
        let registry = self.contracts.registry();
        let mut names: BTreeSet<&str> = builtin_names().collect();
        names.extend(registry.contracts.keys().map(String::as_str));
        names.into_iter().map(|name| registry.newest_info(name)).collect()
    }

    /// The document of a contract, in its newest version or in another one; version 0 is that which comes with Airlane.
    ///
    /// # Errors
    /// `contract_not_found`.
    pub fn contract(&self, name: &str, version: Option<u64>) -> Result<ContractDocument> {
        let registry = self.contracts.registry();
        let number = version.unwrap_or(registry.versions(name).len() as u64);
        let missing = || not_found(&version.map_or(name.to_owned(), |version| format!("{name}@{version}")));
        let document = match registry.registered(name, number) {
            Some(registered) => registered.document.clone(),
            None => builtin(name).filter(|_| number == 0).ok_or_else(missing)??.to_yaml().to_owned(),
        };
        Ok(ContractDocument { info: registry.info(name, number), document })
    }

    /// What changes from one version of a contract to another, or to a document. Without `from` it is the version before the
    /// other one; for a document, the newest.
    ///
    /// # Errors
    /// `contract_not_found`, `contract_invalid`.
    pub fn contract_diff(&self, name: &str, from: Option<u64>, to: Newer<'_>) -> Result<Vec<Change>> {
        let parse = |document: &ContractDocument| Contract::parse(&document.document);
        let (before, newer) = match to {
            Newer::Document(document) => (from, Contract::parse_bytes(document)?),
            Newer::Version(to) => {
                let newer = self.contract(name, to)?;
                let before = || newer.info.version.checked_sub(1).ok_or_else(|| first_of(name));
                (Some(from.map_or_else(before, Ok)?), parse(&newer)?)
            }
        };
        Ok(diff(&parse(&self.contract(name, before)?)?, &newer))
    }

    /// What is bound to what: the tables, `eu/prices` or `eu/*`, and the contract.
    pub fn contract_bindings(&self) -> BTreeMap<String, Binding> {
        self.contracts.registry().bindings.clone()
    }

    /// Binds a contract to a table, or to all whose names begin so (`eu/*`). Tables that are there already stay as they are.
    ///
    /// # Errors
    /// `contract_not_found`, `table_name_invalid`, and as [`register_contract`](Self::register_contract).
    pub fn bind_contract(&self, caller: &Caller, pattern: &str, binding: Binding) -> Result<()> {
        caller.check_admin()?;
        let pattern = pattern_of(pattern)?;
        self.contracts.change(&self.store, |registry| {
            registry.newest(&binding.contract)?;
            if registry.bindings.len() >= BINDINGS_MAX && !registry.bindings.contains_key(&pattern) {
                return Err(Error::new(
                    codes::LIMIT_EXCEEDED,
                    format!("there are {BINDINGS_MAX} bindings, and no more"),
                ));
            }
            registry.bindings.insert(pattern, binding);
            Ok(())
        })
    }

    /// Takes a binding away.
    ///
    /// # Errors
    /// `contract_not_found` when nothing is bound there; as [`bind_contract`](Self::bind_contract).
    pub fn unbind_contract(&self, caller: &Caller, pattern: &str) -> Result<Binding> {
        caller.check_admin()?;
        let pattern = pattern_of(pattern)?;
        self.contracts.change(&self.store, |registry| {
            registry
                .bindings
                .remove(&pattern)
                .ok_or_else(|| Error::new(codes::CONTRACT_NOT_FOUND, format!("no contract is bound to `{pattern}`")))
        })
    }
}

impl Exchange {
    /// What the contract that a table keeps to makes of its columns: for readers of formats without types.
    ///
    /// # Errors
    /// `contract_not_found` when a contract is bound that is not there.
    pub fn contract_types(&self, table: &TableName) -> Result<Option<ContractTypes>> {
        let Some(in_force) = self.contracts.of(table)? else { return Ok(None) };
        Ok(Some(ContractTypes { schema: in_force.contract.types(), casts_texts: in_force.mode.casts() }))
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_name = name.len() <= NAME_BYTES_MAX && TableName::parse(name).is_ok() && !name.contains('/');
    if is_name {
        return Ok(());
    }
    let message = format!("`{}` cannot be the name of a contract", name.escape_debug());
    Err(Error::new(codes::OPTION_INVALID, message).hint("use letters, digits, `_`, `.` and `-`, at most 128"))
}

fn pattern_of(pattern: &str) -> Result<String> {
    match pattern.strip_suffix('*') {
        Some("") => Ok(pattern.to_owned()),
        // A beginning is one of a name.
        Some(beginning) => TableName::parse(&format!("{beginning}x")).map(|_| pattern.to_owned()),
        None => TableName::parse(pattern).map(|name| name.as_str().to_owned()),
    }
}

fn check_compatible(name: &str, breaks: &[Change]) -> Result<()> {
    if breaks.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = breaks.iter().map(ToString::to_string).collect();
    let message = format!("the new version of `{name}` breaks what the one before promises: {}", listed.join("; "));
    Err(Error::new(codes::CONTRACT_INCOMPATIBLE, message)
        .hint("mend the document, or register it with another compatibility: backward, forward, full, none"))
}

fn first_of(name: &str) -> Error {
    Error::new(codes::CONTRACT_NOT_FOUND, format!("`{}` has no version before its first", shorten(name)))
        .hint("name the version to compare it with, or give a document")
}

fn not_found(name: &str) -> Error {
    Error::new(codes::CONTRACT_NOT_FOUND, format!("there is no contract `{}`", shorten(name)))
        .hint("`airlane contract ls` lists them")
}
