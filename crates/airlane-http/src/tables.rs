//! Tables as JSON: lists, schemas, versions, retention, and the end of one.

use std::collections::BTreeMap;

use airlane_exchange::Statistics;
use airlane_exchange::words::{DescribedTable, RetentionWords};
use airlane_model::{Error, PlainTicket, Retention, TableInfo, TableName, Ticket, Timestamp, VersionInfo, codes};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::body::read_json;
use crate::problem::Problem;
use crate::request::{From, Named, Options, Redeemed};
use crate::state::HttpState;
use airlane_exchange::blocking;

/// The tables of a page, unless the request asks for fewer, and the most.
const PAGE_TABLES_MAX: usize = 1_000;

/// Which tables are listed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListOptions {
    /// What their names begin with.
    prefix: String,
    /// How many at most, up to 1,000.
    limit: Option<usize>,
    /// The last name of the page before.
    after: Option<String>,
}

/// A page of tables, in the order of their names.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page {
    tables: Vec<TableInfo>,
    /// What to say as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<TableName>,
}

pub(crate) async fn list(
    State(state): State<HttpState>,
    From(caller): From,
    Options(options): Options<ListOptions>,
) -> Json<Page> {
    let limit = options.limit.unwrap_or(PAGE_TABLES_MAX).clamp(1, PAGE_TABLES_MAX);
    let mut tables = state.exchange.list(&caller, &options.prefix);
    if let Some(after) = &options.after {
        let passed = tables.partition_point(|table| table.table.as_str() <= after.as_str());
        tables.drain(..passed);
    }
    let has_more = tables.len() > limit;
    tables.truncate(limit);
    let next = tables.last().filter(|_| has_more).map(|table| table.table.clone());
    Json(Page { tables, next })
}

pub(crate) async fn drop_table(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
) -> Result<Json<TableInfo>, Problem> {
    Ok(Json(state.exchange.drop_table(&caller, &table).await?))
}

pub(crate) async fn schema(
    State(state): State<HttpState>,
    From(caller): From,
    Redeemed(ticket): Redeemed,
) -> Result<Response, Problem> {
    let Ticket::Plain(plain) = &ticket else {
        return Err(Problem(
            Error::new(codes::OPTION_INVALID, "a signed ticket is for reading")
                .hint("a read of it begins with its schema: GET /v1/tickets/{ticket}?limit=0"),
        ));
    };
    Ok(Json(DescribedTable::new(&state.exchange.describe(&caller, plain)?)).into_response())
}

pub(crate) async fn statistics(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
) -> Result<Json<Statistics>, Problem> {
    Ok(Json(blocking::run(move || state.exchange.statistics(&caller, &table)).await?))
}

/// The versions of a table.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Versions {
    table: TableName,
    /// Oldest first; the last is the current one.
    versions: Vec<VersionInfo>,
}

pub(crate) async fn versions(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
) -> Result<Json<Versions>, Problem> {
    let versions = state.exchange.versions(&caller, &table)?;
    Ok(Json(Versions { table, versions }))
}

/// How long a table is kept.
#[derive(Debug, JsonSchema, Serialize)]
pub(crate) struct TableRetention {
    table: TableName,
    retention: Retention,
    /// When it expires as things stand.
    expires: Option<Timestamp>,
}

pub(crate) async fn retention(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
) -> Result<Json<TableRetention>, Problem> {
    let description = state.exchange.describe(&caller, &PlainTicket::current(table))?;
    let TableInfo { table, retention, expires, .. } = description.info;
    Ok(Json(TableRetention { table, retention, expires }))
}

/// Rules of retention to change; `none` takes one off.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Rules {
    #[serde(flatten)]
    rules: RetentionWords,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: BTreeMap<String, IgnoredAny>,
}

const RULES_HINT: &str = "send for example {\"ttl\": \"1h\", \"versions\": 3}; \"none\" takes a rule off";

pub(crate) async fn set_retention(
    State(state): State<HttpState>,
    From(caller): From,
    Named(table): Named,
    body: axum::body::Body,
) -> Result<Json<TableInfo>, Problem> {
    let asked: Rules = read_json(body, &state.patience, RULES_HINT).await?;
    if let Some(key) = asked.unknown.keys().next() {
        let message = format!("there is no rule `{}`", key.escape_debug());
        return Err(Problem(Error::new(codes::OPTION_INVALID, message).at("the body").hint(RULES_HINT)));
    }
    let change = asked.rules.change().map_err(|error| error.at("the body"))?;
    Ok(Json(state.exchange.set_retention(&caller, &table, change).await?))
}
