//! `GET /v1/changes`: what happens to tables, as server-sent events.
//!
//! ```text
//! id: 5f0c1a-17          the life of the server, and the number of the change in it
//! event: committed       or dropped, expired, trimmed, refused
//! data: {"time": …, "table": "eu/prices", "table_id": "…", "change": "committed", "version": 7, …}
//!
//! event: missed          more happened than is kept for those who come late: list the tables again
//! data: {"missed": 12}
//! ```
//!
//! A client that comes again with `Last-Event-ID`, as browsers do by themselves, gets what it has not seen; after a restart of the
//! server it is told that it missed something.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use airlane_exchange::{NumberedChange, Watch};
use airlane_model::{Error, Result, codes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::problem::Problem;
use crate::request::{From, Options};
use crate::state::HttpState;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies end streams that are quiet.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// Which changes are told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangeOptions {
    /// Of the tables whose names begin so.
    prefix: String,
}

struct Telling {
    watch: Watch,
    life: String,
    waiting: VecDeque<Event>,
}

pub(crate) async fn events(
    State(state): State<HttpState>,
    From(caller): From,
    Options(options): Options<ChangeOptions>,
    headers: HeaderMap,
) -> std::result::Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>, Problem> {
    let life = state.life;
    let (from, mut waiting) = (headers.get(LAST_EVENT_ID).map(|id| seen(id.as_bytes(), &life)), VecDeque::new());
    let from = match from.transpose()? {
        // Another life of the server: what happened between is not known.
        Some(None) => {
            waiting.push_back(missed(None));
            None
        }
        Some(Some(number)) => Some(number + 1),
        None => None,
    };
    let watch = state.exchange.watch(&caller, &options.prefix, from);
    let telling = Telling { watch, life, waiting };
    // The first bytes go at once, so that the client knows that it is connected.
    let hello = stream::iter([Ok(Event::default().comment("connected"))]);
    let events = stream::unfold(telling, |mut telling| async move {
        loop {
            if let Some(event) = telling.waiting.pop_front() {
                return Some((Ok(event), telling));
            }
            let seen = telling.watch.next().await;
            if seen.missed > 0 {
                telling.waiting.push_back(missed(Some(seen.missed)));
            }
            telling.waiting.extend(seen.changes.iter().map(|change| event(change, &telling.life)));
        }
    });
    let events = futures::StreamExt::chain(hello, events);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(QUIET_MAX)))
}

/// The number of the last change that a client has seen, if it is of this life.
fn seen(id: &[u8], life: &str) -> Result<Option<u64>> {
    let parsed = std::str::from_utf8(id).ok().and_then(|text| text.rsplit_once('-'));
    let number = parsed.and_then(|(_, number)| number.parse::<u64>().ok().filter(|number| *number < u64::MAX));
    let (Some((of, _)), Some(number)) = (parsed, number) else {
        return Err(Error::new(codes::OPTION_INVALID, "the id is not one of these events")
            .at("header `last-event-id`")
            .hint("leave it out to hear of what comes from now on"));
    };
    Ok((of == life).then_some(number))
}

fn missed(count: Option<u64>) -> Event {
    Event::default().event("missed").data(serde_json::json!({ "missed": count }).to_string())
}

fn event(numbered: &NumberedChange, life: &str) -> Event {
    let NumberedChange { number, change } = numbered;
    let data = serde_json::to_string(change.as_ref()).unwrap_or_default();
    Event::default().id(format!("{life}-{number}")).event(change.what.name()).data(data)
}
