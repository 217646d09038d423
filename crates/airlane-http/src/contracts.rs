//! Data contracts over HTTP: registered, shown, compared, bound.

use std::collections::BTreeMap;

use airlane_exchange::words::{BindRequest, ContractChanges, Contracts, UnbindRequest};
use airlane_exchange::{Newer, blocking};
use airlane_model::ByteSize;
use airlane_model::contract::{Binding, Compatibility, ContractDocument};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::{read_json, read_whole};
use crate::problem::Problem;
use crate::request::{From, Options};
use crate::state::HttpState;

/// A document has so many bytes at most; for one byte more the parser says so in better words.
const DOCUMENT_BYTES_MAX: ByteSize = ByteSize::bytes((1 << 20) + 1);

pub(crate) async fn list(State(state): State<HttpState>) -> Json<Contracts> {
    Json(Contracts::of(&state.exchange))
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiffOptions {
    /// The older one; the one before the newer by default.
    from: Option<u64>,
    /// The newer one; the newest by default.
    to: Option<u64>,
}

pub(crate) async fn differences(
    State(state): State<HttpState>,
    Path(name): Path<String>,
    Options(options): Options<DiffOptions>,
) -> std::result::Result<Json<ContractChanges>, Problem> {
    let changes = state.exchange.contract_diff(&name, options.from, Newer::Version(options.to))?;
    Ok(Json(ContractChanges { changes }))
}

pub(crate) async fn bind(
    State(state): State<HttpState>,
    From(caller): From,
    body: Body,
) -> std::result::Result<Json<BTreeMap<String, Binding>>, Problem> {
    caller.check_admin()?;
    let asked: BindRequest = read_json(body, &state.patience, BindRequest::HINT).await?;
    let exchange = state.exchange;
    Ok(Json(blocking::run(move || asked.bind(&exchange, &caller)).await?))
}

pub(crate) async fn unbind(
    State(state): State<HttpState>,
    From(caller): From,
    Options(asked): Options<UnbindRequest>,
) -> std::result::Result<Json<Binding>, Problem> {
    let exchange = state.exchange;
    Ok(Json(blocking::run(move || exchange.unbind_contract(&caller, &asked.tables)).await?))
}
