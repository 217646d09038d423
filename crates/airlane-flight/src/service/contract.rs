//! The actions of data contracts.

use airlane_exchange::words::{BindRequest, ContractChanges, UnbindRequest};
use airlane_exchange::{Exchange, Newer};
use airlane_model::contract::{Compatibility, ContractDocument, ContractInfo};
use airlane_model::{ByteSize, Caller, Error, Result, codes};
use bytes::Bytes;
use serde::Deserialize;

use super::action::{blocking_json, json};
use super::body;

/// A document has at most 1 MiB, and as JSON at most twice as much: no character that YAML allows takes more than one
/// more byte there. The rest is for the other keys.
const BODY_BYTES_MAX: ByteSize = ByteSize::kib(2 * 1024 + 64);

const ADD_HINT: &str = "send {\"contract\": \"prices\", \"document\": \"apiVersion: v3.1.0 …\", \"compatibility\": \"backward\"}; \
                        compatibilities: backward, forward, full, none";
const SHOW_HINT: &str = "send {\"contract\": \"prices\", \"version\": 2}; without `version` it is the newest";
const DIFF_HINT: &str =
    "send {\"contract\": \"prices\", \"from\": 1, \"to\": 2}, or {\"contract\": \"prices\", \"document\": \"…\"}";
const UNBIND_HINT: &str = "send {\"tables\": \"eu/*\"}, as it was bound";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddRequest {
    contract: String,
    document: String,
    #[serde(default)]
    compatibility: Compatibility,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowRequest {
    contract: String,
    version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiffRequest {
    contract: String,
    from: Option<u64>,
    to: Option<u64>,
    document: Option<String>,
}

/// Registers a version.
pub(super) async fn add(exchange: &Exchange, caller: &Caller, bytes: &Bytes) -> Result<Vec<u8>> {
    // Whoever may not learns nothing about the document.
    caller.check_admin()?;
    let (exchange, caller, bytes) = (exchange.clone(), caller.clone(), bytes.clone());
    blocking_json(move || -> Result<ContractInfo> {
        let asked: AddRequest = body::json_up_to(BODY_BYTES_MAX, "contract_add", &bytes, ADD_HINT)?;
        exchange.register_contract(&caller, &asked.contract, asked.document.as_bytes(), asked.compatibility)
    })
    .await
}

/// The document of a version.
pub(super) fn show(exchange: &Exchange, bytes: &Bytes) -> Result<ContractDocument> {
    let asked: ShowRequest = body::json("contract_show", bytes, SHOW_HINT)?;
    exchange.contract(&asked.contract, asked.version)
}

/// What changes from a version to another, or to a document.
pub(super) async fn diff(exchange: &Exchange, bytes: &Bytes) -> Result<Vec<u8>> {
    let (exchange, bytes) = (exchange.clone(), bytes.clone());
    blocking_json(move || {
        let asked: DiffRequest = body::json_up_to(BODY_BYTES_MAX, "contract_diff", &bytes, DIFF_HINT)?;
        let newer = match (&asked.document, asked.to) {
            (Some(document), None) => Newer::Document(document.as_bytes()),
            (None, to) => Newer::Version(to),
            (Some(_), Some(_)) => {
                return Err(Error::new(codes::OPTION_INVALID, "a body has both a document and the version `to`")
                    .at(body::place("contract_diff"))
                    .hint(DIFF_HINT));
            }
        };
        Ok(ContractChanges { changes: exchange.contract_diff(&asked.contract, asked.from, newer)? })
    })
    .await
}

/// Binds a contract to tables.
pub(super) async fn bind(exchange: &Exchange, caller: &Caller, bytes: &Bytes) -> Result<Vec<u8>> {
    caller.check_admin()?;
    let asked: BindRequest = body::json("contract_bind", bytes, BindRequest::HINT)?;
    let (exchange, caller) = (exchange.clone(), caller.clone());
    blocking_json(move || asked.bind(&exchange, &caller)).await
}

/// Takes a contract off tables.
pub(super) async fn unbind(exchange: &Exchange, caller: &Caller, bytes: &Bytes) -> Result<Vec<u8>> {
    caller.check_admin()?;
    let asked: UnbindRequest = body::json("contract_unbind", bytes, UNBIND_HINT)?;
    let (exchange, caller) = (exchange.clone(), caller.clone());
    blocking_json(move || exchange.unbind_contract(&caller, &asked.tables)).await
}

/// What is bound to what.
pub(super) fn bindings(exchange: &Exchange, bytes: &Bytes) -> Result<Vec<u8>> {
    body::check_empty("contract_bindings", bytes)?;
    json(&serde_json::json!({ "bindings": exchange.contract_bindings() }))
}
