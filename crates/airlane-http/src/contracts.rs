//! Data contracts over HTTP: registered, shown, compared, bound.

use std::collections::BTreeMap;

use airlane_exchange::{Binding, Change, Compatibility, ContractDocument, ContractInfo, ContractMode};
use airlane_model::{ByteSize, Result};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{read_json, read_whole};
use crate::problem::Problem;
use crate::request::{From, Options};
use crate::state::HttpState;
use airlane_exchange::blocking;

/// A document has so many bytes at most; for one byte more the parser says so in better words.
const DOCUMENT_BYTES_MAX: ByteSize = ByteSize::bytes((1 << 20) + 1);

/// All contracts, and what is bound to what.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    contracts: Vec<ContractInfo>,
}

pub(crate) async fn list(State(state): State<HttpState>) -> Json<Listed> {
    Json(Listed { contracts: state.exchange.contracts() })
}

/// How a document is registered.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegisterOptions {
    /// `backward`, `forward`, `full` or `none`; backward by default.
    #[schemars(with = "Option<String>")]
    compatibility: Option<Compatibility>,
}

pub(crate) async fn register(
    State(state): State<HttpState>,
    From(caller): From,
    Path(name): Path<String>,
    Options(options): Options<RegisterOptions>,
    body: Body,
) -> std::result::Result<Response, Problem> {
    // Whoever may not learns nothing about the document.
    caller.check_admin()?;
    let document = read_whole(body, DOCUMENT_BYTES_MAX, &state.patience).await?;
    let (exchange, compatibility) = (state.exchange, options.compatibility.unwrap_or_default());
    let register = move || exchange.register_contract(&caller, &name, &document, compatibility);
    let info = blocking::run(register).await?;
    let status = if info.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(info)).into_response())
}

/// Which version is shown.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShowOptions {
    /// Its number; the newest by default.
    version: Option<u64>,
}

/// The document as it was registered.
pub(crate) async fn show(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    Options(options): Options<ShowOptions>,
) -> std::result::Result<Response, Problem> {
    let ContractDocument { info, document } = state.exchange.contract(&name, options.version)?;
    let mut response = document.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    headers.insert("airlane-version", info.version.into());
    Ok(response)
}

/// Which versions are compared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiffOptions {
    /// The older one.
    from: u64,
    /// The newer one; the newest by default.
    to: Option<u64>,
}

/// What changes between two versions.
#[derive(Debug, Serialize)]
pub(crate) struct Differences {
    changes: Vec<Change>,
}

pub(crate) async fn differences(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    Options(options): Options<DiffOptions>,
) -> std::result::Result<Json<Differences>, Problem> {
    Ok(Json(Differences { changes: state.exchange.contract_diff(&name, options.from, options.to)? }))
}

/// What is to be bound, and where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bind {
    /// `eu/prices`, or `eu/*` for all tables whose names begin so.
    tables: String,
    /// The name of the contract.
    contract: String,
    /// `reject`, `coerce`, `quarantine` or `coerce_quarantine`; reject by default.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    mode: ContractMode,
}

const HINT: &str = "send {\"tables\": \"eu/*\", \"contract\": \"market_data\", \"mode\": \"reject\"}; modes: reject, coerce, quarantine, \
                    coerce_quarantine";

pub(crate) async fn bind(
    State(state): State<HttpState>,
    From(caller): From,
    body: Body,
) -> std::result::Result<Json<BTreeMap<String, Binding>>, Problem> {
    caller.check_admin()?;
    let Bind { tables, contract, mode } = read_json(body, &state.patience, HINT).await?;
    let (exchange, binding) = (state.exchange, Binding { contract, mode });
    let bind = move || {
        exchange.bind_contract(&caller, &tables, binding.clone())?;
        Ok(BTreeMap::from([(tables, binding)]))
    };
    Ok(Json(blocking::run(bind).await?))
}

/// Where a contract is taken off.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnbindOptions {
    /// As it was bound.
    tables: String,
}

pub(crate) async fn unbind(
    State(state): State<HttpState>,
    From(caller): From,
    Options(options): Options<UnbindOptions>,
) -> std::result::Result<Json<Binding>, Problem> {
    let exchange = state.exchange;
    let unbind = move || -> Result<Binding> { exchange.unbind_contract(&caller, &options.tables) };
    Ok(Json(blocking::run(unbind).await?))
}
