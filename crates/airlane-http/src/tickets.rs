//! Signed tickets, and what signs them.

use airlane_exchange::Rotation;
use airlane_exchange::words::{self, SignedTicketInfo, TicketRequest};
use airlane_model::figures::ServerFigures;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::read_json;
use crate::problem::Problem;
use crate::request::From;
use crate::state::HttpState;
use airlane_exchange::blocking;

const HINT: &str = "send {\"ticket\": \"prices\", \"columns\": [\"a\"], \"rows\": \"0-1000\", \"ttl\": \"10m\", \"caller\": \"ci\", \
                    \"reads\": 1, \"at_most_once\": true}; all but `ticket` may be left out";

pub(crate) async fn sign(
    State(state): State<HttpState>,
    From(caller): From,
    body: Body,
) -> Result<Json<SignedTicketInfo>, Problem> {
    let request: TicketRequest = read_json(body, &state.patience, HINT).await?;
    Ok(Json(request.sign(&state.exchange, &caller)?))
}

/// How the keys are changed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyRotation {
    /// Whether all that was signed before is void.
    revoke: bool,
}

pub(crate) async fn rotate_keys(
    State(state): State<HttpState>,
    From(caller): From,
    body: Body,
) -> Result<Json<Rotation>, Problem> {
    // Whoever may not learns nothing about the body.
    caller.check_admin()?;
    let asked: KeyRotation = read_json(body, &state.patience, "send {} or {\"revoke\": true}").await?;
    let exchange = state.exchange;
    Ok(Json(blocking::run(move || exchange.rotate_ticket_keys(&caller, asked.revoke)).await?))
}

pub(crate) async fn status(State(state): State<HttpState>, From(caller): From) -> Result<Json<ServerFigures>, Problem> {
    Ok(Json(words::status(&state.exchange, state.figures.as_ref(), &caller)?))
}
